"""The events view: a line per history event, and one event in full."""

import json
from typing import Any

from durable_debugger.model import facts
from durable_debugger.model.facts import state_of
from durable_debugger.model.session import Session
from durable_debugger.text import durations, payloads
from durable_debugger.text.cells import pad, pad_left, safe
from durable_debugger.text.segments import Line, Part, fit
from durable_execution.history.event_fold import OPERATION_EVENTS
from durable_execution.protocol.operation import to_datetime

TYPE_WIDTH = 23


def event_line(session: Session, index: int, cells: int, *, is_cursor: bool = False) -> Line:
    """Draw one event of the history.

    Args:
        session: The session.
        index: Index of the event in the history, from 0.
        cells: Width of the line.
        is_cursor: Whether the event is selected.
    """
    event = session.event(index)
    kind = str(event.get("EventType"))
    known = OPERATION_EVENTS.get(kind)
    role = state_of(known[1], known[0]).role if known else "dim"
    parts = [
        Part("▌" if is_cursor else " ", "accent"),
        Part(pad_left(str(event.get("EventId", index + 1)), 6), "dim"),
        Part(pad_left(_offset(session, event), 10) + "  "),
        Part(pad(safe(kind), TYPE_WIDTH) + " ", role),
        Part(pad(_name(session, event), 24) + " ", "name"),
        Part(_gist(event, max(cells - TYPE_WIDTH - 44, 0)), "dim"),
    ]
    return fit(parts, cells)


def event_lines(session: Session, index: int) -> list[Line]:
    """Return one event in full, as JSON."""
    if not session.execution.events:
        return [[Part(" This recording has no history events.", "dim")]]
    event = session.event(min(index, len(session.execution.events) - 1))
    text = json.dumps(_unpacked(event), indent=2, default=str, ensure_ascii=False)
    return [[Part(" " + safe(each))] for each in text.splitlines()]


def row_of_event(session: Session, index: int) -> int | None:
    """Return the row of an event; None for events of the execution."""
    identifier = session.execution.events[index].get("Id") if session.execution.events else None
    return session.rows.get(str(identifier)) if identifier else None


def first_event_of(session: Session, row: int) -> int | None:
    """Return the index of an operation's first event."""
    numbers = session.operations[row].events
    if not numbers:
        return None
    first = numbers[0]
    events = session.execution.events
    if first <= len(events) and events[first - 1].get("EventId", first) == first:
        return first - 1
    return next((index for index, event in enumerate(events) if event.get("EventId") == first), None)


def _offset(session: Session, event: Any) -> str:
    try:
        at = to_datetime(event.get("EventTimestamp"))
    except ValueError:
        at = None
    return durations.offset(durations.between(session.execution.started_at, at))


def _name(session: Session, event: Any) -> str:
    row = session.rows.get(str(event.get("Id")))
    if row is not None:
        return facts.label(session.operations[row])
    return safe(str(event.get("Name") or ""))


def _gist(event: Any, cells: int) -> str:
    """Summarise the payload or the outcome of an event."""
    details = event.get(f"{event.get('EventType')}Details")
    if not isinstance(details, dict) or cells <= 0:
        return ""
    for member in ("Error", "Result", "Input"):
        found = details.get(member)
        if isinstance(found, dict) and found.get("Payload") not in (None, "", {}):
            payload = found["Payload"]
            if isinstance(payload, dict):
                payload = f"{payload.get('ErrorType')}: {payload.get('ErrorMessage')}"
            return payloads.record_summary(str(payload), cells)
    shown = {key: value for key, value in details.items() if value not in ({}, None) and "Timestamp" not in key}
    return payloads.record_summary(json.dumps(shown, default=str), cells) if shown else ""


def _unpacked(event: Any) -> Any:
    """Replace JSON payloads by their values, to make them readable."""
    if not isinstance(event, dict):
        return event
    return {
        key: payloads.parse(value)
        if key == "Payload" and isinstance(value, str) and len(value) < payloads.PARSE_LIMIT
        else _unpacked(value)
        for key, value in event.items()
    }
