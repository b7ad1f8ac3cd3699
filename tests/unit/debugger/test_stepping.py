"""Moments of a recording, and travelling through them."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_debugger.model import facts
from durable_debugger.model.facts import State
from durable_debugger.model.moments import CALLS, Moment, MomentKind
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.screens.navigation import target_of
from durable_debugger.views.source import current_site
from durable_execution.history.reading import read_history
from tests.tui.recordings import LINES, START, Recording, order_execution, tree_execution


def order(*, with_traces: bool = True) -> Session:
    return Session(order_execution(with_traces=with_traces), as_of=START + timedelta(minutes=2))


def now(session: Session) -> Moment:
    assert session.playback.current is not None
    return session.playback.current


def reached(session: Session, text: str) -> int:
    found = target_of(session, text)
    assert found is not None
    return found


def story(session: Session) -> list[str]:
    """Moments at the root level, in words."""
    told = []
    for moment in session.playback.moments:
        depth = 0 if moment.row == ROOT else session.outline.depths[moment.row]
        if depth == 0:
            name = "" if moment.row == ROOT else facts.label(session.operations[moment.row])
            told.append(f"{moment.invocation} {name} {moment.kind.name} {moment.state.word}".replace("  ", " "))
    return told


BEFORE_THE_WAIT = [
    "1 INVOCATION_STARTED running",
    "1 reserve_stock CALLED running",
    "1 reserve_stock ANSWERED ok",
    "1 charge_card CALLED running",
    "1 charge_card ATTEMPT_ENDED retrying",
    "1 charge_card ATTEMPT_STARTED running",
    "1 charge_card ATTEMPT_ENDED retrying",
    "1 charge_card ATTEMPT_STARTED running",
    "1 charge_card ANSWERED ok",
    "1 notify_all CALLED running",
    "1 notify_all ANSWERED ok",
    "1 cooling_off CALLED waiting",
    "1 INVOCATION_ENDED waiting",
    "1 cooling_off SETTLED ok",
]
AFTER_THE_WAIT = [
    "2 INVOCATION_STARTED running",
    "2 reserve_stock REPLAYED ok",
    "2 charge_card REPLAYED ok",
    "2 notify_all REPLAYED ok",
    "2 cooling_off REPLAYED ok",
    "2 reserve_courier CALLED running",
    "2 reserve_courier ANSWERED ok",
    "2 ship_parcel CALLED running",
    "2 ship_parcel ANSWERED ok",
    "2 audit CALLED running",
    "2 audit ANSWERED ok",
    "2 manager_approval CALLED waiting",
    "2 INVOCATION_ENDED waiting",
]


@pytest.mark.parametrize("with_traces", [False, True], ids=["history only", "with traces"])
def test_a_recording_is_told_call_by_call(with_traces: bool) -> None:
    told = story(order(with_traces=with_traces))
    assert sorted(told[:14]) == sorted(BEFORE_THE_WAIT)
    assert told[14:] == AFTER_THE_WAIT


def test_a_history_without_traces_is_told_in_its_own_order() -> None:
    assert story(order(with_traces=False)) == BEFORE_THE_WAIT + AFTER_THE_WAIT


def test_at_the_end_every_call_is_in_its_recorded_state(shared_histories: Path) -> None:
    for path in sorted(shared_histories.glob("*.json")):
        session = Session(read_history(json.loads(path.read_text())), as_of=None)
        session.playback.seek(len(session.playback) - 1)
        for row, operation in enumerate(session.operations):
            assert session.playback.state(row) is facts.state(operation), f"{path.name}: {operation.path}"


@given(st.lists(st.integers(-1, 500), max_size=12))
def test_the_state_depends_on_the_moment_and_not_on_the_way_there(positions: list[int]) -> None:
    session, fresh = order(), order()
    for position in positions:
        session.playback.seek(position)
    fresh.playback.seek(session.playback.position)
    for row in range(len(session.operations)):
        assert session.playback.state(row) is fresh.playback.state(row)
        assert session.playback.is_called(row) == fresh.playback.is_called(row)


def test_before_the_first_moment_nothing_is_reached() -> None:
    session = order()
    session.playback.seek(-1)
    assert {session.playback.state(row) for row in range(len(session.operations))} == {State.NOT_REACHED}


def test_four_steps_over_and_four_back_lead_to_where_one_was() -> None:
    session = order()
    session.travel_to_cursor()
    start = session.playback.position
    for direction in (1, 1, 1, 1, -1, -1, -1, -1):
        assert session.seek(session.playback.over(direction))
    assert session.playback.position == start
    assert facts.label(session.operations[session.cursor]) == "reserve_stock"


def test_stepping_over_stays_out_of_branches_and_into_goes_in() -> None:
    session = order()
    session.seek(session.playback.first_call_of(session.rows[_id(session, "notify_all")]))
    session.seek(session.playback.into(1))
    assert facts.label(session.operations[session.cursor]) == "email"
    session.seek(session.playback.out(1))
    assert facts.label(session.operations[session.cursor]) == "notify_all"
    assert now(session).kind is MomentKind.ANSWERED
    session.seek(session.playback.over(1))
    assert facts.label(session.operations[session.cursor]) == "cooling_off"


def test_out_of_the_root_context_is_the_end_of_the_invocation() -> None:
    session = order()
    session.travel_to_cursor()
    happened = []
    for direction in (1, -1):
        session.seek(session.playback.out(direction))
        happened.append(now(session).kind)
    assert happened == [MomentKind.INVOCATION_ENDED, MomentKind.INVOCATION_STARTED]


def test_stops_are_breakpoints_and_failures() -> None:
    recording = Recording()
    recording.add("ExecutionStarted", 0, Id="x", Name="failing")
    recording.step("first", 0.1, 0.2)
    recording.call("broken")
    recording.add("StepStarted", 0.3, **recording.members("broken", "Step", None))
    recording.failed_attempt("broken", 0.4, delay=None, error="no", attempt=1)
    recording.step("last", 0.5, 0.6)
    recording.invocation(0.0, 0.7, 1)
    session = Session(read_history(recording.events), as_of=START)
    session.seek(0)
    assert session.seek(session.playback.to_next(1, session.is_stop))
    assert facts.label(session.operations[session.cursor]) == "broken"
    assert not session.seek(session.playback.to_next(1, session.is_stop))
    session.toggle_breakpoint(2)
    assert session.seek(session.playback.to_next(1, session.is_stop))
    assert facts.label(session.operations[session.cursor]) == "last"
    assert not session.toggle_breakpoint(2)


def test_retries_over_invocations_are_called_again_while_they_are_open() -> None:
    recording = Recording()
    recording.add("ExecutionStarted", 0, Id="x", Name="retrying")
    recording.call("flaky")
    members = recording.members("flaky", "Step", None)
    recording.add("StepStarted", 0.1, **members)
    recording.failed_attempt("flaky", 0.2, delay=2, error="no", attempt=1)
    recording.invocation(0.0, 0.3, 1)
    recording.add("StepStarted", 2.3, **members)
    recording.add("StepSucceeded", 2.4, {"Result": {"Payload": "1"}, "RetryDetails": {"CurrentAttempt": 2}}, **members)
    recording.invocation(2.2, 2.5, 2)
    session = Session(read_history(recording.events), as_of=START)
    assert [moment.kind for moment in session.playback.moments if moment.invocation == 2] == [
        MomentKind.INVOCATION_STARTED,
        MomentKind.RESUMED,
        MomentKind.ATTEMPT_STARTED,
        MomentKind.ANSWERED,
        MomentKind.INVOCATION_ENDED,
    ]


def test_what_was_settled_while_nothing_ran_is_answered_from_the_record() -> None:
    execution = order_execution()
    traces = [
        replace(trace, entries=tuple(replace(entry, happened="pending") for entry in trace.entries))
        for trace in execution.traces
    ]
    session = Session(replace(execution, traces=tuple(traces)), as_of=START)
    assert "2 cooling_off REPLAYED ok" in story(session)
    assert not any("RESUMED" in told for told in story(session))


def test_going_to_a_call_an_invocation_or_a_time() -> None:
    session = order()
    playback = session.playback
    assert playback.moments[reached(session, "i2")].kind is MomentKind.INVOCATION_STARTED
    assert target_of(session, "1") == playback.calls[0]
    at = playback.moments[reached(session, "00:38.7")].at
    assert at is not None
    assert at <= START + timedelta(seconds=38.7)
    assert target_of(session, "38.7s") == target_of(session, "00:38.7")
    for nonsense in ("", "i9", "9999", "soon", "0"):
        assert target_of(session, nonsense) is None


def test_an_execution_without_events_has_nothing_to_travel_through() -> None:
    session = Session(tree_execution([0, 0]), as_of=None)
    assert not session.travel_to_cursor()
    assert len(session.playback) == 0


def test_where_an_invocation_ends_the_code_stands_at_its_last_call() -> None:
    session = order()
    session.seek(next(i for i, each in enumerate(session.playback.moments) if each.kind is MomentKind.INVOCATION_ENDED))
    site = current_site(session)
    assert site is not None
    assert site.line == LINES["cooling_off"]


def test_calls_are_numbered_within_their_invocation() -> None:
    session = order()
    session.seek(session.playback.start_of(2))
    assert session.playback.call_number() == 0
    session.seek(session.playback.into(1))
    assert session.playback.call_number() == 1
    assert session.playback.call_count(1) == 8
    assert all(session.playback.moments[index].kind in CALLS for index in session.playback.calls)


def _id(session: Session, name: str) -> str:
    return next(operation.id for operation in session.operations if operation.name == name)


@pytest.mark.parametrize(
    "broken",
    [{"Id": []}, {"Id": {}}, {"EventId": "x"}, {"EventType": None}, {"StepSucceededDetails": 7},
     {"StepSucceededDetails": {"RetryDetails": 1.5}}, {"EventTimestamp": "0001-01-01T00:00:00+23:59"}, {"EventTimestamp": float("nan")}],
    ids=str,
)  # fmt: skip
def test_a_garbled_event_is_stepped_over(broken: dict[str, object]) -> None:
    events = [dict(event) for event in order_execution(with_traces=False).events]
    place = next(index for index, event in enumerate(events) if event["EventType"] == "StepSucceeded")
    events[place] |= broken
    session = Session(read_history(events), as_of=START + timedelta(minutes=2))
    assert story(session)
