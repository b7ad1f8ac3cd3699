"""Large histories keep their events as text, and say the same as histories that are parsed."""

import json
from typing import Any

import pytest

from durable_execution.history import documents
from durable_execution.history.documents import read_text
from durable_execution.history.event_texts import EventTexts, UnusualTextError
from durable_execution.history.reading import UnreadableHistoryError
from tests.benchmarks.debugger_scale import wide

ARN = (
    "arn:aws:lambda:eu-west-1:123456789012:function:shop:1/durable-execution/order/0b0b0b0b-0000-4000-8000-000000000000"
)
EVENTS = wide(6, is_nested=True)
ENDED: dict[str, Any] = {"EventType": "InvocationCompleted", "EventId": 99, "InvocationCompletedDetails": {}}
PLAIN = {
    "a list": json.dumps(EVENTS),
    "an object": json.dumps({"Events": EVENTS}),
    "an object with an ARN": json.dumps({"DurableExecutionArn": ARN, "Events": EVENTS}),
    "an ARN after the events": json.dumps({"Events": EVENTS, "NextMarker": None, "DurableExecutionArn": ARN}, indent=2),
    "invocation events": json.dumps({"Events": [*EVENTS, ENDED]}),
    "an operation with the name of an event": json.dumps([{**EVENTS[0], "Name": "InvocationCompleted"}, *EVENTS[1:]]),
    "an event with an escaped name": json.dumps([*EVENTS, ENDED]).replace("InvocationC", "\\u0049nvocationC"),
    "text beyond ASCII": json.dumps([{**EVENTS[0], "Name": "prüfen 検査 🛒"}, *EVENTS[1:]], ensure_ascii=False),
    "an unknown event": json.dumps([*EVENTS, {"EventType": "Later", "EventId": 99}]),
}
UNUSUAL = {
    "reverse order": json.dumps(EVENTS[::-1]),
    "pages": json.dumps([{"Events": EVENTS[:4]}, {"Events": EVENTS[4:]}]),
    "no ids": json.dumps([{key: value for key, value in each.items() if key != "EventId"} for each in EVENTS]),
    "the same event twice": json.dumps([*EVENTS, EVENTS[-1]]),
    "an id that is no number": json.dumps([*EVENTS[:-1], {**EVENTS[-1], "EventId": True}]),
    "two members of that name": f'{{"Events": {json.dumps(EVENTS[:4])}, "Events": {json.dumps(EVENTS)}}}',
    "no events": '{"Events": []}',
}
DAMAGED = {
    "cut": json.dumps(EVENTS)[:-40],
    "text after it": json.dumps(EVENTS) + " x",
    "unbalanced": json.dumps({"Events": EVENTS})[:-1],
    "no comma": json.dumps(EVENTS).replace("}, {", "} {"),
}


@pytest.mark.parametrize("text", PLAIN.values(), ids=PLAIN)
def test_a_plain_history_reads_the_same_as_text(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = read_text(text)
    monkeypatch.setattr(documents, "LARGE_TEXT", 0)
    kept = read_text(text)
    assert isinstance(kept.events, EventTexts)
    assert kept == parsed
    assert kept.arn == parsed.arn
    assert kept.events[-1] == parsed.events[-1]
    assert kept.events[1:3] == parsed.events[1:3]
    with pytest.raises(IndexError):
        kept.events[len(parsed.events)]


@pytest.mark.parametrize("text", UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_history_is_parsed_whole(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = read_text(text)
    monkeypatch.setattr(documents, "LARGE_TEXT", 0)
    assert read_text(text) == parsed
    with pytest.raises(UnusualTextError):
        EventTexts(text)


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_history_is_refused_in_the_same_words(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreadableHistoryError) as parsed:
        read_text(text)
    monkeypatch.setattr(documents, "LARGE_TEXT", 0)
    with pytest.raises(UnreadableHistoryError) as kept:
        read_text(text)
    assert str(kept.value) == str(parsed.value)
