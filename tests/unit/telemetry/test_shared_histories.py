"""Executions that other SDKs ran, as traces: one tree each, whatever ran them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol import OperationType
from durable_execution.telemetry.backfill import backfill
from durable_execution.telemetry.span_ids import hex_span, operation_span_id, workflow_span_id
from durable_execution.telemetry.spans import SpanRecord, SpanStatus

VIEWS = ("execution", "invocation")
REMOTE_PARENT = "53995c3f42cd8ad8"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:shared:1/durable-execution/one/0001"


def histories(folder: Path) -> dict[str, RecordedExecution]:
    found = {
        file.name: read_history(json.loads(file.read_text(encoding="utf-8")), arn=ARN) for file in folder.glob("*.json")
    }
    assert found
    return found


@pytest.mark.parametrize("view", VIEWS)
def test_each_is_one_tree(shared_histories: Path, view: str) -> None:
    for name, execution in histories(shared_histories).items():
        spans = backfill(execution, view=view)
        roots = [span for span in spans if span.parent_id is None]
        assert list(map(is_root, roots)) == [True], name
        assert roots[0].name == (execution.function_name or roots[0].name), name
        workflows = [(span.status, span.end_ns) for span in spans if span.name == "Workflow"]
        assert workflows in ([], [(roots[0].status, roots[0].end_ns)]), name
        check_tree(name, spans, still_to_come(execution, view))


@pytest.mark.parametrize("view", VIEWS)
def test_each_is_one_tree_under_a_caller(shared_histories: Path, view: str) -> None:
    for name, execution in histories(shared_histories).items():
        assert execution.started_at is not None
        began = f"{int(execution.started_at.timestamp()):08x}"
        header = f"Root=1-{began}-0123456789abcdef01234567;Parent={REMOTE_PARENT};Sampled=1"
        spans = backfill(execution, view=view, trace_header=header)
        assert {span.trace_id for span in spans} == {began + "0123456789abcdef01234567"}
        at_the_top = {span.name for span in spans if span.parent_id == REMOTE_PARENT}
        assert at_the_top >= ({"Workflow", "Invocation"} if is_over(execution) else {"Invocation"}), name
        assert not any(map(is_root, spans)), name
        check_tree(name, spans, still_to_come(execution, view))


def is_root(span: SpanRecord) -> bool:
    return "durable.execution.synthetic_root" in span.attributes


def is_over(execution: RecordedExecution) -> bool:
    return execution.ended_at is not None


def still_to_come(execution: RecordedExecution, view: str) -> set[str]:
    """In the execution view a span is sent when it ends: while the execution runs, some parents are not there yet."""
    if is_over(execution) or view == "invocation":
        return set()
    open_ones = {operation_span_id(ARN, one.id) for one in execution if not one.status.is_terminal}
    return {hex_span(span_id) for span_id in (*open_ones, workflow_span_id(ARN))}


def check_tree(name: str, spans: list[SpanRecord], later: set[str]) -> None:
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans), f"{name}: ids are not unique"
    assert len({span.trace_id for span in spans}) == 1, name
    for span in spans:
        assert 0 < span.start_ns <= span.end_ns, f"{name}: {span.name} has no end"
        assert SpanRecord.from_json(json.loads(json.dumps(span.to_json()))) == span
        if span.parent_id in {None, REMOTE_PARENT, *later}:
            continue
        assert span.parent_id in by_id, f"{name}: {span.name} has no parent"
        around = by_id[span.parent_id]
        assert around.start_ns <= span.start_ns, f"{name}: {span.name} begins before {around.name}"
        assert is_root(around) or span.end_ns <= around.end_ns, f"{name}: {span.name} ends after {around.name}"


@pytest.mark.parametrize("view", VIEWS)
def test_every_operation_and_attempt_is_there(shared_histories: Path, view: str) -> None:
    for name, execution in histories(shared_histories).items():
        spans = backfill(execution, view=view)
        by_operation: dict[str, list[SpanRecord]] = {}
        attempts: Counter[str] = Counter()
        for span in spans:
            identity = str(span.attributes.get("durable.operation.id"))
            if "durable.attempt.outcome" in span.attributes:
                attempts[identity] += 1
            elif "durable.operation.id" in span.attributes:
                by_operation.setdefault(identity, []).append(span)
        later = still_to_come(execution, view)
        expected = [one for one in execution if hex_span(operation_span_id(ARN, one.id)) not in later]
        assert {operation.id for operation in expected} <= set(by_operation), name
        for operation in expected:
            found = by_operation[operation.id]
            where = f"{name}: {operation.path}"
            statuses = [span.attributes["durable.operation.status"] for span in found]
            assert statuses[-1] == (operation.status.value if operation.status.is_terminal else "STARTED"), where
            assert set(statuses[:-1]) <= {"STARTED"}, where
            assert view == "invocation" or len(found) == 1, where
            assert found[0].span_id == hex_span(operation_span_id(ARN, operation.id)), where
            assert (found[-1].status is SpanStatus.OK) == (operation.status == "SUCCEEDED"), where
            assert attempts[operation.id] >= len([a for a in operation.attempts if a.outcome is not None]), where
            assert operation.type is OperationType.STEP or not attempts[operation.id], where


def test_the_end_of_the_execution_is_told_once(shared_histories: Path) -> None:
    for name, execution in histories(shared_histories).items():
        for view in VIEWS:
            workflows = [span for span in backfill(execution, view=view) if span.name == "Workflow"]
            statuses = [span.attributes["durable.execution.status"] for span in workflows]
            assert statuses == ([execution.status] if is_over(execution) else []), name
