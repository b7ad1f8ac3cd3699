"""The documents that hold one execution: a history as the AWS CLI prints it, an exported JSON report, a bundle, a replay trace.

Every document that can be written can be read back, with the same execution in it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from durable_execution.history.event_texts import LARGE_TEXT, EventTexts, UnusualTextError
from durable_execution.history.reading import UnreadableHistoryError, execution_of_traces, read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol import Wire
from durable_execution.trace import read_traces, write_traces
from durable_execution.trace.schema import SCHEMA as TRACE_SCHEMA
from durable_execution.trace.schema import InvocationTrace

BUNDLE = "durable_bundle"
BUNDLE_VERSION = 1
REPORT_SCHEMA = "durable-execution"
REPORT_VERSION = 1
SCANNED = 400
"""How many characters at the beginning of a text tell a replay trace from JSON."""

NO_EVENTS = "it is an export without the events of the history, which older versions wrote: export the execution again"


def history_of(execution: RecordedExecution) -> Wire:
    """Return an execution as `aws lambda get-durable-execution-history` prints it, with its ARN, which the CLI leaves out."""
    arn = {"DurableExecutionArn": execution.arn} if execution.arn else {}
    return {**arn, "Events": list(execution.events)}


def bundle_of(execution: RecordedExecution) -> Wire:
    """Return an execution with its replay traces and its description, as one document."""
    return {BUNDLE: BUNDLE_VERSION, "arn": execution.arn, **_whole(execution)}


def report_of(execution: RecordedExecution, report: Mapping[str, Any]) -> Wire:
    """Return a report on an execution, with what is needed to read the execution back."""
    return {"schema": REPORT_SCHEMA, "version": REPORT_VERSION, **report, **_whole(execution)}


def _whole(execution: RecordedExecution) -> Wire:
    return {
        "execution": {
            "DurableExecutionName": execution.name,
            "Status": execution.status,
            "StartTimestamp": execution.started_at,
            "EndTimestamp": execution.ended_at,
            "InputPayload": execution.input,
            "Result": execution.result,
            "Error": execution.error.to_wire() if execution.error else None,
        },
        "is_from_trace": execution.is_from_trace,
        "events": [] if execution.is_from_trace else list(execution.events),
        "traces": "".join(write_traces(execution.traces)),
    }


def read_document(value: Any, *, traces: Sequence[InvocationTrace] = ()) -> RecordedExecution:
    """Read the execution that a JSON document holds.

    Args:
        value: The document: a history in any form, a report or a bundle.
        traces: Replay traces of the execution, where the document has none.

    Raises:
        UnreadableHistoryError: The document holds no execution.
    """
    is_report = isinstance(value, Mapping) and value.get("schema") == REPORT_SCHEMA
    if not is_report and not (isinstance(value, Mapping) and BUNDLE in value):
        if (
            isinstance(value, Mapping)
            and {"operations", "invocations", "notes"} <= value.keys()
            and "events" not in value
        ):
            raise UnreadableHistoryError(NO_EVENTS)
        return read_history(value, traces=traces)
    found = read_traces(value["traces"]) if value.get("traces") else tuple(traces)
    if value.get("is_from_trace") and found:
        return execution_of_traces(found)
    return read_history(value.get("events") or [], arn=value.get("arn"), traces=found, execution=value.get("execution"))


def read_text(
    text: str, *, traces: Sequence[InvocationTrace] = (), parse: Callable[[str], Any] = json.loads
) -> RecordedExecution:
    """Read the execution that a text holds.

    Args:
        text: A JSON document, or the lines of a replay trace.
        traces: Replay traces of the execution, where the document has none.
        parse: Parses JSON.

    Raises:
        DurableError: The text holds no execution.
    """
    if not text.strip():
        raise UnreadableHistoryError("it is empty, not JSON. Export the history again")
    if is_trace(text):
        return execution_of_traces(read_traces(text))
    if len(text) >= LARGE_TEXT:
        with suppress(UnusualTextError):
            return read_history(EventTexts(text), traces=traces)
    try:
        value = parse(text)
    except ValueError as error:
        raise UnreadableHistoryError(
            f"it is not JSON ({error}); the file may be truncated. Export the history again"
        ) from None
    except RecursionError:
        raise UnreadableHistoryError("it is nested too deeply to be a history") from None
    return read_document(value, traces=traces)


def is_trace(text: str) -> bool:
    """Whether a text begins as a replay trace does."""
    head = text[:SCANNED]
    return (
        TRACE_SCHEMA in head
        and text.lstrip().startswith("{")
        and not any(f'"{word}"' in head for word in (BUNDLE, REPORT_SCHEMA))
    )
