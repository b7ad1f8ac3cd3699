"""What the views say must be true together: of one difference, of one row, of files and words that are nearly alike."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.cli import main
from durable_debugger.model import facts
from durable_debugger.model.moments import CALLS, MomentKind
from durable_debugger.model.session import Session
from durable_debugger.sources.code import SourceTexts
from durable_debugger.sources.files import load_file
from durable_debugger.text.segments import plain
from durable_debugger.views.chrome import moment_words, status_line
from durable_debugger.views.diff import DiffMode, diff_line
from durable_debugger.views.step import track_lines
from durable_debugger.widgets.source_pane import SourcePane
from durable_execution.call_site import CallSite
from tests.tui.broken import CASES, FURTHER, Recorded, record
from tests.tui.conftest import Drive, order_session, screen_text, settled
from tests.tui.recordings import FLOW_TEXT, START


def recorded(name: str, directory: Path) -> Recorded:
    return record(next(case for case in (*CASES, *FURTHER) if case.name == name), directory)


def opened(case: Recorded) -> Session:
    loaded = load_file(str(case.history))
    return Session(loaded.execution, as_of=loaded.as_of)


def test_a_call_that_diverged_at_run_time_was_not_replayed(tmp_path: Path) -> None:
    session = opened(recorded("runtime_divergence", tmp_path))
    session.seek(0)
    session.seek(session.playback.to_next(1, session.is_stop))
    assert "replayed" not in moment_words(session)
    assert session.moment is not None
    assert facts.label(session.operations[session.moment.row]) == "pause"


def test_nothing_is_replayed_behind_a_difference_that_only_the_error_tells(tmp_path: Path) -> None:
    case = recorded("runtime_divergence", tmp_path)
    alone = tmp_path / "alone.history.json"
    alone.write_text(case.history.read_text())
    loaded = load_file(str(alone))
    session = Session(loaded.execution, as_of=loaded.as_of)
    calls = [each for each in session.playback.moments if each.invocation == 2 and each.kind in CALLS]
    assert [each.kind for each in calls] == [MomentKind.REPLAYED, MomentKind.REPLAYED, MomentKind.DIVERGED]
    session.seek(session.playback.moments.index(calls[-1]))
    assert moment_words(session) == 'wait pause: your code calls step "audit" here'


def test_the_track_shows_a_call_as_it_was_at_the_moment() -> None:
    session = order_session(with_differences=False)
    row = next(row for row, each in enumerate(session.recorded) if each.name == "charge_card")
    session.seek(session.playback.first_call_of(row))
    track = plain(track_lines(session, 80)[0][0])
    assert "[▸]" in track, "it has not ended yet"


def test_a_reordering_is_a_difference_without_a_screen_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = recorded("reordered", tmp_path)
    assert main(["replay", str(case.history), case.target, "--no-cause"]) == 1
    printed = capsys.readouterr()
    assert "≠ REORDERED" in printed.out
    assert "no differences" not in printed.out + printed.err


def test_pairing_by_position_keeps_the_row_of_todays_code(tmp_path: Path, drive: Drive) -> None:
    session = opened(recorded("runtime_divergence", tmp_path))

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("4")
        await settled(app, pilot)
        for _ in range(2):
            await pilot.press("m")
            assert "audit" in next(line for line in screen_text(app).splitlines() if line.startswith("▌"))
        assert "▌≠ +" in screen_text(app)

    drive(session, script)


def test_the_code_of_a_call_in_a_different_file_is_shown(drive: Drive, texts: SourceTexts, tmp_path: Path) -> None:
    (tmp_path / "shipping.py").write_text(FLOW_TEXT.replace("ship_parcel", "ship_by_boat"))
    session = order_session(with_differences=False)
    row = next(row for row, each in enumerate(session.recorded) if each.name == "ship_parcel")
    line = next(at for at, text in enumerate(FLOW_TEXT.splitlines(), start=1) if "ship_parcel, paid" in text)
    moved = [*session.recorded]
    moved[row] = replace(moved[row], call_site=CallSite("shipping.py", line, "ship"))
    session = Session(replace(session.execution, operations=tuple(moved)), as_of=START)
    session.select(row)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("s")
        await settled(app, pilot)
        pane = app.screen.query_one(SourcePane)
        assert "shipping.py · ship" in str(pane.border_title)
        assert pane.site is not None
        assert pane.site.line == line
        assert "ship_by_boat" in screen_text(app)

    drive(session, script, size=(100, 30))


def test_files_whose_names_end_differently_are_told_apart_at_80_columns() -> None:
    session = order_session()
    assert session.differences is not None
    row = next(each for each in session.differences.aligned if each.recorded is not None)
    assert row.recorded is not None
    shown = []
    for name in ("process_customer_orders_v1", "process_customer_orders_v2"):
        node = replace(row.recorded, side=replace(row.recorded.side, call_site=CallSite(f"{name}.py", 1200, "f")))
        shown.append(plain(diff_line(session, DiffMode(), replace(row, recorded=node), 80)))
    assert shown[0] != shown[1]
    assert [each.rstrip()[-7:] for each in shown] == ["v1:1200", "v2:1200"]


@pytest.mark.parametrize("typed", ["stauts:failed", "knid:step"])
def test_the_suggestion_for_a_mistyped_search_is_whole_at_80_columns(typed: str, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("slash", *(key.replace(":", "colon") for key in typed))
        assert ("did you mean status:?" if "stauts" in typed else "did you mean kind:?") in screen_text(
            app
        ).splitlines()[-2]

    drive(order_session(), script)


def test_a_long_wait_has_the_same_words_beside_its_line_as_in_the_tree(tmp_path: Path, drive: Drive) -> None:
    session = opened(recorded("changed_argument", tmp_path))

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        text = screen_text(app)
        assert re.search(r"cooling_off +wait +05:00", text), text
        assert re.search(r"ctx.wait\(.*→ 05:00", text), text

    drive(session, script, size=(120, 40))


@pytest.mark.parametrize("name", ["runtime_divergence", "skipped_at_run_time", "inserted_before_its_like"])
def test_the_call_at_which_an_invocation_diverged_is_not_also_noted_as_called_differently(
    name: str, tmp_path: Path
) -> None:
    execution = opened(recorded(name, tmp_path)).execution
    assert any(trace.divergences for trace in execution.traces)
    assert not any("called handler/pause differently" in note for note in execution.notes), execution.notes


def test_the_status_line_names_the_call_that_the_headline_names(tmp_path: Path) -> None:
    session = opened(recorded("two_signatures", tmp_path))
    assert 'callback "sign_ann"' in session.headline.text
    assert "WAITING sign_ann" in plain(status_line(session, 100))
