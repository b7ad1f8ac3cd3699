"""The headline of an execution that waits, runs or differs: everything that is due, and whole in a small window."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_debugger.model import facts
from durable_debugger.model.facts import State
from durable_debugger.model.headline import Headline
from durable_debugger.model.moments import Moment, MomentKind, Moments
from durable_debugger.model.session import Session
from durable_debugger.text.segments import plain
from durable_debugger.views.chrome import headline_lines
from durable_execution.history.reading import read_history
from durable_execution.protocol import ErrorObject
from tests.tui.conftest import order_session

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
NOW = START + timedelta(hours=1)


def session_of(*events: dict[str, Any], as_of: datetime = NOW) -> Session:
    """An execution that has begun, one hour later."""
    started = {"EventType": "ExecutionStarted", "ExecutionStartedDetails": {"Input": {"Payload": "{}"}}}
    stamped = [
        {**each, "EventId": number, "EventTimestamp": START.isoformat()}
        for number, each in enumerate((started, *events), 1)
    ]
    return Session(read_history(stamped, arn="arn"), as_of=as_of)


def step(name: str) -> dict[str, Any]:
    """A step that has started."""
    return {"EventType": "StepStarted", "Id": name, "Name": name, "SubType": "Step", "StepStartedDetails": {}}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, ", without a timeout"),
        ({"Timeout": 7200}, ", times out in 1h 00m"),
        ({"Timeout": 7200, "HeartbeatTimeout": 600}, ", times out in 1h 00m, or after 10:00 without a heartbeat"),
        ({"HeartbeatTimeout": 600}, ", times out after 10:00 without a heartbeat"),
        ({"Timeout": 60, "HeartbeatTimeout": 600}, ", timed out 59:00 ago"),
    ],
)
def test_a_callback_is_due_at_its_timeout_or_without_a_heartbeat(limits: dict[str, int], said: str) -> None:
    details = {"CallbackId": "abc", **limits}
    session = session_of(
        {"EventType": "CallbackStarted", "Id": "a", "Name": "approval", "CallbackStartedDetails": details}
    )
    assert session.headline.text == f'Waiting for callback "approval" since 1h 00m{said}'


def test_calls_that_run_at_the_same_time_are_counted() -> None:
    soon = START + timedelta(minutes=5)
    session = session_of(step("a"), step("b"), step("c"), as_of=soon)
    assert session.headline.text == "Running c since 05:00, and 2 more calls"
    assert session_of(step("a"), as_of=soon).headline.text == "Running a since 05:00"


def test_a_long_headline_leaves_out_the_context_before_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    session = order_session()
    found = Headline(
        f"Diverged at call 2 of {'around/' * 40}inner: the end", "divergence", short="Diverged at call 2: the end"
    )
    monkeypatch.setattr(Session, "headline", found)
    assert [plain(line) for line in headline_lines(session, 80)] == [" ≠ Diverged at call 2: the end"]
    monkeypatch.setattr(Session, "headline", replace(found, text="Diverged at call 2 of inner: the end"))
    assert [plain(line) for line in headline_lines(session, 80)] == [" ≠ Diverged at call 2 of inner: the end"]


def test_the_remark_on_a_failed_call_begins_with_the_class_and_not_with_its_module() -> None:
    operation = replace(
        order_session().operations[0],
        error=ErrorObject("no answer", "weather.stations.StationOfflineError"),
        attempts=(),
    )
    failed = replace(operation, status=type(operation.status)("FAILED"))
    assert facts.note(failed, None, None) == "StationOfflineError: no answer"


def test_moments_in_columns_are_the_moments_that_were_put_in() -> None:
    moments = [
        Moment(MomentKind.INVOCATION_STARTED, -1, 1, START, State.RUNNING),
        Moment(MomentKind.REPLAYED_RUN, 3, 2, None, State.SUCCEEDED, calls=61),
        Moment(MomentKind.ATTEMPT_ENDED, 0, 2, NOW + timedelta(microseconds=1), State.RETRYING, 3),
    ]
    kept = Moments(moments)
    assert list(kept) == moments
    assert (kept[-1], kept[1:]) == (moments[-1], moments[1:])
    assert list(kept.of_kind(MomentKind.REPLAYED_RUN)) == [1]
    assert list(kept.of_kind(MomentKind.DIVERGED)) == []
