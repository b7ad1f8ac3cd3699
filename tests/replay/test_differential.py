"""For random programs and edits, the report agrees with what the local engine does when the execution resumes.

A resumed execution may go on where the run-time check cannot be sure (see "What the run-time check sees" in
`docs/determinism.md`), but then its calls, their order, its result or its end differ from those of the unchanged code.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st

from durable_execution.divergence import Divergence, DivergenceKind, Severity
from durable_execution.history.reading import read_history
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.protocol import Wire
from durable_execution.replay import Replayer, ReplayReport, Verdict
from durable_execution.trace import MemorySink, read_traces
from tests.replay.programs import handler_of
from tests.replay.recording import FUNCTION, events_of

Body = list[dict[str, Any]]

THOROUGH_SECONDS = 3_600
"""Time for a part of the thousands of examples of the thorough profile."""

pytestmark = pytest.mark.acceptance

PARTS = max(1, settings().max_examples // 250)
"""The thorough examples are split, so that workers share them and one contradiction does not hide those that follow."""

in_parts = settings(max_examples=settings().max_examples // PARTS)

NONDETERMINISM = "durable_execution.errors.NondeterminismError"

steps = st.builds(lambda value: {"op": "step", "value": value}, st.integers(0, 3))
waits = st.builds(lambda seconds: {"op": "wait", "seconds": seconds}, st.integers(1, 9))
approvals = st.just({"op": "sequence", "body": [{"op": "callback", "as": "cb"}, {"op": "callback_result", "of": "cb"}]})
leaves = st.one_of(steps, steps, waits)


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    bodies = st.lists(inner, min_size=1, max_size=3)
    sequences = st.builds(lambda body: {"op": "sequence", "body": body}, bodies)
    return st.one_of(
        st.builds(lambda body, virtual: {"op": "child", "body": body, "virtual": virtual}, bodies, st.booleans()),
        st.builds(
            lambda body, items, flat, width: {"op": "map", "items": items, "body": body, "flat": flat, "max_concurrency": width},
            bodies,
            st.lists(st.integers(0, 3), min_size=1, max_size=3),
            st.booleans(),
            st.sampled_from([None, 1, 2]),
        ),
        st.builds(lambda branches: {"op": "parallel", "branches": [{"body": body} for body in branches]},
                  st.lists(bodies, min_size=1, max_size=3)),
        st.builds(lambda calls: {"op": "together", "calls": calls},
                  st.lists(st.one_of(leaves, sequences, approvals), min_size=2, max_size=3)),
    )  # fmt: skip


statements = st.recursive(leaves, nested, max_leaves=8)
programs = st.lists(statements, min_size=1, max_size=5)


def bodies_of(body: Body) -> Iterator[Body]:
    """Every list of statements in a program."""
    yield body
    for statement in body:
        for inner in (statement.get("body"), statement.get("calls")):
            if inner:
                yield from bodies_of(inner)
        for branch in statement.get("branches", []):
            yield from bodies_of(branch["body"])


def named(program: Body) -> Body:
    """A copy in which every call has a name of its own."""
    copy = deepcopy(program)
    for number, statement in enumerate(one for body in bodies_of(copy) for one in body):
        if statement["op"] not in ("together", "sequence", "callback_result"):
            statement["name"] = f"c{number}"
        if statement["op"] in ("callback", "callback_result"):
            statement["as" if statement["op"] == "callback" else "of"] = f"cb{number - (statement['op'] != 'callback')}"
    return copy


@st.composite
def edited(draw: st.DrawFn, program: Body) -> Body:
    """A copy of a program with one random edit."""
    changed = deepcopy(program)
    body = draw(st.sampled_from([one for one in bodies_of(changed) if one and one[0]["op"] != "callback"]))
    index = draw(st.integers(0, len(body) - 1))
    statement = body[index]
    kind = draw(st.sampled_from(["remove", "insert", "rename", "swap", "items", "raise", "wrap", "twice", "nothing"]))
    match kind:
        case "remove":
            del body[index]
        case "insert":
            body.insert(index, {"op": draw(st.sampled_from(["step", "wait"])), "name": "new", "seconds": 3})
        case "rename" if "name" in statement:
            statement["name"] = "renamed"
        case "swap":
            body.append(body.pop(index))
        case "items" if "items" in statement:
            statement["items"] = draw(st.lists(st.integers(0, 3), max_size=4))
        case "items" if "branches" in statement:
            statement["branches"].pop()
        case "raise":
            body.insert(index, {"op": "sequence", "body": [{"op": "fail"}]})
        case "wrap" if "name" in statement:
            body[index] = {"op": "child", "name": "wrapped", "body": [statement]}
        case "twice" if statement["op"] in ("step", "wait"):
            body.insert(index, deepcopy(statement))
        case _:
            pass
    return changed


@dataclass(frozen=True)
class Run:
    """An execution that was started with one program and resumed with one.

    Attributes:
        events: Its events when it was resumed.
        arn: Its ARN.
        status: How it ended.
        error_type: Type of its error.
        result: Its result.
        calls: Paths of the calls that its code made after it was resumed, with their operation types.
        order: Paths of the calls of its last invocation, in the order in which they were made.
    """

    events: list[Wire]
    arn: str
    status: str
    error_type: str | None
    result: str | None
    calls: frozenset[tuple[str, str]]
    order: tuple[str, ...]


def run(before: Body, after: Body, *, seconds: int) -> Run:
    """Run one program for some seconds, then resume the execution with another one and let it end."""
    sink = MemorySink()
    with LocalEngine(None, time="skip", ids=CountingIds(), trace_sink=sink) as engine:
        engine.register(FUNCTION, handler_of({"body": before}))
        arn = engine.start(FUNCTION, {})
        engine.run_until_idle(skips="nothing")
        if seconds:
            engine.advance(timedelta(seconds=seconds))
        events = events_of(engine, arn)
        seen = len(sink.texts[arn])
        engine.register(FUNCTION, handler_of({"body": after}))
        engine.run_until_idle(skips="everything")
        while answer_callback(engine, arn):
            engine.run_until_idle(skips="everything")
        found = engine.client.get_durable_execution(DurableExecutionArn=arn)
        text = sink.texts[arn]
    later = read_traces(text)[len(read_traces(text[:seen])) :]  # with the calls that were answered from the record
    entries = [entry for trace in later for entry in trace.entries]
    calls = frozenset((entry.path, entry.type) for entry in entries)
    error = (found.get("Error") or {}).get("ErrorType")
    order = tuple(entry.path for entry in later[-1].entries) if later else ()
    return Run(events, arn, str(found["Status"]), error, found.get("Result"), calls, order)


def answer_callback(engine: LocalEngine, arn: str) -> bool:
    """Complete the first open callback of an execution, if it has one."""
    events = events_of(engine, arn)
    over = {event["Id"] for event in events if event["EventType"] == "CallbackSucceeded"}
    if events[-1]["EventType"].startswith("Execution") and len(events) > 1:
        return False
    for event in events:
        if event["EventType"] == "CallbackStarted" and event["Id"] not in over:
            callback_id = event["CallbackStartedDetails"]["CallbackId"]
            engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"1")
            return True
    return False


def is_kept(root: Divergence) -> bool:
    """Whether a difference is only in the number of branches of a call whose result is recorded.

    The report says that this execution reads the result: the difference is for executions that have not come that far.
    """
    is_finished = root.recorded is not None and root.recorded.status == "SUCCEEDED"
    is_said = root.severity is Severity.WARNING and "uses the recorded result" in root.effect
    return root.kind is DivergenceKind.BRANCH_COUNT and is_finished and is_said


def _end_of(run: Run) -> tuple[Any, ...]:
    return run.status, run.result, run.calls, run.order


def check(report: ReplayReport, resumed_unchanged: Callable[[], Run], changed: Run) -> None:
    """Compare a report with what happened."""
    has_broken = changed.error_type == NONDETERMINISM
    if report.verdict is Verdict.SAME:
        assert not has_broken
    elif report.verdict is Verdict.DIVERGED and not has_broken:
        unchanged = resumed_unchanged()
        note(f"unchanged: {unchanged.result}")
        assert unchanged.status == "SUCCEEDED", unchanged
        is_different = _end_of(changed) != _end_of(unchanged)
        assert is_different or all(map(is_kept, report.roots))
    if has_broken:
        assert report.verdict is Verdict.DIVERGED


@pytest.mark.timeout(THOROUGH_SECONDS)
@pytest.mark.parametrize("part", range(PARTS))
@in_parts
@given(program=programs.map(named), data=st.data())
def test_a_report_agrees_with_resuming_the_execution(part: int, program: Body, data: st.DataObject) -> None:
    after = data.draw(edited(program))
    seconds = data.draw(st.sampled_from([0, 0, 1, 3, 6, 12]))
    changed = run(program, after, seconds=seconds)
    assume(not changed.events[-1]["EventType"].startswith("Execution") or len(changed.events) == 1)
    report = Replayer(handler_of({"body": after}), cause=False).replay(read_history(changed.events, arn=changed.arn))
    note(f"{seconds} s, {report.verdict}, {[(one.kind.value, one.path) for one in report.roots]}, {report.error}")
    note(f"resumed: {changed.status} {changed.error_type} {changed.result}")
    check(report, lambda: run(program, program, seconds=seconds), changed)


def test_a_wait_that_loses_the_contexts_before_it_would_fail_when_it_resumes() -> None:
    """The wait takes the contexts' number, so the step in them is the first call that is never made again."""
    inner = {"op": "child", "name": "inner", "body": [{"op": "step", "value": 0, "name": "s"}], "virtual": True}
    wait = {"op": "wait", "seconds": 1, "name": "w"}
    before: Body = [{"op": "child", "name": "outer", "body": [inner], "virtual": True}, wait]
    changed = run(before, [wait], seconds=0)
    report = Replayer(handler_of({"body": [wait]})).replay(read_history(changed.events, arn=changed.arn))
    assert changed.error_type == NONDETERMINISM
    assert [(one.kind.value, one.path) for one in report.roots] == [("skipped", "flow/context@1/context@1/s")]
    check(report, lambda: run(before, before, seconds=0), changed)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("is_kept", [True, False], ids=["moved", "removed"])
def test_contexts_whose_number_another_call_takes_lose_their_open_wait(depth: int, is_kept: bool) -> None:
    """A race has the same numbers as two contexts, and may have lost; a step has not."""
    contexts: Body = [{"op": "wait", "seconds": 60, "name": "w"}]
    for number in range(depth):
        contexts = [{"op": "child", "name": f"c{number}", "body": contexts, "virtual": True}]
    step = {"op": "step", "value": 0, "name": "s"}
    after = [step, *contexts] if is_kept else [step]
    changed = run([*contexts, step], after, seconds=0)
    report = Replayer(handler_of({"body": after}), cause=False).replay(read_history(changed.events, arn=changed.arn))
    assert [(one.kind.value, one.path) for one in report.roots] == [("skipped", f"flow{'/context@1' * depth}/w")]


def step(name: str) -> dict[str, Any]:
    return {"op": "step", "value": 0, "name": name}


def virtual(name: str, *body: dict[str, Any]) -> dict[str, Any]:
    return {"op": "child", "name": name, "body": list(body), "virtual": True}


def together(*bodies: Body) -> dict[str, Any]:
    return {"op": "together", "calls": [{"op": "sequence", "body": body} for body in bodies]}


WAIT = {"op": "wait", "seconds": 9, "name": "w"}
LOST: dict[str, tuple[Body, Body]] = {
    "a virtual context moves behind a step": (
        [virtual("v", step("a"), WAIT)],
        [step("s"), virtual("v", step("a"), WAIT)],
    ),
    "virtual contexts in one another move": (
        [virtual("u", virtual("v", step("a"))), WAIT],
        [step("s"), virtual("u", virtual("v", step("a"))), WAIT],
    ),
    "the last virtual context is removed": ([step("s"), virtual("v", step("a"), WAIT)], [step("s")]),
    "a virtual context moves in a task": (
        [together([virtual("v", step("a"))], [WAIT])],
        [together([step("s"), virtual("v", step("a"))], [WAIT])],
    ),
    "a task loses its only call": ([together([step("a")], [WAIT])], [together([], [WAIT])]),
    "a task in a task loses its only call": (
        [together([together([step("a")], [])], [WAIT])],
        [together([together([], [])], [WAIT])],
    ),
    "tasks change their order": ([together([step("a")], [WAIT])], [together([WAIT], [step("a")])]),
    "a call that is not a task's own changes places with a task": (
        [{"op": "together", "calls": [step("a"), {"op": "sequence", "body": [WAIT]}]}],
        [{"op": "together", "calls": [{"op": "sequence", "body": [WAIT]}, step("a")]}],
    ),
    "the last task is removed": ([together([step("a")], [step("b"), WAIT])], [together([step("a")])]),
    "the last task is removed in a virtual context": (
        [virtual("v", together([step("a")], [step("b")])), WAIT],
        [virtual("v", together([step("a")])), WAIT],
    ),
}


@pytest.mark.parametrize("case", LOST)
def test_calls_that_leave_their_virtual_context_or_task_fail_the_resumed_execution(case: str) -> None:
    before, after = LOST[case]
    changed = run(before, after, seconds=0)
    report = Replayer(handler_of({"body": after}), cause=False).replay(read_history(changed.events, arn=changed.arn))
    assert changed.error_type == NONDETERMINISM
    assert report.verdict is Verdict.DIVERGED


@pytest.mark.timeout(THOROUGH_SECONDS)
@pytest.mark.parametrize("part", range(PARTS))
@in_parts
@given(program=programs.map(named), seconds=st.sampled_from([0, 1, 3, 6, 12]))
def test_an_unchanged_program_is_the_same_wherever_it_stands(part: int, program: Body, seconds: int) -> None:
    unchanged = run(program, program, seconds=seconds)
    assert unchanged.status == "SUCCEEDED", unchanged
    report = Replayer(handler_of({"body": program})).replay(read_history(unchanged.events, arn=unchanged.arn))
    note(f"{report.verdict}, {[(one.kind.value, one.path) for one in report.divergences]}, {report.error}")
    assert report.divergences == ()
    assert report.verdict is Verdict.SAME
