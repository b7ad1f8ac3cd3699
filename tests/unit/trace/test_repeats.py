"""Calls that an invocation repeats are condensed while they are collected; what is written does not depend on when."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_execution.call_site import CallSite
from durable_execution.observers import OperationCall
from durable_execution.protocol import operation_id
from durable_execution.runtime.call import Call
from durable_execution.trace.call_text import digest_of
from durable_execution.trace.repeats import BATCH, MAX_INPUT, TAIL, Identities, Repeat, Repeats

SITE = CallSite("orders.py", 7, "process")


def repeat(position: int, *, is_open: bool = False) -> Repeat:
    call = OperationCall(
        operation_id(None, position), None, None, position, f"process/s({position})", "STEP", "Step", "s", SITE
    )
    return call, None if is_open else {"Type": "STEP", "Status": "SUCCEEDED"}


def collected(count: int) -> Repeats:
    repeats = Repeats(Identities(), digest_of)
    repeats.calls += [repeat(position) for position in range(1, count + 1)]
    return repeats


def test_only_the_calls_that_may_get_lines_are_kept() -> None:
    repeats = collected(BATCH)
    repeats.condense()
    assert [call.position for call, _ in repeats.calls] == list(range(BATCH - TAIL + 1, BATCH + 1))
    assert repeats.count == len(repeats) == BATCH
    runs, last = repeats.take(tail=TAIL)
    assert [(run.first, run.last) for run in runs] == [(1, BATCH - TAIL)]
    assert [call.position for call, _ in last] == [BATCH - 1, BATCH]
    assert (repeats.count, len(repeats)) == (BATCH, 0)


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["call", "open", "insert", "until"]), st.integers(0, 12)), min_size=1, max_size=20
    ),
    condensed_after=st.sets(st.integers(0, 20)),
    tail=st.integers(0, TAIL),
)
def test_what_is_written_does_not_depend_on_when_calls_are_condensed(
    steps: list[tuple[str, int]], condensed_after: set[int], tail: int
) -> None:
    plain, condensing = collected(3), collected(3)
    for number, (step, index) in enumerate(steps):
        written = []
        for repeats in (plain, condensing):
            if step == "insert":
                repeats.insert(index, repeat(100 + number))
            elif step == "until":
                written.append(repeats.take(tail=0, until=index))
            else:
                repeats.calls.append(repeat(4 + number, is_open=step == "open"))
        if number in condensed_after:
            condensing.condense()
        assert not written or written[0] == written[1]
        assert (plain.count, len(plain)) == (condensing.count, len(condensing))
    assert plain.take(tail=tail) == condensing.take(tail=tail)


@pytest.mark.parametrize("until", [0, 2, 9])
def test_calls_are_left_from_the_place_on_that_is_named(until: int) -> None:
    repeats = collected(5)
    repeats.condense()
    repeats.take(tail=0, until=until)
    assert (repeats.taken, len(repeats)) == (min(until, 5), 5 - min(until, 5))


def work(step: object) -> int:
    return 1


def other_work(step: object) -> int:
    return 2


def running(**changed: Any) -> Call:
    """A call in the runtime, at the first position of the root."""
    scope = SimpleNamespace(ids=SimpleNamespace(prefix=None), parent_id=None, path="process")
    call = Call(cast("Any", scope), operation_id(None, 1), 1, "STEP", "Step", "s", "s")
    call.function, call.site = work, SITE
    for name, value in changed.items():
        setattr(call, name, value)
    call.locate(call.site)
    return call


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "t"},
        {"type": "WAIT"},
        {"subtype": "Charge"},
        {"site": CallSite("orders.py", 8, "process")},
        {"site": None},
        {"function": other_work},
        {"function": None},
        {"configuration": {"wait_seconds": 60}},
        {"input": "1"},
        {"input": "1" * (MAX_INPUT + 1)},
    ],
    ids=[
        "name",
        "type",
        "subtype",
        "line",
        "no site",
        "function",
        "no function",
        "configuration",
        "input",
        "long input",
    ],
)
def test_a_call_that_changed_since_the_previous_invocation_is_condensed_anew(changed: dict[str, Any]) -> None:
    def key(identities: Identities, call: Call) -> str:
        (found,) = identities.keys_of([(call, None)], digest_of)
        return found

    kept = Identities()
    before = key(kept, running())
    assert key(kept, running()) is before, "a call that did not change is not worked out again"
    after = key(kept, running(**changed))
    assert after == key(Identities(), running(**changed))
    assert after != before
    assert key(kept, running()) == before


def test_the_digest_of_calls_that_did_not_change_is_not_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    identities = Identities()
    digests = {("c", 1): identities.of_keys("c", 1, ["one", "two"]), ("c", 3): identities.of_keys("c", 3, ["one"])}
    assert digests["c", 1] != digests["c", 3]
    with monkeypatch.context() as patch:
        patch.setattr("durable_execution.trace.repeats.digest_of_keys", None)
        assert identities.of_keys("c", 1, ["one", "two"]) == digests["c", 1]
    assert identities.of_keys("c", 1, ["one", "three"]) == Identities().of_keys(None, 9, ["one", "three"])


def test_the_calls_of_an_invocation_are_taken_with_the_digests_of_the_previous_one() -> None:
    identities, taken = Identities(), []
    for _ in range(2):
        found = Repeats(identities, digest_of)
        found.calls += [(running(id=operation_id(None, at), position=at), {}) for at in range(1, 3 * BATCH)]
        found.condense()
        taken.append(found.take(tail=TAIL))
    assert taken[0][0] == taken[1][0]
    (run,) = taken[0][0]
    assert (run.first, run.last, run.cut_count) == (1, 3 * BATCH - 1 - TAIL, 3)
