"""An execution as text: a line for how it ended, one for every event of its history, one for every log record."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from durable_execution import BatchResult
from durable_execution.serdes import tagged
from tests.conformance.running import Outcome

LONGEST_PAYLOAD = 140
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00")
REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
OPERATION_ID = re.compile(r"[0-9a-f]{64}")


def render(outcome: Outcome) -> list[str]:
    """The lines. Operations are called A, B, C … in the order in which they first appear."""
    labels: dict[str, str] = {}
    lines = [_ending(outcome)]
    lines += [_event(event, labels) for event in outcome.events]
    lines += [_record(record, labels) for record in outcome.records]
    return lines


def _ending(outcome: Outcome) -> str:
    if outcome.status == "SUCCEEDED":
        return f"SUCCEEDED {_shortened(outcome.result)}"
    return f"{outcome.status} {_error(outcome.error)}" if outcome.error is not None else outcome.status


def _event(event: Mapping[str, Any], labels: dict[str, str]) -> str:
    kind = event["EventType"]
    words = [f"{event['EventId']:>3} {kind}"]
    if not kind.startswith("Execution") and "Id" in event:
        words.append(_label(event["Id"], labels))
        if "ParentId" in event:
            words.append(f"in {_label(event['ParentId'], labels)}")
        words.append(event.get("SubType", "without subtype"))
        if "Name" in event:
            words.append(f'"{event["Name"]}"')
    return " ".join([*words, *_details(event.get(f"{kind}Details") or {})])


def _details(details: Mapping[str, Any]) -> Iterator[str]:
    retry = details.get("RetryDetails")
    if retry is not None:
        yield f"attempt {retry['CurrentAttempt']}"
    for name, word in (
        ("FunctionName", "calls"),
        ("TenantId", "for"),
        ("Duration", "seconds"),
        ("Timeout", "timeout"),
        ("HeartbeatTimeout", "heartbeat"),
    ):
        if details.get(name):
            yield f"{word} {details[name]}"
    yield from (f"= {_shortened(details[name].get('Payload'))}" for name in ("Input", "Result") if name in details)
    if "Error" in details:
        yield f"! {_error(details['Error'].get('Payload'))}"
    if retry is not None and "NextAttemptDelaySeconds" in retry:
        yield f"again in {retry['NextAttemptDelaySeconds']}"


def _error(error: Mapping[str, Any] | None) -> str:
    if not error:
        return "no reason"
    return f"{error.get('ErrorType', '-').rpartition('.')[2]}: {_shortened(error.get('ErrorMessage'))}"


def _shortened(payload: str | None) -> str:
    if not payload:
        return "nothing" if payload is None else "an empty text"
    text = payload.replace("\n", "⏎")
    if text.startswith('{"t":"br"'):
        return _batch(payload)
    return text if len(text) <= LONGEST_PAYLOAD else f"{text[:30]}… ({len(text)} characters)"


def _batch(payload: str) -> str:
    """A batch without what differs from machine to machine: the stack traces of its errors."""
    batch: BatchResult[Any] = tagged.loads(payload)
    items = [f"{item.index} {item.status}" for item in batch]
    return f"batch of {', '.join(items) or 'nothing'}: {batch.completion_reason}"


def _label(operation_id: str, labels: dict[str, str]) -> str:
    return labels.setdefault(operation_id, chr(ord("A") + len(labels)))


def _record(record: Mapping[str, Any], labels: dict[str, str]) -> str:
    if "plugin" not in record:
        fields = [name for name in ("attempt", "operationName") if name in record]
        return " ".join(["log", record["message"], *(f"{name}={record[name]}" for name in fields)])
    shown = {name: value for name, value in record.items() if name != "durableExecutionArn"}
    text = json.dumps(shown, ensure_ascii=False)
    text = OPERATION_ID.sub(lambda found: _label(found[0], labels), text)
    return "log " + REQUEST_ID.sub("<request>", TIMESTAMP.sub("<time>", text))
