"""What the comparison with a requirement lets pass, and what it does not."""

from typing import Any

import pytest

from tests.conformance.matching import complaints
from tests.conformance.requirement import Requirement
from tests.conformance.running import Outcome

EVENTS: list[dict[str, Any]] = [
    {"EventId": 1, "EventType": "ExecutionStarted"},
    {"EventId": 2, "EventType": "StepStarted", "Id": "a", "StepStartedDetails": {}},
    {"EventId": 3, "EventType": "StepSucceeded", "Id": "a", "StepSucceededDetails": {"Result": {"Payload": "1"}}},
]
RECORDS: list[dict[str, Any]] = [
    {"hook": "start", "n": 1, "first": True},
    {"message": "running"},
    {"hook": "end", "n": 1},
]


def judged(
    *events: dict[str, Any], result: Any = 1, status: str = "SUCCEEDED", logs: tuple[dict[str, Any], ...] = ()
) -> list[str]:
    required = Requirement("0-0", None, True, status, result, True, events, logs, ())
    return complaints(required, Outcome("SUCCEEDED", "1", None, EVENTS, RECORDS))


@pytest.mark.parametrize(
    "event",
    [
        {"EventId": 2, "EventType": "StepStarted", "StepStartedDetails": {}},
        {"EventId": 3, "EventType": "*", "Id": "${STEP}", "StepSucceededDetails": {"Result": {"Payload": "1"}}},
        {"EventId": 3, "EventType": "${/Suc.*ed/}", "StepSucceededDetails": {"Result": {}}},
    ],
)
def test_what_is_listed_is_there(event: dict[str, Any]) -> None:
    assert judged(event) == []


@pytest.mark.parametrize(
    "event",
    [
        {"EventId": 3, "EventType": "StepStarted"},
        {"EventId": 4, "EventType": "StepStarted"},
        {"EventId": 2, "EventType": "StepStarted", "Name": "*"},
        {"EventId": 2, "EventType": "StepStarted", "StepSucceededDetails": {}},
        {"EventId": 3, "EventType": "${/^Failed/}"},
        {"EventId": 3, "EventType": "StepSucceeded", "StepSucceededDetails": {"Result": {"Payload": "2"}}},
        {"EventId": 3, "EventType": "StepSucceeded", "StepSucceededDetails": {"Result": {"Payload": {"deep": 1}}}},
    ],
)
def test_what_is_not_as_listed_is_a_complaint(event: dict[str, Any]) -> None:
    assert len(judged(event)) == 1


def test_a_name_stands_for_one_value() -> None:
    assert judged({"EventId": 2, "EventType": "*", "Id": "${X}"}, {"EventId": 3, "EventType": "*", "Id": "${X}"}) == []
    assert judged({"EventId": 2, "EventType": "${X}"}, {"EventId": 3, "EventType": "${X}"}) != []


def test_status_and_result_count() -> None:
    assert judged(result=2) == ["the result is 1, not 2"]
    assert judged(status="FAILED") == ["the execution is SUCCEEDED, not FAILED: None"]


@pytest.mark.parametrize(
    "log",
    [
        {"match": {"hook": "start", "first": True}, "count": 1},
        {"match": {"hook": "/./", "n": "/^1$/"}, "min_count": 2},
        {"match": {"first": "/.*/"}, "count": 1},
        {"match": {"hook": "end"}, "count": 1, "after": [{"message": "/run/"}]},
        {"match": {"hook": "retry"}, "count": 0},
    ],
)
def test_log_records_that_are_as_listed(log: dict[str, Any]) -> None:
    assert judged(logs=(log,)) == []


@pytest.mark.parametrize(
    "log",
    [
        {"match": {"hook": "start"}, "count": 2},
        {"match": {"hook": "start", "first": 1}, "count": 1},
        {"match": {"hook": "start"}, "min_count": 2},
        {"match": {"hook": "start"}, "count": 1, "after": [{"message": "/run/"}]},
        {"match": {"hook": "end"}, "count": 1, "after": [{"message": "/never/"}]},
    ],
)
def test_log_records_that_are_not(log: dict[str, Any]) -> None:
    assert len(judged(logs=(log,))) == 1
