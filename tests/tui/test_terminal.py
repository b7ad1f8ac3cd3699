"""The real program in a real terminal, by way of tmux. Skipped where there is no tmux."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from durable_execution.trace import write_traces
from tests.tui.recordings import order_recording, order_traces

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux"),
    pytest.mark.real_time,
]
SECONDS = 40.0


class Terminal:
    """A tmux window of its own server, in which a command runs."""

    def __init__(self, directory: Path, command: str, *, size: tuple[int, int] = (80, 24), **variables: str) -> None:
        self._pause = Event()
        self._server = f"durable-{os.getpid()}-{id(self)}"
        paths = os.pathsep.join(path for path in sys.path if path)
        shown = {"LANG": "C.UTF-8", "PYTHONPATH": paths, "TEXTUAL_ANIMATIONS": "none", **variables}
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in shown.items())
        # readline, which pytest loads, leaves the size of its own terminal in the environment
        line = (
            f"env -u COLUMNS -u LINES {settings} {sys.executable} -m durable_debugger {command}; echo exit $?; exec cat"
        )
        size_words = ["-x", str(size[0]), "-y", str(size[1])]
        self._tmux("-u", "-f", "/dev/null", "new-session", "-d", *size_words, "-c", str(directory), line)

    def press(self, *keys: str) -> None:
        for key in keys:
            self._tmux("send-keys", key)

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self, *, colours: bool = False) -> str:
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def until(self, *words: str) -> str:
        """The screen, as soon as it shows all words."""
        deadline = monotonic() + SECONDS
        while monotonic() < deadline:
            shown = self.screen()
            if all(word in shown for word in words):
                return shown
            self._pause.wait(0.1)
        raise AssertionError(f"never showed {words}:\n{self.screen()}")

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._server, "kill-server"], check=False, capture_output=True)

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._server, *words], check=True, capture_output=True, text=True, timeout=30
        )
        return done.stdout


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the order's history and trace."""
    recording = order_recording()
    (tmp_path / "order.history.json").write_text(json.dumps(recording.events))
    (tmp_path / "order.trace.jsonl").write_text("".join(write_traces(order_traces(recording))))
    changed = order_recording(with_courier=False)
    (tmp_path / "changed.json").write_text(json.dumps(changed.events))
    return tmp_path


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Terminals to close afterwards."""
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_a_history_opens_steps_resizes_and_quits_cleanly(place: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(place, "order.history.json")
    terminals.append(terminal)
    shown = terminal.until("order-7f3a9c", "manager_approval", "Commands").splitlines()
    assert "WAITING" in shown[0]
    assert max(map(len, shown)) <= 80
    assert "Commands" in shown[23]
    terminal.press("Home", "3", "n", "n")
    terminal.until("[3 Step]", "notify_all", "inv 1")
    terminal.resize(160, 48)
    terminal.until("Locals", "Track", "order-7f3a9c")
    terminal.press("q")
    assert "exit 0" in terminal.until("exit 0")


def test_two_sides_are_compared_without_pure_red_or_green(place: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(place, "diff order.history.json changed.json", size=(80, 30), COLORTERM="truecolor")
    terminals.append(terminal)
    shown = terminal.until("your code skips this", "now called as 5", "Why")
    rows = shown.splitlines()[4 : shown.splitlines().index(next(x for x in shown.splitlines() if "Why" in x))]
    assert sum(line[1:2] == "≠" for line in rows) == 1
    coloured = terminal.screen(colours=True)
    assert "38;2;255;0;0" not in coloured
    assert "38;2;0;255;0" not in coloured
    assert "\x1b[31m" not in coloured
    assert "\x1b[32m" not in coloured


def test_ascii_without_colour_shows_only_ascii(place: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(place, "order.history.json --ascii", NO_COLOR="1")
    terminals.append(terminal)
    assert terminal.until("manager_approval", "Commands").isascii()


def test_an_unknown_execution_offers_what_there_is_and_exits_with_2(place: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(place, "nope-404", size=(100, 24))
    terminals.append(terminal)
    terminal.until("No execution found for nope-404", "no file nope-404", "the store does not exist yet", "AWS Lambda")
    terminal.press("q")
    terminal.until("exit 2")


def test_the_editor_opens_at_the_line_and_the_screen_is_intact_after(place: Path, terminals: list[Terminal]) -> None:
    (place / "flow.py").write_text("\n" * 50)
    editor = place / "editor"
    editor.write_text(f'#!/bin/sh\necho "$@" > {place}/opened\n')
    editor.chmod(0o755)
    terminal = Terminal(place, "order.history.json", EDITOR=str(editor))
    terminals.append(terminal)
    terminal.until("reserve_courier", "Commands")
    terminal.press("Home", "j")
    before = terminal.until("call 1 of 8", "2.4s ▂", " ▁")  # the scroll bars come last
    terminal.press("e")
    deadline = monotonic() + SECONDS
    while not (place / "opened").exists() and monotonic() < deadline:
        Event().wait(0.1)
    assert (place / "opened").read_text().split() == ["+37", "flow.py"]
    assert terminal.until("call 1 of 8", "Commands") == before
