"""An execution as JSON-ready values, for `--json` and for bundles."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from durable_debugger.model import facts
from durable_execution.history.recorded import RecordedAttempt, RecordedExecution, RecordedOperation


def execution_report(execution: RecordedExecution) -> dict[str, Any]:
    """Return everything known about an execution except its raw events."""
    return {
        "arn": execution.arn,
        "name": execution.name,
        "id": execution.id,
        "function": execution.function_name,
        "handler": execution.handler,
        "status": execution.status,
        "started_at": _time(execution.started_at),
        "ended_at": _time(execution.ended_at),
        "input": execution.input,
        "result": execution.result,
        "error": execution.error.to_wire() if execution.error else None,
        "invocations": [
            {
                "number": each.number,
                "request_id": each.request_id,
                "started_at": _time(each.started_at),
                "ended_at": _time(each.ended_at),
                "outcome": each.outcome,
                "error": each.error.to_wire() if each.error else None,
                "is_inferred": each.is_inferred,
            }
            for each in execution.invocations
        ],
        "operations": [operation_report(operation) for operation in execution.operations],
        "divergences": [divergence.to_wire() for trace in execution.traces for divergence in trace.divergences],
        "notes": list(execution.notes),
        **({"forked_from": asdict(execution.forked_from)} if execution.forked_from else {}),
    }


def operation_report(operation: RecordedOperation) -> dict[str, Any]:
    """Return one operation."""
    return {
        "id": operation.id,
        "parent_id": operation.parent_id,
        "depth": operation.depth,
        "position": operation.position,
        "path": operation.path,
        "type": operation.type.value,
        "subtype": operation.subtype,
        "name": operation.name,
        "status": operation.status.value,
        "started_at": _time(operation.started_at),
        "ended_at": _time(operation.ended_at),
        "duration_seconds": facts.duration(operation),
        "input": operation.input,
        "result": operation.result,
        "error": operation.error.to_wire() if operation.error else None,
        "attempts": [_attempt(attempt) for attempt in operation.attempts],
        "call_site": operation.call_site._asdict() if operation.call_site else None,
        "executed_by": list(operation.executed_by),
        "replayed_by": list(operation.replayed_by),
        "details": _details(operation.details),
        "events": list(operation.events),
    }


def _attempt(attempt: RecordedAttempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": _time(attempt.started_at),
        "ended_at": _time(attempt.ended_at),
        "outcome": attempt.outcome,
        "error": attempt.error.to_wire() if attempt.error else None,
        "result": attempt.result,
        "next_attempt_delay_seconds": attempt.next_attempt_delay_seconds,
        "invocation": attempt.invocation,
    }


def _details(details: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _time(value) if isinstance(value, datetime) else value for key, value in details.items()}


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
