"""Selecting, jumping, growing: what all views share."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from durable_debugger.model import facts
from durable_debugger.model.facts import State
from durable_debugger.model.outline import ROOT
from durable_debugger.model.report import execution_report
from durable_debugger.model.session import Session
from durable_debugger.text.segments import line_width, plain
from durable_debugger.text.source_path import near
from durable_debugger.views.chrome import inspector_title, position_remark, status_line, tab_line
from durable_debugger.views.events import event_line, event_lines, first_event_of, row_of_event
from durable_debugger.views.inspector import inspector_lines
from durable_debugger.views.outline import outline_line
from durable_debugger.views.value import value_lines
from durable_execution.call_site import CallSite
from durable_execution.history.reading import read_history
from durable_execution.protocol import ErrorObject
from tests.tui.conftest import order_session
from tests.tui.recordings import START, Recording, order_execution, order_recording, tree_execution


def text(session: Session, row: int, cells: int = 100) -> str:
    return plain(outline_line(session, row, cells)).rstrip()


def row_of(session: Session, name: str) -> int:
    return next(row for row, each in enumerate(session.operations) if each.name == name)


def test_a_row_says_state_name_note_kind_and_duration() -> None:
    session = order_session(with_differences=False)
    assert text(session, row_of(session, "charge_card")).split() == [
        "├",
        "✓",
        "charge_card",
        "↻3",
        "attempts",
        "step",
        "6.1s",
    ]
    assert "200 items" in text(session, row_of(session, "audit"))
    assert "2 of 2" in text(session, row_of(session, "notify_all"))
    assert "waiting 02:00" in text(session, row_of(session, "manager_approval"))
    assert session.status is State.WAITING


def test_rows_have_the_width_of_the_pane_whatever_is_in_them() -> None:
    hostile = {"ship_parcel": "日本" * 40, "charge_card": "\x1b[31m[/b]\n", "audit": "", "cooling_off": "👩‍👩‍👧" * 9}
    execution = order_execution()
    operations = [replace(each, name=hostile.get(each.name or "", each.name)) for each in execution.operations]
    session = Session(replace(execution, operations=tuple(operations)), as_of=START)
    deep = Session(tree_execution(range(60)), as_of=None)
    for each in (session, deep):
        for cells in (40, 60, 80, 133):
            for row in each.outline.visible:
                assert line_width(outline_line(each, row, cells, is_cursor=True)) == cells
                each.cursor = row
                assert inspector_lines(each, cells)
            assert line_width(status_line(each, cells)) == cells
            assert line_width(tab_line("tree", cells, position_remark(each))[0]) == cells


def test_failures_are_walked_in_a_circle() -> None:
    session = Session(tree_execution([0, 0, 0, 0], statuses=["SUCCEEDED", "FAILED"]), as_of=None)
    assert session.next_failure() == 1
    session.cursor = 3
    assert session.next_failure() == 1
    assert Session(tree_execution([0]), as_of=None).next_failure() is None


def test_an_execution_that_grew_keeps_cursor_folds_breakpoints_and_search() -> None:
    events = order_recording().events
    early = Session(read_history(events[:24]), as_of=START)
    early.select(row_of(early, "charge_card"))
    early.outline.fold(row_of(early, "notify_all"))
    early.toggle_breakpoint(row_of(early, "charge_card"))
    later = early.grown(read_history(events), START + timedelta(minutes=1))
    assert facts.label(later.operations[later.cursor]) == "charge_card"
    assert later.outline.is_folded(row_of(later, "notify_all"))
    assert later.outline.is_folded(row_of(later, "audit"))
    assert later.breakpoints == {"charge_card"}
    assert facts.label(later.operations[later.latest()]) == "manager_approval"


def test_time_travel_survives_growing() -> None:
    events = order_recording().events
    early = Session(read_history(events[:24]), as_of=START)
    early.seek(3)
    later = early.grown(read_history(events), START)
    assert later.is_travelling
    assert later.playback.position == 3


def test_the_inspector_tells_ids_times_payloads_attempts_and_who_ran_it() -> None:
    session = order_session(with_differences=False)
    session.select(row_of(session, "charge_card"))
    told = "\n".join(plain(line) for line in inspector_lines(session, 100))
    for fact in (
        "TimeoutError: gateway did not answer",
        "executed in invocation 1, replayed in 2",
        "flow.py:38",
        '"81.20"',
    ):
        assert fact in told
    assert session.operations[session.cursor].id in told
    assert inspector_title(session) == "charge_card · call 2 of 8 in process_order"
    session.select(row_of(session, "manager_approval"))
    told = "\n".join(plain(line) for line in inspector_lines(session, 100))
    assert "durable-debug callback succeed" in told
    session.select(ROOT)
    told = "\n".join(plain(line) for line in inspector_lines(session, 100))
    assert "waits for callback manager_approval" in told
    assert "00000000-0000-4000-8000-000000000002" in told


def test_values_are_shown_in_full_with_errors_data_and_stack() -> None:
    execution = order_execution()
    error = ErrorObject("no\nsecond line", "shop.Declined", '{"code": 5}', ("flow.py:1 in a", "flow.py:2 in b"))
    operations = [replace(each, error=error) if each.name == "ship_parcel" else each for each in execution.operations]
    session = Session(replace(execution, operations=tuple(operations)), as_of=START)
    session.select(row_of(session, "ship_parcel"))
    told = [plain(line).strip() for line in value_lines(session)]
    assert {"no", "second line", '"code": 5', "flow.py:2 in b"} <= set(told)


def test_a_value_is_compared_with_the_one_before_it() -> None:
    recording = Recording()
    recording.add("ExecutionStarted", 0, Id="x", Name="polling")
    for number, result in enumerate(('{"state": "open", "size": 2}', '{"state": "done", "size": 2}', '{"size": 2}')):
        recording.step(f"{number}/poll", number, number + 0.5, result)
    session = Session(read_history(recording.events), as_of=START)
    session.select(0)
    assert not any("changed" in plain(line) for line in value_lines(session))
    session.select(1)
    told = [plain(line).strip() for line in value_lines(session)]
    start = told.index("changed  since the poll before")
    assert told[start + 1 : start + 4] == ['−   "state": "open",', '+   "state": "done",', ""]


def test_what_failed_in_a_batch_is_said_first() -> None:
    assert facts.Tally(200, 197, 2, is_map=True).text == "2 failed of 200 items · 1 open"
    assert facts.Tally(3, 1, 2, is_map=False).text == "2 failed of 3 branches"
    assert facts.Tally(200, 200, 0, is_map=True).text == "200 items"
    assert facts.Tally(3, 1, 0, is_map=False).text == "1 of 3"


def test_code_is_named_from_where_the_reader_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert near(str(tmp_path / "shop" / "flow.py")) == "shop/flow.py"
    assert near("/var/task/flow.py") == "flow.py"
    monkeypatch.chdir("/")
    assert near(str(tmp_path / "home" / "flow.py")) == "~/flow.py"
    assert near("/var/task/flow.py") == "flow.py"
    session = order_session()
    row = row_of(session, "charge_card")
    site = CallSite(str(tmp_path / "shop" / "flow.py"), 38, "process_order")
    error = ErrorObject("no", "shop.Declined", None, (f"{site}: raise Declined()",))
    operations = [replace(each, call_site=site, error=error) for each in session.operations]
    session = Session(replace(session.execution, operations=tuple(operations)), as_of=START)
    session.select(row)
    monkeypatch.chdir(tmp_path)
    told = "\n".join(plain(line) for line in inspector_lines(session, 100))
    assert "code      shop/flow.py:38 in process_order" in told
    assert "stack     shop/flow.py:38 in process_order: raise Declined()" in told


def test_events_know_their_rows_and_rows_their_events() -> None:
    session = order_session()
    events = session.execution.events
    for index in range(len(events)):
        assert line_width(event_line(session, index, 90)) == 90
        row = row_of_event(session, index)
        if row is not None and events[index]["EventId"] == session.operations[row].events[0]:
            assert first_event_of(session, row) == index
    assert '"EventType": "ExecutionStarted",' in plain(event_lines(session, 0)[1])
    assert "no history events" in plain(event_lines(Session(tree_execution([0]), as_of=None), 0)[0])


def test_the_report_is_complete_and_json_ready() -> None:
    import json

    report = json.loads(json.dumps(execution_report(order_execution())))
    assert report["status"] == "RUNNING"
    assert len(report["operations"]) == 212
    assert report["operations"][1]["attempts"][0]["error"]["ErrorType"] == "TimeoutError"
    assert report["operations"][1]["call_site"]["line"] == 38
