"""Whatever is recorded: the screen stays whole, secrets stay hidden, colours are not needed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from textual.color import Color
from textual.pilot import Pilot
from textual.theme import Theme

from durable_debugger.app import DebuggerApp
from durable_debugger.model.session import Session
from durable_debugger.screens.main import MAIN_PANE
from durable_debugger.text.glyphs import to_ascii
from durable_debugger.text.segments import Line, plain
from durable_debugger.themes import CURSOR, DURABLE_SAFE, DURABLE_SAFE_LIGHT, palette
from durable_debugger.views.outline import outline_line
from durable_execution.call_site import CallSite
from durable_execution.history.reading import read_history
from tests.tui.conftest import Drive, main_of, order_session, screen_text, settled
from tests.tui.recordings import SECRET, START, order_execution, order_recording, order_traces, tree_execution

pytestmark = pytest.mark.acceptance

HOSTILE = (
    "[/b][bold]$x",
    "\x1b[31mred\x1b[0m\x07",
    "日本語テキスト" * 9,
    "👩‍👩‍👧‍👦🇩🇪",
    "x" * 5_000,
    "\u202egnp.exe",
    "\x00\r\n\t",
    "\udc80\ud800 lone \x9b31m",
)
HUGE = "x" * 1_000_000
VIEWS = "12345"


def hostile_session() -> Session:
    recording = order_recording()
    execution = read_history(recording.events, traces=order_traces(recording))
    operations = [
        replace(each, name=HOSTILE[row % len(HOSTILE)][:256], result=json.dumps(HOSTILE[(row + 3) % len(HOSTILE)]))
        for row, each in enumerate(execution.operations)
    ]
    operations[0] = replace(operations[0], result=json.dumps(HUGE))
    traces = [
        replace(
            trace,
            entries=tuple(
                replace(
                    entry,
                    locals={text[:60]: text for text in (*HOSTILE, HUGE)},
                    call_site=CallSite("flow.py", 38, HOSTILE[0]),
                )
                for entry in trace.entries
            ),
        )
        for trace in execution.traces
    ]
    return Session(replace(execution, name=HOSTILE[1], operations=tuple(operations), traces=tuple(traces)), as_of=START)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=str)
def test_hostile_text_breaks_no_column_and_no_view(size: tuple[int, int], drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        for view in VIEWS:
            await pilot.press(view, "down")
            await settled(app, pilot)
            lines = screen_text(app).splitlines()
            assert len(lines) == size[1]
            assert all(cell_len(line) <= size[0] for line in lines), view
            assert all(line.isprintable() for line in lines)
        await pilot.press("1", "v")
        await settled(app, pilot)
        assert all(cell_len(line) <= size[0] for line in screen_text(app).splitlines())

    drive(hostile_session(), script, size=size)


def test_a_line_that_cannot_be_drawn_leaves_the_others_usable(
    order: Session, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = outline_line

    def sometimes(session: Session, row: int, cells: int, **options: Any) -> Line:
        if row == 1:
            raise RuntimeError("boom")
        return real(session, row, cells, **options)

    monkeypatch.setattr("durable_debugger.widgets.panes.outline_line", sometimes)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home")
        text = screen_text(app)
        assert "cannot draw this line: RuntimeError('boom')" in text
        assert "reserve_stock" in text
        await pilot.press("j", "j", "y", "t")
        assert "RuntimeError: boom" in app.clipboard

    drive(order, script, size=(80, 32))


def secret_session() -> Session:
    execution = order_execution()
    payload = json.dumps({"card_number": SECRET, "note": f"paid with {SECRET}"})
    operations = [replace(each, result=payload, input=payload) for each in execution.operations]
    events = [
        json.loads(json.dumps(event).replace('"{\\"sku\\"', json.dumps(payload)[:-1] + '{\\"sku\\"'))
        for event in execution.events
    ]
    return Session(replace(execution, input=payload, operations=tuple(operations), events=tuple(events)), as_of=START)


def test_secrets_are_on_no_screen_and_in_no_copy(drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        for view in VIEWS:
            for key in (view, "down", "down"):
                await pilot.press(key)
                assert SECRET not in screen_text(app)
        assert SECRET not in app.export_screenshot()
        for key in ("a", "r", "i"):
            await pilot.press("1", "y", key)
            assert SECRET not in app.clipboard
        await pilot.press("v")
        await settled(app, pilot)
        assert "⊘" in screen_text(app)
        assert SECRET not in screen_text(app)

    drive(secret_session(), script, size=(160, 48))


STATUSES = ["SUCCEEDED", "FAILED", "STARTED", "PENDING", "CANCELLED", "TIMED_OUT"]


def test_states_differ_without_colour_and_in_ascii() -> None:
    session = Session(tree_execution([0] * len(STATUSES), statuses=STATUSES), as_of=START)
    rows = [plain(outline_line(session, row, 60)).replace(f"call-{row}", "call") for row in range(len(STATUSES))]
    glyphs = [row.split("call")[0][-2] for row in rows]
    assert len(set(glyphs)) == len(STATUSES)
    assert len({to_ascii(glyph) for glyph in glyphs}) == len(STATUSES)


def _luminance(color: Color) -> float:
    channels = [each / 255 for each in (color.r, color.g, color.b)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [DURABLE_SAFE, DURABLE_SAFE_LIGHT], ids=lambda theme: theme.name)
def test_every_role_can_be_read_on_every_background(theme: Theme) -> None:
    """The contrast that WCAG asks for text, also on the selected row."""
    styles = palette(theme)
    cursor = styles[CURSOR].bgcolor
    assert cursor is not None
    grounds = [theme.background, theme.surface, theme.panel, cursor.name]
    faint = {}
    for role, style in styles.items():
        text = _luminance(Color.parse(style.color.name if style.color else theme.foreground))
        for ground in grounds:
            low, high = sorted((text, _luminance(Color.parse(ground))))
            ratio = (high + 0.05) / (low + 0.05)
            if ratio < 4.5:
                faint[role, ground] = round(ratio, 2)
    assert not faint


MARKS = {
    "1": ("≠", "≈", "✓", "⧗", "SKIPPED CALL", "Recorded", "Replayed"),
    "2": ("≠", "≈", "✓", "█ run", "░ wait"),
    "3": ("▌", "✓"),
    "4": ("≠", "≈", "−", "recorded", "replayed"),
    "5": ("StepStarted", "StepSucceeded"),
}


def test_every_view_has_signs_or_words_for_what_it_colours(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        for key, marks in MARKS.items():
            await pilot.press(key)
            await settled(app, pilot)
            text = screen_text(app)
            assert not [mark for mark in marks if mark not in text], text

    drive(order, script, size=(160, 48))


def test_ascii_screens_are_only_ascii(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("full_stop")
        text = ""
        for view in VIEWS:
            await pilot.press(view)
            await settled(app, pilot)
            text = screen_text(app)
            assert text.isascii(), sorted(set(filter(lambda char: not char.isascii(), text)))
        assert "# 1 difference" in text

    drive(order, script, size=(160, 48), is_ascii=True)


def test_an_execution_of_nothing_can_be_looked_at(drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        for view in VIEWS:
            await pilot.press(view, "down")
        for key in ("n", "s", "c", "full_stop", "d", "m", "v", "exclamation_mark"):
            await pilot.press(key)
        assert "made-up" in screen_text(app)

    drive(Session(tree_execution([]), as_of=None), script)


def test_every_shared_history_can_be_looked_at(shared_histories: Path, drive: Drive) -> None:
    sessions = [
        Session(read_history(json.loads(path.read_text())), as_of=None, title=path.stem)
        for path in sorted(shared_histories.glob("*.json"))
    ]

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        for session in sessions:
            main_of(app).session = session
            for view in MAIN_PANE:
                main_of(app).open_view(view)
                await pilot.pause()
                assert screen_text(app).splitlines()[0].strip()

    drive(sessions[0], script)


def test_themes_of_the_terminal_can_be_used(drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        assert "reserve_courier" in screen_text(app)

    for theme in ("durable-safe-light", "ansi-dark", "textual-light"):
        drive(order_session(), script, theme=theme)
