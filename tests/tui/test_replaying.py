"""Replaying from inside the app, and stepping through the lines of the replay."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model.session import Session
from durable_debugger.screens.replaying import Replays
from durable_debugger.sources.files import load_file
from durable_execution.replay.workers.cause_finder import Replays as Search
from tests.tui.broken import CASES, HEAD, Recorded, record
from tests.tui.conftest import Drive, main_of, screen_text, settled, until

pytestmark = [pytest.mark.real_time, pytest.mark.acceptance]


def opened(name: str, directory: Path) -> tuple[Recorded, Session]:
    case = record(next(case for case in CASES if case.name == name), directory)
    loaded = load_file(str(case.history))
    return case, Session(loaded.execution, as_of=loaded.as_of, title=loaded.title)


def running(app: DebuggerApp) -> str:
    """The line of code at which the arrow is."""
    return next(line for line in screen_text(app).splitlines() if line.startswith("▌ ▸"))


def has_lines(app: DebuggerApp) -> bool:
    return main_of(app).session.lines is not None


def test_edit_replay_look(drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    case, session = opened("inserted", tmp_path)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        assert "Succeeded" in screen_text(app)
        await pilot.press("d")
        assert "inserted.py:handler" in screen_text(app), "the recorded handler is offered"
        await pilot.press("enter")
        await until(pilot, lambda: main_of(app).session.differences is not None)
        await settled(app, pilot)
        assert 'Diverged at call 2: your code calls step "audit"' in screen_text(app)
        case.module.write_text(HEAD + case.case.recorded + "\n")
        await pilot.press("d")
        await until(pilot, lambda: "Same: your code makes" in screen_text(app))
        await settled(app, pilot)
        assert "difference" not in screen_text(app).splitlines()[0]

    drive(session, script)


def test_escape_ends_a_replay_that_never_ends(drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    case, session = opened("inserted", tmp_path)
    recorded = HEAD + case.case.recorded + "\n"
    case.module.write_text(recorded.replace("    await ", "    while True: pass\n    await ", 1))

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        replays = main_of(app).replays
        await pilot.press("d", "enter")
        await until(pilot, lambda: replays._pool is not None and bool(replays._pool._busy))
        assert replays._pool is not None
        (process,) = replays._pool._busy
        await pilot.press("escape")
        assert "replay cancelled" in screen_text(app)
        await until(pilot, lambda: process.home._process.returncode is not None)
        case.module.write_text(recorded)
        await pilot.press("d")
        await until(pilot, lambda: "Same: your code makes" in screen_text(app))

    drive(session, script)


def searching(replays: Replays) -> Search | None:
    """The search for a cause that runs."""
    finder = replays._pool._finder if replays._pool is not None else None
    return finder._running if finder is not None else None


def test_escape_ends_a_search_for_a_cause_that_never_ends(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case, session = opened("inserted", tmp_path)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    never_ends = f"    while datetime.now(UTC).timestamp() > {tomorrow.timestamp()}: pass\n    await "
    case.module.write_text(case.module.read_text().replace("    await ", never_ends, 1))

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        replays = main_of(app).replays
        await pilot.press("d", "enter")
        await until(pilot, lambda: searching(replays) is not None)
        pool, search = replays._pool, searching(replays)
        assert pool is not None
        assert search is not None
        await until(pilot, lambda: any(one._home is not None and not one._is_borrowed for one in search._processes))
        homes = [one._home for one in search._processes if one._home is not None]
        await pilot.press("escape")
        assert "replay cancelled" in screen_text(app)
        await until(pilot, lambda: all(home._process.returncode is not None for home in homes))
        await until(pilot, lambda: not pool._homes)
        assert search.is_over
        case.module.write_text(HEAD + case.case.recorded + "\n")
        await pilot.press("d")
        await until(pilot, lambda: "Same: your code makes" in screen_text(app))

    drive(session, script)


def test_the_step_view_goes_through_lines_forwards_and_backwards(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case, session = opened("closure", tmp_path)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home", "3")
        await until(pilot, lambda: has_lines(app))
        await pilot.press("home")
        lines = main_of(app).session.lines
        assert lines is not None
        text = screen_text(app)
        assert "of the replay" in text
        assert "total = 0" in running(app)
        await pilot.press("n", "n", "n")
        assert "if total > 2:" in running(app)
        assert lines.locals()["total"] == "2"
        assert "total  2" in screen_text(app)
        await pilot.press("N", "N", "N")
        assert lines.position == lines.first()
        await pilot.press("r")
        assert "nothing in your code called this function" in screen_text(app), "it is not the end of the recording"
        await pilot.press("end")
        assert lines.position == lines.last()
        await pilot.press("b", "home", "c")
        assert lines.position == lines.last(), "the breakpoint on the last line"

    drive(session, script, target=case.target, size=(100, 30))


def test_a_handler_that_cannot_be_imported_says_why(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case, session = opened("reordered", tmp_path)
    case.module.write_text("import nowhere_to_be_found\n")

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("d")
        await until(pilot, lambda: not main_of(app).replays.is_running)
        await settled(app, pilot)
        assert "nowhere_to_be_found" in screen_text(app)
        assert "no differences" not in screen_text(app)
        await pilot.press("4")
        await settled(app, pilot)
        assert "both sides make the same calls" not in screen_text(app), "nothing was compared"
        assert screen_text(app).count("nowhere_to_be_found") > 1

    drive(session, script, target=case.target, size=(160, 40))


def test_what_is_typed_replaces_the_suggested_handler(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, session = opened("reordered", tmp_path)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await ask(pilot, "d", "none")
        await until(pilot, lambda: not main_of(app).replays.is_running)
        await settled(app, pilot)
        assert "handlernone" not in screen_text(app)
        assert "none" in screen_text(app).splitlines()[2]

    drive(session, script)


async def ask(pilot: Pilot[int], key: str, text: str) -> None:
    """Press a key that asks for an expression, and answer."""
    await pilot.press(key)
    await pilot.press(*(KEYS.get(each, each) for each in text), "enter")


KEYS = {" ": "space", ">": "greater_than_sign", "*": "asterisk", "(": "left_parenthesis", ")": "right_parenthesis"}


def test_expressions_are_watched_evaluated_and_decide_stops(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case, session = opened("closure", tmp_path)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home", "3")
        await until(pilot, lambda: has_lines(app))
        settings = main_of(app).session.line_settings
        await pilot.press("home")
        await ask(pilot, "w", "total")
        await until(pilot, lambda: bool(settings.values.get("total")))
        await pilot.press("n", "n", "n")
        assert "if total > 2:" in running(app)
        assert "= total  2" in screen_text(app)
        await ask(pilot, "colon", "total * 10")
        await until(pilot, lambda: settings.once is not None)
        assert ": total * 10  20" in screen_text(app)
        await ask(pilot, "B", "total > 5")
        await until(pilot, lambda: "bool(total > 5)" in settings.values)
        assert "if total > 5" in running(app)
        await until(pilot, lambda: "the condition is never true at line 49" in screen_text(app))
        await pilot.press("home", "c")
        lines = main_of(app).session.lines
        assert lines is not None
        assert lines.event.line != 49, "the condition is never true"
        await ask(pilot, "colon", "total +")
        assert "is not a Python expression" in screen_text(app)

    drive(session, script, target=case.target, size=(120, 36))


def test_stepping_at_a_difference_shows_what_a_resumed_execution_sees(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case, session = opened("closure", tmp_path)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("d")
        await until(pilot, lambda: main_of(app).session.differences is not None and has_lines(app))
        await pilot.press("3", "home", "n", "n", "n")
        lines = main_of(app).session.lines
        assert lines is not None
        assert "if total > 2:" in running(app)
        assert lines.locals()["total"] == "0", "the map's body does not run when its result is recorded"

    drive(session, script, target=case.target, size=(120, 36))


def test_side_effects_are_refused_while_lines_are_recorded(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case, session = opened("reordered", tmp_path)
    written = tmp_path / "written.txt"
    text = case.module.read_text().replace(
        "    return await ctx.step(ship())",
        f"    open({str(written)!r}, 'w').write('x')\n    return await ctx.step(ship())",
    )
    case.module.write_text(text)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("3")
        await until(pilot, lambda: not main_of(app).replays.is_running)
        await settled(app, pilot)
        assert not written.exists()

    drive(session, script, target=case.target, size=(100, 30))


def test_after_an_edit_the_source_shows_calls_at_the_lines_of_today(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case, session = opened("inserted", tmp_path)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("3")
        await until(pilot, lambda: has_lines(app))
        await pilot.press("d")
        await until(pilot, lambda: main_of(app).session.differences is not None and has_lines(app))
        await pilot.press("3", "home", "n")
        await settled(app, pilot)
        assert "await ctx.step(audit())" in running(app), "the added line runs"
        assert "your call 2" in running(app)
        charge = next(line for line in screen_text(app).splitlines() if "await ctx.step(charge())" in line)
        assert "recorded call 2" in charge, "the recorded call is where today's code makes it"
        assert "* " in running(app)
        assert "+ not recorded" in running(app), "the line was added"
        case.module.write_text(case.module.read_text().replace("@durable_execution", "# moved\n@durable_execution"))
        before = main_of(app).session
        await pilot.press("d")
        await until(pilot, lambda: main_of(app).session is not before and has_lines(app))
        await pilot.press("3", "home", "n")
        await settled(app, pilot)
        assert "await ctx.step(audit())" in running(app), "and again after a line was added above"

    drive(session, script, target=case.target, size=(120, 36))
