"""Records the cases of the corpus."""

import hashlib
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from typing import Any

from durable_execution.protocol import Wire
from tests.replay.corpus_cases import Case, changed
from tests.replay.programs import handler_of
from tests.replay.recording import history_of


def billing(event: Any, context: Any) -> Any:
    """A function that programs invoke."""
    return {"billed": event}


def record_case(case: Case) -> dict[str, Any]:
    """One case as it is written to its file."""
    functions = {"billing": billing, "ledger": billing}
    program = {"handler": "flow", "body": case.body}
    events, _ = history_of(handler_of(program), callbacks=case.callbacks, functions=functions)
    history: Any = [plain(event) for event in events][: case.keep]
    if case.mangle is not None:
        history = MANGLERS[case.mangle](history)
    expected = {"kind": case.kind, "path": case.path} if case.kind else None
    return {
        "title": case.title,
        "recorded_program": program,
        "replayed_program": {"handler": "flow", "body": changed(case)},
        "expected": expected,
        "history": history,
    }


def plain(value: Any) -> Any:
    """An event as the API's JSON."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def _without_payloads(history: list[Wire]) -> list[Wire]:
    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {"Truncated": True} if "Payload" in value else {key: cut(item) for key, item in value.items()}
        return value

    return [cut(event) for event in history]


def _foreign(parent: str | None) -> Callable[[list[Wire]], list[Wire]]:
    def add(history: list[Wire]) -> list[Wire]:
        around = next((event["Id"] for event in history if parent and event.get("Name") == parent), None)
        own = hashlib.sha256(b"somebody else").hexdigest()
        place = {"ParentId": around} if around else {}
        at = next(i for i, event in enumerate(history) if event["EventType"] == "StepSucceeded" and i > 4) + 1
        common = {
            "Id": own,
            "Name": "agent_step",
            "SubType": "Step",
            "EventTimestamp": history[at]["EventTimestamp"],
            **place,
        }
        events = [
            {"EventType": "StepStarted", **common, "StepStartedDetails": {}},
            {
                "EventType": "StepSucceeded",
                **common,
                "StepSucceededDetails": {"Result": {"Payload": "1"}, "RetryDetails": {"CurrentAttempt": 1}},
            },
        ]
        merged = [*history[:at], *events, *history[at:]]
        return [{**event, "EventId": number} for number, event in enumerate(merged, start=1)]

    return add


def _numeric(history: list[Wire]) -> list[Wire]:
    def number(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: number(item) for key, item in value.items()}
        if isinstance(value, str) and value[:2] == "20" and "T" in value:
            return datetime.fromisoformat(value).timestamp()
        return value

    return [number(event) for event in deepcopy(history)]


MANGLERS: dict[str, Callable[[list[Wire]], Any]] = {
    "without-payloads": _without_payloads,
    "foreign": _foreign(None),
    "foreign-in-child": _foreign("prepare"),
    "reversed": lambda history: history[::-1],
    "pages": lambda history: [{"Events": history[:5], "NextMarker": "5"}, {"Events": history[4:]}],
    "numeric-timestamps": _numeric,
    "without-invocations": lambda history: [e for e in history if e["EventType"] != "InvocationCompleted"],
    "without-step-starts": lambda history: [e for e in history if e["EventType"] != "StepStarted"],
}
