"""For random workflows: replaying an unchanged program is silent, and one edit is found."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from durable_execution.history.reading import read_history
from durable_execution.replay import Replayer, Verdict
from tests.replay.programs import handler_of
from tests.replay.recording import history_of

QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
pytestmark = pytest.mark.acceptance

leaves = st.one_of(
    st.builds(
        lambda value, failures: {"op": "step", "value": value, "failures": failures}, st.integers(), st.integers(0, 2)
    ),
    st.builds(lambda seconds: {"op": "wait", "seconds": seconds}, st.integers(1, 9)),
)


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    bodies = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda body: {"op": "child", "body": body}, bodies),
        st.builds(
            lambda body, items, flat: {"op": "map", "items": items, "body": body, "flat": flat},
            bodies,
            st.lists(st.integers(), min_size=1, max_size=3),
            st.booleans(),
        ),
        st.builds(lambda branches: {"op": "parallel", "branches": [{"body": body} for body in branches]},
                  st.lists(bodies, min_size=1, max_size=3)),
        st.builds(lambda calls: {"op": "together", "calls": calls}, st.lists(leaves, min_size=1, max_size=3)),
    )  # fmt: skip


statements = st.recursive(leaves, nested, max_leaves=6)
programs = st.lists(statements, min_size=1, max_size=5)


@dataclass(frozen=True)
class Place:
    """A list of calls in a program, and the path of its context."""

    calls: list[dict[str, Any]]
    path: str


def named(program: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A copy in which every call has a name of its own."""
    copy = deepcopy(program)
    for number, statement in enumerate(_calls(copy)):
        statement["name"] = f"c{number}"
    return copy


def _calls(body: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for statement in body:
        if statement["op"] != "together":
            yield statement
        yield from _calls(statement.get("calls", []))
        yield from _calls(statement.get("body", []))
        for branch in statement.get("branches", []):
            yield from _calls(branch["body"])


def places(body: list[dict[str, Any]], path: str = "flow") -> Iterator[Place]:
    """Every context of a program that is sure to have run."""
    yield Place(body, path)
    for statement in body:
        own = f"{path}/{statement.get('name')}"
        if statement["op"] == "child":
            yield from places(statement["body"], own)
        elif statement["op"] == "map":
            yield from places(statement["body"], f"{own}#0")
        elif statement["op"] == "parallel":
            yield from places(statement["branches"][0]["body"], f"{own}#0")


def recorded(program: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return history_of(handler_of({"body": program}))[0]


@QUICK
@given(programs)
def test_an_unchanged_program_is_silent(program: list[dict[str, Any]]) -> None:
    report = Replayer(handler_of({"body": program})).replay(read_history(recorded(program)))
    assert report.divergences == ()
    assert report.verdict is Verdict.SAME


@QUICK
@given(programs, st.data())
def test_an_unchanged_program_is_silent_after_any_event(program: list[dict[str, Any]], data: st.DataObject) -> None:
    events = recorded(program)
    keep = data.draw(st.integers(1, len(events)))
    report = Replayer(handler_of({"body": program})).replay(read_history(events[:keep]))
    assert report.divergences == ()
    assert report.verdict is Verdict.SAME


@QUICK
@given(programs.map(named), st.data())
def test_one_removed_call_is_found(program: list[dict[str, Any]], data: st.DataObject) -> None:
    changed = deepcopy(program)
    place = data.draw(st.sampled_from(list(places(changed))))
    index = data.draw(st.integers(0, len(place.calls) - 1))
    removed = place.calls.pop(index)
    first = removed["calls"][0]["name"] if removed["op"] == "together" else removed["name"]
    report = Replayer(handler_of({"body": changed})).replay(read_history(recorded(program)))
    assert report.root is not None
    assert (report.root.kind, report.root.path) == ("skipped", f"{place.path}/{first}")


@QUICK
@given(programs.map(named), st.data())
def test_one_inserted_call_is_found(program: list[dict[str, Any]], data: st.DataObject) -> None:
    changed = deepcopy(program)
    place = data.draw(st.sampled_from(list(places(changed))))
    index = data.draw(st.integers(0, len(place.calls) - 1))
    place.calls.insert(index, {"op": data.draw(st.sampled_from(["step", "wait"])), "name": "new", "seconds": 3})
    report = Replayer(handler_of({"body": changed})).replay(read_history(recorded(program)))
    assert report.root is not None
    assert (report.root.kind, report.root.path) == ("inserted", f"{place.path}/new")


@QUICK
@given(programs.map(named), st.data())
def test_one_renamed_call_is_found(program: list[dict[str, Any]], data: st.DataObject) -> None:
    changed = deepcopy(program)
    candidates = [(place, call) for place in places(changed) for call in place.calls if "name" in call]
    assume(candidates)
    place, call = data.draw(st.sampled_from(candidates))
    before, call["name"] = call["name"], "another"
    report = Replayer(handler_of({"body": changed})).replay(read_history(recorded(program)))
    assert report.root is not None
    assert (report.root.kind, report.root.path) == ("renamed", f"{place.path}/{before}")
