"""Using the debugger: keys and mouse, as someone at a keyboard would."""

import stat
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Input

from durable_debugger.actions import footer_of
from durable_debugger.app import DebuggerApp
from durable_debugger.model import facts
from durable_debugger.model.moments import Moment
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.screens.dialogs import DocumentScreen, HelpScreen
from durable_debugger.screens.inspection import CopyScreen
from durable_debugger.screens.main import MainScreen
from durable_debugger.screens.reach import ActionProvider
from durable_debugger.widgets.bars import Prompt
from durable_debugger.widgets.diff_pane import DiffPane
from durable_debugger.widgets.lines import LineView
from durable_debugger.widgets.panes import EventsPane, OutlinePane, TrackPane
from durable_debugger.widgets.source_pane import LocalsPane, SourcePane
from tests.tui.conftest import Drive, main_of, order_session, screen_text, settled, until

pytestmark = pytest.mark.acceptance


def now(session: Session) -> Moment:
    assert session.moment is not None
    return session.moment


def name(session: Session) -> str:
    return "" if session.cursor == ROOT else facts.label(session.operations[session.cursor])


def test_the_next_difference_is_explained_in_the_strip(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("full_stop")
        assert name(order) == "reserve_courier"
        text = screen_text(app)
        for word in ("Recorded", "Replayed", "Likely", "Effect", "Fix", "SKIPPED CALL"):
            assert word in text
        await pilot.press("full_stop")
        assert "no further differences" in screen_text(app)

    drive(order, script)


def test_the_comparison_opens_at_the_same_call_and_pairs_by_position(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home", "full_stop", "d")
        await settled(app, pilot)
        pane = app.screen.query_one(DiffPane)
        rows = [line[:2] for line in screen_text(app).splitlines()[5:13]]
        assert sum("≠" in row for row in rows) == 1
        assert sum("≈" in row for row in rows) == 3
        assert rows[pane.index] == "▌≠"
        await pilot.press("m")
        pairs = screen_text(app).splitlines()[9:13]
        assert "reserve_courier" in pairs[0].split("│")[0]
        assert "ship_parcel" in pairs[0].split("│")[1]
        await pilot.press("escape")
        assert main_of(app).view == "tree"
        assert name(order) == "reserve_courier"

    drive(order, script, size=(80, 32))


def test_stepping_there_and_back_leads_to_the_same_place(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("3")
        await settled(app, pilot)
        locals_pane, source = app.screen.query_one(LocalsPane), app.screen.query_one(SourcePane)
        before = (order.cursor, locals_pane.lines, source.site)
        await pilot.press("n", "n", "n", "n")
        assert (order.cursor, source.site) != (before[0], before[2])
        await pilot.press("N", "N", "N", "N")
        assert (order.cursor, locals_pane.lines, source.site) == before
        await pilot.press("c")
        assert name(order) == "reserve_courier"
        assert now(order).invocation == 2
        assert source.site is not None
        assert source.site.line == 42
        await pilot.press("c")
        assert "no further stops" in screen_text(app)

    drive(order, script, size=(100, 40))


def test_a_variable_has_a_star_right_after_it_changed(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home", "3")
        await settled(app, pilot)
        stars = []
        for _ in range(4):
            lines = ["".join(part.text for part in line) for line in app.screen.query_one(LocalsPane).lines]
            stars.append([line[2:].split()[0] for line in lines if line[1:2] == "*"])
            await pilot.press("n")
        assert stars == [[], ["stock"], ["paid"], []]

    drive(order, script, size=(100, 40))


def test_stepping_into_a_map_and_out_again(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        order.select(next(row for row, each in enumerate(order.operations) if each.name == "audit"))
        await pilot.press("s")
        await settled(app, pilot)
        await pilot.press("s")
        assert name(order) == "line-0"
        await pilot.press("r")
        assert name(order) == "audit"

    drive(order, script)


def test_search_shows_hits_while_it_is_typed_and_escape_forgets_them(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home", "j", "slash", *"chg")
        assert "0 hits" in screen_text(app)
        await pilot.press("escape")
        assert name(order) == "reserve_stock"
        await pilot.press("slash", *"charge", "enter")
        await settled(app, pilot)
        assert name(order) == "charge_card"
        assert not app.screen.query_one(Prompt).is_open
        await pilot.press("escape", "slash", *"kind:callback", "enter")
        await settled(app, pilot)
        assert len(order.outline.visible) == 2
        await pilot.press("escape")
        assert len(order.outline.visible) > 2
        await pilot.press("slash", *"stauts:x")
        assert "did you mean status:?" in screen_text(app)

    drive(order, script, size=(100, 30))


def test_hits_are_walked_with_n(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home", "slash", *"reserve", "enter", "n")
        await settled(app, pilot)
        assert name(order) == "reserve_courier"
        await pilot.press("N")
        assert name(order) == "reserve_stock"

    drive(order, script)


def test_the_tree_folds_by_key_and_by_mouse(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        outline = app.screen.query_one(OutlinePane)
        row = next(row for row, each in enumerate(order.operations) if each.name == "notify_all")
        order.select(row)
        await pilot.press("left")
        assert order.outline.is_folded(row)
        await pilot.press("right", "right")
        assert name(order) == "email"
        await pilot.press("left", "left", "left")
        assert order.outline.is_folded(row)
        await pilot.click(OutlinePane, offset=(6, order.outline.index_of(row) + 1))
        assert not order.outline.is_folded(row)
        await pilot.click(OutlinePane, offset=(10, 2))
        assert name(order) == "reserve_stock"
        await pilot.press("Z")
        assert len(order.outline.visible) == 9
        await pilot.press("X")
        assert len(order.outline.visible) == 213
        assert outline.count == 213

    drive(order, script)


def test_moving_keeps_the_cursor_in_sight(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("X", "G")
        outline = app.screen.query_one(OutlinePane)
        assert name(order) == "manager_approval"
        assert outline.scroll_offset.y == outline.max_scroll_y
        await pilot.press("pageup")
        assert order.outline.index_of(order.cursor) >= outline.scroll_offset.y
        await pilot.press("g")
        assert (order.cursor, outline.scroll_offset.y) == (ROOT, 0)

    drive(order, script)


def test_a_key_draws_only_the_lines_that_change(order: Session, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    real, drawn = LineView.render_line, []

    def render_line(pane: LineView, y: int) -> Strip:
        drawn.append((pane.id, y))
        return real(pane, y)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        assert len(app.screen_stack) == 1, "nothing is drawn that is covered at once"
        await pilot.press("home", "j")
        monkeypatch.setattr(LineView, "render_line", render_line)
        await pilot.press("j")
        assert [y for pane, y in drawn if pane == "outline"] == [1, 2]
        assert not [y for pane, y in drawn if pane in ("status", "tabs", "footer")]

    drive(order, script)


def test_tabs_footer_and_track_can_be_clicked(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.click("#tabs", offset=(25, 0))
        await settled(app, pilot)
        assert main_of(app).view == "step"
        track = app.screen.query_one(TrackPane)
        column = next(column for column, index in track.columns.items() if index == order.playback.calls[2])
        await pilot.click(TrackPane, offset=(column, 1))
        assert order.playback.position == order.playback.calls[2]
        before = order.playback.position
        await pilot.click("#footer", offset=(2, 0))
        assert order.playback.position > before

    drive(order, script)


def test_a_breakpoint_stops(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        order.select(next(row for row, each in enumerate(order.operations) if each.name == "ship_parcel"))
        await pilot.press("b", "g", "3")
        await settled(app, pilot)
        order.seek(0)
        await pilot.press("c", "c")
        assert name(order) == "ship_parcel"
        await pilot.press("C")
        assert name(order) == "reserve_courier"

    drive(order, script)


def test_going_to_a_call_and_to_a_time(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("3", "g", *"i2", "enter")
        await settled(app, pilot)
        assert now(order).invocation == 2
        await pilot.press("g", *"1", "enter")
        await settled(app, pilot)
        assert name(order) == "reserve_stock"
        await pilot.press("g", *"nonsense", "enter")
        await settled(app, pilot)
        assert "nothing at 'nonsense'" in screen_text(app)

    drive(order, script, size=(100, 30))


@pytest.mark.parametrize(("at", "shown"), [("3", "notify_all"), ("i2", "invocation 2"), ("999", "nothing at '999'")])
def test_it_opens_where_it_is_told_to(at: str, shown: str, order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        assert main_of(app).view == "step"
        assert shown in "\n".join(screen_text(app).splitlines()[:2] + screen_text(app).splitlines()[-7:])

    drive(order, script, at=at, size=(100, 30))


def test_leaving_time_travel_shows_the_end_again(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home", "3", "1")
        await settled(app, pilot)
        assert "moment 2/" in screen_text(app)
        await pilot.press("escape", "escape")
        await settled(app, pilot)
        assert not order.is_travelling
        assert "2 invocations" in screen_text(app)

    drive(order, script)


def test_the_timeline_zooms_pans_and_unfolds_idle_time(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        await settled(app, pilot)
        before = screen_text(app)
        await pilot.press("plus", "plus", "right")
        zoomed = screen_text(app)
        assert zoomed != before
        await pilot.press("0")
        assert screen_text(app) == before
        await pilot.press("x")
        assert "┆" not in screen_text(app).splitlines()[3]
        await pilot.press("x", "P")
        assert screen_text(app).splitlines()[3] == before.splitlines()[3]

    drive(order, script)


@pytest.mark.parametrize("view", ["tree", "step"])
def test_help_names_the_keys_of_the_view_and_every_footer_key_works(view: str, order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await settled(app, pilot)
        await pilot.press("question_mark")
        await settled(app, pilot)
        assert isinstance(app.screen, HelpScreen)
        assert f"Keys of the {view} view" in screen_text(app)
        await pilot.press("escape")
        main = main_of(app)
        for action in footer_of(view):
            if action.id in ("quit", "edit"):
                continue
            main.open_view(view)
            await pilot.press(action.keys.split(",")[0])
            while not isinstance(app.screen, MainScreen):
                await pilot.press("escape")
            if main.query_one(Prompt).is_open:
                await pilot.press("escape")

    drive(order, script, view=view)


def test_values_open_in_a_window_and_close_again(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home", "j", "j", "v")
        await settled(app, pilot)
        assert isinstance(app.screen, DocumentScreen)
        assert '"total": "81.20"' in screen_text(app)
        await pilot.press("j", "G", "y", "escape")
        assert isinstance(app.screen, MainScreen)
        assert '"total": "81.20"' in app.clipboard

    drive(order, script)


def test_what_is_known_can_be_copied_or_written_to_a_file(
    order: Session, drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("full_stop", "y")
        await settled(app, pilot)
        assert isinstance(app.screen, CopyScreen)
        await pilot.press("e")
        assert app.clipboard.startswith("**Nondeterminism in process_order at call 5: skipped**")
        assert "- **Fix**:" in app.clipboard
        await pilot.press("y", "d")
        assert app.clipboard == order.operations[order.cursor].id
        await pilot.press("y", "w")
        assert "reserve_courier" in (tmp_path / "order-7f3a9c.txt").read_text()
        screen: Any = app.screen
        next(each for each in app.get_system_commands(screen) if each.title == "Screenshot").callback()

    drive(order, script)
    (picture,) = tmp_path.glob("durable-debug-*.svg")
    assert "<svg" in picture.read_text()
    assert [stat.S_IMODE(file.stat().st_mode) for file in (picture, tmp_path / "order-7f3a9c.txt")] == [0o600] * 2


def main_of_stack(app: DebuggerApp) -> MainScreen:
    return next(each for each in app.screen_stack if isinstance(each, MainScreen))


def test_actions_are_found_in_the_palette(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("colon")
        await pilot.press(*"fold all")
        await until(pilot, lambda: "Fold every context." in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: len(order.outline.visible) == 9)
        await pilot.press("colon")
        await until(pilot, lambda: "Open the step view at the selected call." in screen_text(app))
        assert any(line.split()[:2] == ["s", "Step"] for line in screen_text(app).splitlines()), "with its key"
        provider = ActionProvider(main_of_stack(app))
        offered = [hit async for hit in provider.discover()]
        assert [hit.text for hit in offered[:2]] == ["Step", "Replay"], "the most used first"
        assert {hit.text for hit in offered} == {action.label for action in main_of_stack(app).available()}

    drive(order, script, size=(100, 30))


def test_other_keys_change_footer_help_and_what_happens(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("f9")
        await settled(app, pilot)
        assert main_of(app).view == "step"
        await pilot.press("1")
        await settled(app, pilot)
        assert "f9 Step" in screen_text(app).splitlines()[-1]
        await pilot.press("s")
        assert main_of(app).view == "tree"

    drive(order, script, keymap={"step_here": "f9"})


def test_an_editor_needs_a_terminal_and_a_file(order: Session, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "true")

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("j", "e")
        assert "an editor needs a terminal" in screen_text(app)

    drive(order, script)
    without = order_session(with_traces=False)

    async def other(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("e")
        assert "no call site was recorded" in screen_text(app)

    drive(without, other)


def test_panes_are_focused_in_turn_and_maximised(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        assert app.focused is not None
        assert app.focused.id == "outline"
        await pilot.press("tab")
        assert app.focused is not None
        assert app.focused.id == "inspector"
        await pilot.press("down", "tab")
        assert app.focused is not None
        assert app.focused.id == "outline"
        await pilot.press("z")
        assert app.screen.maximized is not None
        await pilot.press("escape")
        assert app.screen.maximized is None

    drive(order, script)


def test_resizing_keeps_selection_and_shows_more(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("full_stop")
        wide = screen_text(app)
        await pilot.resize_terminal(80, 24)
        await settled(app, pilot)
        assert "reserve_courier · call 5" in screen_text(app)
        await pilot.resize_terminal(59, 15)
        await settled(app, pilot)
        assert "make the window larger (60x16)" in screen_text(app)
        await pilot.resize_terminal(160, 48)
        await settled(app, pilot)
        assert screen_text(app) == wide

    drive(order, script, size=(160, 48))


def test_events_and_calls_are_selected_together(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home", "j", "j", "5")
        await settled(app, pilot)
        assert "▌     4" in screen_text(app)
        await pilot.press("G")
        assert app.screen.query_one(EventsPane).index == len(order.execution.events) - 1
        await pilot.press("k")
        assert name(order) == "manager_approval"

    drive(order, script)


def test_quitting_ends_the_app(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("q")

    assert drive(order, script).return_code == 0


def test_typing_goes_to_the_prompt_and_not_to_the_views(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("slash", "q", "3", "g")
        assert app.screen.query_one(Input).value == "q3g"
        assert main_of(app).view == "tree"

    drive(order, script)


def test_running_to_a_call_and_jumping_to_a_pane(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("3")
        await settled(app, pilot)
        order.select(next(row for row, each in enumerate(order.operations) if each.name == "ship_parcel"))
        await pilot.press("t")
        assert name(order) == "ship_parcel"
        assert now(order).invocation == 2
        await pilot.press("t")
        assert "not called again" in screen_text(app)
        await pilot.press("ctrl+o", "t", "r", "enter")
        await settled(app, pilot)
        assert app.focused is not None
        assert app.focused.id == "track"

    drive(order, script, size=(100, 30))
