"""Reading histories: any SDK's, any form, anything."""

import contextlib
import json
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.call_site import CallSite
from durable_execution.history.reading import UnreadableHistoryError, read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol import ErrorObject, OperationStatus, OperationType, branch_id, operation_id
from durable_execution.protocol.ids import task_prefix
from durable_execution.trace.schema import InvocationTrace, TraceEntry
from tests.unit.history.events import BEGAN, Script

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders:$LATEST/durable-execution/order-7/e1"


def outline(execution: RecordedExecution) -> list[str]:
    return [f"{'  ' * one.depth}{one.path} {one.status}" for one in execution.operations]


def test_an_execution_is_read_as_a_whole() -> None:
    script = Script().step(1, "validate", result="true").wait(2, "pause").step(3).invocation_ends()
    execution = read_history(script.execution_ends(Result={"Payload": '"ok"'}).events, arn=ARN)
    assert (execution.name, execution.id, execution.function_name) == ("order-7", "e1", "orders")
    assert (execution.status, execution.result, execution.input) == ("SUCCEEDED", '"ok"', "{}")
    assert outline(execution) == [
        "orders/validate SUCCEEDED",
        "orders/pause SUCCEEDED",
        "orders/step(1) SUCCEEDED",
    ]
    assert [one.position for one in execution.operations] == [1, 2, 3]
    assert [one.outcome for one in execution.invocations] == ["PENDING", "SUCCEEDED"]
    assert execution.operations[1].details["duration_seconds"] == 5
    assert execution.notes == ()


def test_who_executed_and_who_replayed() -> None:
    script = Script().step(1, "a").wait(2, "b").step(3, "c").wait(4, "d").step(5, "e").invocation_ends()
    execution = read_history(script.execution_ends().events)
    assert {one.name: (tuple(one.executed_by), tuple(one.replayed_by)) for one in execution} == {
        "a": ((1,), (2, 3)),
        "b": ((1,), (2, 3)),
        "c": ((2,), (3,)),
        "d": ((2,), (3,)),
        "e": ((3,), ()),
    }


def test_what_is_in_a_finished_context_is_not_replayed() -> None:
    child = operation_id(None, 1)
    script = Script().context(child, "child", Script().step(1, "inner", parent=child).events[1:])
    execution = read_history(script.wait(2, "w").step(3, "end").invocation_ends().execution_ends().events)
    replayed = {one.name: tuple(one.replayed_by) for one in execution}
    assert (replayed["child"], replayed["inner"]) == ((2,), ())


def test_attempts_of_a_retried_step() -> None:
    script, id_ = Script(), operation_id(None, 1)
    error = {"Payload": {"ErrorType": "ValueError", "ErrorMessage": "no"}}
    script.add("StepStarted", id_, name="s")
    script.add(
        "StepFailed", id_, name="s", Error=error, RetryDetails={"CurrentAttempt": 1, "NextAttemptDelaySeconds": 4}
    )
    script.invocation_ends().add("StepStarted", id_, name="s")
    script.add("StepFailed", id_, name="s", Error=error, RetryDetails={"CurrentAttempt": 2})
    step = read_history(script.events).operations[0]
    assert [(one.number, one.outcome, one.next_attempt_delay_seconds, one.invocation) for one in step.attempts] == [
        (1, "FAILED", 4, 1),
        (2, "FAILED", None, 2),
    ]
    assert step.status is OperationStatus.FAILED
    assert step.error == ErrorObject("no", "ValueError")


def test_a_body_that_ran_again_after_a_crash_keeps_its_attempt_number() -> None:
    script, id_ = Script(), operation_id(None, 1)
    script.add("StepStarted", id_).invocation_ends(error={"ErrorType": "Runtime.ExitError"}).add("StepStarted", id_)
    execution = read_history(script.events)
    assert [(one.number, one.outcome) for one in execution.operations[0].attempts] == [(1, "INCOMPLETE"), (1, None)]
    assert execution.invocations[0].outcome == "RETRY"


def test_a_polling_step_keeps_its_states() -> None:
    script, id_ = Script(), operation_id(None, 1)
    for state, delay in ((1, 2), (2, None)):
        retry = {"NextAttemptDelaySeconds": delay} if delay else {}
        script.add("StepStarted", id_, subtype="WaitForCondition")
        script.add("StepSucceeded", id_, Result={"Payload": str(state)}, RetryDetails=retry)
    step = read_history(script.events).operations[0]
    assert [one.result for one in step.attempts] == ["1", "2"]
    assert (step.path, step.status, step.result) == ("execution/wait_for_condition(1)", "SUCCEEDED", "2")


def test_branches_and_what_flat_branches_call_have_the_index_in_their_paths() -> None:
    nested, flat = operation_id(None, 1), operation_id(None, 2)
    script = Script().add("ContextStarted", nested, name="m", subtype="Map")
    for index in (1, 0):
        branch = branch_id(nested, index)
        script.add("ContextStarted", branch, name=f"item {index}", parent=nested, subtype="MapIteration")
        script.step(1, "s", parent=branch)
    script.add("ContextStarted", flat, subtype="Parallel")
    for index in (1, 0):
        script.add("StepStarted", operation_id(branch_id(flat, index), 1), name="t", parent=flat)
    assert outline(read_history(script.events)) == [
        "execution/m STARTED",
        "  execution/m#0 STARTED",
        "    execution/m#0/s SUCCEEDED",
        "  execution/m#1 STARTED",
        "    execution/m#1/s SUCCEEDED",
        "execution/parallel(1) STARTED",
        "  execution/parallel(1)#0/t STARTED",
        "  execution/parallel(1)#1/t STARTED",
    ]


def test_what_tasks_and_contexts_without_checkpoints_call_is_placed() -> None:
    script = Script().step(1, "a")
    script.add("StepStarted", operation_id(task_prefix(None, 2), 1), name="in task")
    script.add("StepStarted", operation_id(operation_id(None, 2), 1), name="in context")
    script.step(3, "b")
    execution = read_history(script.events)
    assert [one.path for one in execution] == [
        "execution/a",
        "execution/b",
        "execution/context@2/in context",
        "execution~2/in task",
    ]
    assert execution.foreign() == frozenset()


def test_what_others_wrote_is_told_apart() -> None:
    script = Script().step(1, "a").add("StepStarted", "f" * 64, name="agent").step(2, "b")
    execution = read_history(script.events)
    assert [one.path for one in execution] == ["execution/a", "execution/agent", "execution/b"]
    assert execution.foreign() == frozenset({"f" * 64})


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        (
            "js-parallel-wait",
            [
                "execution/parent-block SUCCEEDED",
                "  execution/parent-block#0 SUCCEEDED",
                "    execution/parent-block#0/wait-1-second SUCCEEDED",
                "  execution/parent-block#1 SUCCEEDED",
                "    execution/parent-block#1/wait-2-seconds SUCCEEDED",
                "  execution/parent-block#2 SUCCEEDED",
                "    execution/parent-block#2/wait-5-seconds SUCCEEDED",
            ],
        ),
        (
            "rust-wfc_nested",
            [
                "execution/nested_callback STARTED",
                "  execution/nested_callback/callback(1) STARTED",
                "  execution/nested_callback/wait_for_callback_submitter SUCCEEDED",
                "    execution/nested_callback/wait_for_callback_submitter/execute_submitter SUCCEEDED",
            ],
        ),
        ("js-retry-exhaustion", ["execution/retries FAILED"]),
        ("js-wait-for-condition", ["execution/wait_for_condition(1) SUCCEEDED"]),
    ],
)
def test_other_sdks(shared_histories: Path, file: str, lines: list[str]) -> None:
    events = json.loads((shared_histories / f"{file}.history.json").read_text(encoding="utf-8"))
    assert outline(read_history(events)) == lines


def test_every_shared_history_is_read_without_a_note(shared_histories: Path) -> None:
    for file in sorted(shared_histories.glob("*.json")):
        events = json.loads(file.read_text(encoding="utf-8"))
        execution = read_history(events)
        assert execution.notes == ()
        ids = {event["Id"] for event in events if "Id" in event and not event["EventType"].startswith("Execution")}
        assert {one.id for one in execution} == ids
        assert all(one.is_branch == ("#" in one.path.rpartition("/")[2]) for one in execution)


@pytest.mark.parametrize(
    "write",
    [lambda moment: moment, lambda moment: moment.isoformat(), lambda moment: moment.timestamp(),
     lambda moment: round(moment.timestamp() * 1000)],
    ids=["datetime", "text", "seconds", "milliseconds"],
)  # fmt: skip
def test_timestamps_in_every_form(write: Any) -> None:
    moment = datetime.fromtimestamp(BEGAN, UTC)
    events = [{**event, "EventTimestamp": write(moment)} for event in Script().step(1).events]
    assert read_history(events).operations[0].started_at == moment


def test_pages_order_and_repetition_do_not_matter() -> None:
    events = Script().step(1, "a").wait(2, "b").step(3, "c").invocation_ends().execution_ends().events
    expected = read_history(events)
    for form in (events[::-1], {"Events": events}, [{"Events": events[:5]}, {"Events": events[3:]}]):
        assert read_history(form) == expected


def test_events_without_ids_are_numbered() -> None:
    events = [{key: value for key, value in event.items() if key != "EventId"} for event in Script().step(1).events]
    assert read_history(events).operations[0].events == (2, 3)


@pytest.mark.parametrize("broken", ["7", None, [], {}, 1.5, True])
def test_events_with_an_unreadable_id_are_numbered_by_their_place(broken: Any) -> None:
    events = [dict(event) for event in Script().step(1).events]
    events[1]["EventId"] = broken
    read = read_history(events)
    assert [event["EventId"] for event in read.events] == list(range(1, len(events) + 1))
    assert read.operations[0].events == read_history(Script().step(1).events).operations[0].events


def test_without_invocation_events_invocations_are_inferred() -> None:
    script, id_ = Script(), operation_id(None, 1)
    script.add("StepStarted", id_).add("StepFailed", id_, RetryDetails={"NextAttemptDelaySeconds": 2})
    script.add("StepStarted", id_).add("StepSucceeded", id_).execution_ends()
    invocations = read_history(script.events).invocations
    assert [(one.number, one.is_inferred, one.outcome) for one in invocations] == [
        (1, True, "PENDING"),
        (2, True, "SUCCEEDED"),
    ]


def test_a_trace_adds_call_sites_and_the_invocation_it_is_of() -> None:
    site = CallSite("flow.py", 7, "flow")
    id_ = operation_id(None, 1)
    entry = TraceEntry(1, id_, "flow/a", "STEP", call_site=site, happened="replayed", body="b1")
    trace = InvocationTrace(ARN, 1, request_id="r2", handler="shop:flow", entries=(entry,))
    execution = read_history(Script().step(1, "a").wait(2).invocation_ends().events, traces=[trace])
    operation = execution.operations[0]
    assert (operation.call_site, operation.details["body"], operation.path) == (site, "b1", "flow/a")
    assert execution.traces[0].invocation == 2
    assert tuple(operation.replayed_by) == (2,)
    assert execution.arn == ARN


def test_what_get_durable_execution_adds() -> None:
    answer = {"DurableExecutionArn": ARN, "Status": "TIMED_OUT", "InputPayload": "3", "Error": {"ErrorType": "T"}}
    events = [event for event in Script().events if event["EventType"] != "ExecutionStarted"]
    execution = read_history(events, execution=answer)
    assert (execution.arn, execution.status, execution.input) == (ARN, "TIMED_OUT", "3")
    assert execution.error == ErrorObject(None, "T")


def test_the_arn_may_stand_beside_the_events() -> None:
    assert read_history({"DurableExecutionArn": ARN, "Events": Script().events}).arn == ARN


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"Operations": []}, "the keys Operations"),
        ("text", '"text"'),
        (7, "This is 7, not"),
        ([1, 2], "Entry 0 of the history is 1, not an event"),
        ([{"a": 1}], "None of the 1 entries"),
        (None, "This is null, not"),
    ],
)
def test_what_is_no_history_is_refused_with_a_hint(document: Any, words: str) -> None:
    with pytest.raises(UnreadableHistoryError, match="get-durable-execution-history") as caught:
        read_history(document)
    assert words in str(caught.value)


def test_oddities_become_notes() -> None:
    script = Script().step(1).add("StepStarted", None).add("Surprise", "x")
    script.events[1]["EventTimestamp"] = "yesterday"
    loop = [operation_id(None, 7), operation_id(None, 8)]
    script.add("ContextStarted", loop[0], parent=loop[1]).add("ContextStarted", loop[1], parent=loop[0])
    execution = read_history(script.events)
    assert len(execution.operations) == 3
    assert [
        word in "\n".join(execution.notes) for word in ("yesterday", "Surprise", "no operation id", "own ancestor")
    ] == [True] * 4


def test_truncated_payloads_are_marked() -> None:
    script, id_ = Script(), operation_id(None, 1)
    script.add("StepStarted", id_).add("StepSucceeded", id_, Result={"Truncated": True})
    assert read_history(script.events).operations[0].details["result_truncated"] is True


def test_errors_written_as_text() -> None:
    script, id_ = Script(), operation_id(None, 1)
    script.add("StepFailed", id_, Error={"Payload": '{"ErrorType":"E","ErrorMessage":"m"}'})
    script.add("StepFailed", operation_id(None, 2), Error={"Payload": "plain"})
    assert [one.error for one in read_history(script.events)] == [ErrorObject("m", "E"), ErrorObject("plain")]


def test_details_of_callbacks_and_invokes() -> None:
    script = Script()
    script.add("CallbackStarted", operation_id(None, 1), CallbackId="cb", Timeout=60, HeartbeatTimeout=0)
    script.add("ChainedInvokeStarted", operation_id(None, 2), FunctionName="f", Input={"Payload": "1"}, TenantId="t")
    script.add("WaitStarted", operation_id(None, 3), Duration="PT1M2S", ScheduledEndTimestamp=BEGAN)
    callback, invoke, wait = read_history(script.events).operations
    assert (callback.details["callback_id"], callback.details["timeout_seconds"]) == ("cb", 60)
    assert (invoke.details["function_name"], invoke.input, invoke.details["tenant_id"]) == ("f", "1", "t")
    assert wait.details["duration_seconds"] == 62
    assert wait.details["scheduled_end_at"] == datetime.fromtimestamp(BEGAN, UTC)


def test_a_thousand_contexts_in_each_other() -> None:
    script, parent = Script(), None
    for _ in range(1_000):
        id_ = operation_id(parent, 1)
        script.add("ContextStarted", id_, name="deeper", parent=parent, subtype="RunInChildContext")
        parent = id_
    execution = read_history(script.events)
    assert execution.operations[-1].depth == 999
    assert execution.operations[-1].position == 1
    assert len(execution.operations[-1].path) < 5_000


def test_many_operations_are_read_in_linear_time() -> None:
    script = Script()
    for position in range(1, 5_001):
        script.step(position, "s")
    execution = read_history(script.events)
    assert execution.operations[-1].path == "execution/s(5000)"
    assert execution.operations[-1].position == 5_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(json_values)
def test_any_json_is_read_or_refused(document: Any) -> None:
    with contextlib.suppress(UnreadableHistoryError):
        assert isinstance(read_history(document), RecordedExecution)


SAMPLE = (
    Script().step(1, "a").wait(2).add("CallbackStarted", operation_id(None, 3), CallbackId="c").invocation_ends().events
)
MEMBERS = sorted({key for event in SAMPLE for key in event})


@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.sampled_from(MEMBERS), json_values), max_size=4))
def test_garbled_members_never_break_reading(changes: list[tuple[int, str, Any]]) -> None:
    events = deepcopy(SAMPLE)
    for index, member, value in changes:
        events[index][member] = value
    try:
        execution = read_history(events)
    except UnreadableHistoryError:
        return
    assert len({one.id for one in execution.operations}) == len(execution.operations)
    assert all(one.type in OperationType for one in execution.operations)
