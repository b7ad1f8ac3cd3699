"""What the step view shows of the past, and where it stops."""

from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model import facts
from durable_debugger.model.moments import CALLS, MomentKind
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.sources.files import load_file
from durable_debugger.text import payloads
from durable_debugger.text.segments import plain
from durable_debugger.views.inspector import inspector_lines
from durable_debugger.views.outline import outline_line
from durable_debugger.views.value import value_lines
from durable_debugger.views.variables import locals_lines
from tests.tui.broken import CASES, record
from tests.tui.conftest import Drive, main_of, order_session, screen_text, settled

TAGGED = (
    '{"t":"br","v":{"all":{"t":"l","v":[{"t":"m","v":{"index":{"t":"i","v":0},"result":{"t":"s","v":"told ann"}}}]}}}'
)


def broken(name: str, directory: Path) -> Session:
    case = record(next(case for case in CASES if case.name == name), directory)
    loaded = load_file(str(case.history))
    return Session(loaded.execution, as_of=loaded.as_of)


def row_of(session: Session, name: str) -> int:
    return next(row for row, each in enumerate(session.operations) if each.name == name)


def inspected(session: Session) -> str:
    return "\n".join(plain(line) for line in inspector_lines(session, 100))


def test_stepping_over_stays_in_a_branch_and_then_returns_to_the_map(tmp_path: Path) -> None:
    session = broken("set_order", tmp_path)
    first = row_of(session, "notify_bob")
    session.seek(session.playback.first_call_of(first))
    session.seek(session.playback.over(1))
    moment = session.playback.current
    assert moment is not None
    assert moment.row == session.outline.parent(first), "the branch ends; the next branch is not entered"
    session.seek(session.playback.over(1))
    assert session.playback.current is not None
    assert session.playback.current.row == session.outline.parent(session.outline.parent(first))


def test_a_call_that_has_not_ended_shows_nothing_from_the_future() -> None:
    session = order_session(with_differences=False)
    row = row_of(session, "charge_card")
    session.seek(session.playback.first_call_of(row))
    shown = inspected(session)
    assert "81.20" not in shown
    assert "3 attempts" not in shown
    assert "6.1s" not in shown
    assert "ended     —" in shown
    assert not any("81.20" in plain(line) for line in value_lines(session))
    session.leave_travel()
    assert "81.20" in inspected(session)


def test_an_execution_shows_no_outcome_before_it_ends(tmp_path: Path) -> None:
    session = broken("exception_outside_step", tmp_path)
    session.seek(0)
    assert "ValueError" not in inspected(session)
    session.seek(len(session.playback) - 1)
    assert "ValueError" in inspected(session)


def test_the_row_of_the_execution_counts_no_time_from_the_future(tmp_path: Path) -> None:
    session = broken("runtime_divergence", tmp_path)
    assert "05:00.0" in plain(outline_line(session, ROOT, 80, is_cursor=False))
    session.seek(session.playback.first_call_of(row_of(session, "reserve")))
    assert "00:00.0" in plain(outline_line(session, ROOT, 80, is_cursor=False))


def test_a_finished_call_does_not_say_which_later_invocations_replay_it(tmp_path: Path) -> None:
    session = broken("runtime_divergence", tmp_path)
    row = row_of(session, "reserve")
    session.seek(session.playback.first_call_of(row))
    session.seek(session.playback.over(1))
    session.select(row)
    assert "reserved A1" in inspected(session)
    assert "replayed in" not in inspected(session)
    session.leave_travel()
    assert "replayed in 2" in inspected(session)


def test_variables_stay_known_between_calls() -> None:
    session = order_session(with_differences=False)
    kinds = set()
    session.seek(session.playback.first_call_of(row_of(session, "charge_card")))
    while session.playback.current is not None and session.playback.current.invocation == 1:
        if session.playback.last_called() != ROOT:
            text = " ".join(plain(line) for line in locals_lines(session, 80))
            assert "not recorded" not in text, session.playback.current
            kinds.add(session.playback.current.kind)
        session.seek(session.playback.position + 1)
    assert MomentKind.INVOCATION_ENDED in kinds


def test_an_exception_outside_any_step_is_a_stop_and_a_failure(tmp_path: Path) -> None:
    session = broken("exception_outside_step", tmp_path)
    session.seek(0)
    found = session.playback.to_next(1, session.is_stop)
    assert found is not None
    assert session.playback.moments[found].kind is MomentKind.INVOCATION_ENDED
    session.select(0)
    assert session.next_failure() == ROOT


def test_a_run_time_difference_is_a_stop_in_the_invocation_that_met_it(tmp_path: Path) -> None:
    session = broken("runtime_divergence", tmp_path)
    session.seek(0)
    found = session.playback.to_next(1, session.is_stop)
    assert found is not None
    moment = session.playback.moments[found]
    assert (facts.label(session.operations[moment.row]), moment.invocation) == ("pause", 2)
    assert moment.kind in CALLS


@pytest.mark.parametrize("cells", [40, 200])
def test_values_are_shown_without_type_tags(cells: int) -> None:
    assert '"t"' not in payloads.summary(TAGGED, cells)
    assert payloads.pretty(TAGGED)[:2] == ["{", '  "all": [']
    assert payloads.parse('{"t": "x", "v": 1, "w": 2}') == {"t": "x", "v": 1, "w": 2}


def test_help_and_quit_are_in_the_footer_of_every_view_at_80_columns(drive: Drive) -> None:
    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        for view in "12345":
            await pilot.press(view)
            await settled(app, pilot)
            footer = screen_text(app).splitlines()[-1]
            assert "? Help" in footer
            assert "q Quit" in footer

    drive(order_session(), look)


def test_variables_are_visible_in_the_step_view_at_80_columns(drive: Drive) -> None:
    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("3")
        await settled(app, pilot)
        assert "Locals" in screen_text(app)
        assert "paid" in screen_text(app)

    drive(order_session(), look)


def test_a_row_of_todays_code_alone_opens_its_own_line_and_steps_to_its_place(
    drive: Drive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session = broken("runtime_divergence", tmp_path)
    opened: list[list[str]] = []
    monkeypatch.setenv("EDITOR", "editor")
    monkeypatch.setattr("subprocess.run", lambda command, **_: opened.append(command))
    monkeypatch.setattr(DebuggerApp, "suspend", lambda _: __import__("contextlib").nullcontext())
    assert session.differences is not None
    site = session.differences.aligned[session.differences.roots[0]].replayed
    assert site is not None
    assert site.side.call_site is not None
    moved = site.side.call_site._replace(line=7)
    site.side = replace(site.side, call_site=moved)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("4")
        await settled(app, pilot)
        assert "▌≠ +" in screen_text(app)
        await pilot.press("e")
        assert opened[-1][1] == "+7"
        await pilot.press("s")
        await settled(app, pilot)
        assert main_of(app).view == "step"
        assert session.playback.current is not None
        assert facts.label(session.operations[session.playback.current.row]) == "pause"
        assert session.playback.current.invocation == 2

    drive(session, script)
