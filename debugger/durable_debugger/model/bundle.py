"""One file to send to a colleague: the execution's history, its replay traces, and its API description."""

from collections.abc import Mapping
from typing import Any

from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.trace import read_traces, write_traces

MEMBER = "durable_bundle"
VERSION = 1


def bundle_of(execution: RecordedExecution) -> dict[str, Any]:
    """The execution as a JSON-ready bundle."""
    return {
        MEMBER: VERSION,
        "arn": execution.arn,
        "execution": {
            "DurableExecutionName": execution.name,
            "Status": execution.status,
            "StartTimestamp": execution.started_at,
            "EndTimestamp": execution.ended_at,
            "InputPayload": execution.input,
            "Result": execution.result,
        },
        "events": list(execution.events),
        "traces": "".join(write_traces(execution.traces)),
    }


def read_bundle(value: Mapping[str, Any]) -> RecordedExecution:
    """Read the execution from a bundle."""
    traces = value.get("traces")
    return read_history(
        value.get("events") or [],
        arn=value.get("arn"),
        traces=read_traces(traces) if traces else (),
        execution=value.get("execution"),
    )
