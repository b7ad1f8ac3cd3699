"""Makes the pictures and the recording of the documentation from real executions: `python docs/pictures.py [DIRECTORY]`.

The order workflow of the examples runs on the local engine, is edited, replayed and fixed, and the debugger's screens are kept:
images as SVG, and the edit-replay-fix loop as an asciinema cast and as an SVG that plays it. The results are committed.
"""

import argparse
import asyncio
import contextlib
import html
import importlib.util
import io
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.color import ColorSystem
from rich.console import Console
from rich.text import Text
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model.session import Session
from durable_debugger.screens.dialogs import DocumentScreen
from durable_debugger.screens.main import MainScreen
from durable_debugger.sources.files import load_file
from durable_debugger.text.segments import Line, Part
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.trace.sinks import MemorySink

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))  # the scripted debuggers of the tests
IMAGES = Path(__file__).parent / "images"
SIZE = (104, 32)
ORDER = {
    "order_id": "A-17",
    "email": "ann@example.com",
    "lines": [{"article": "lamp", "price": "39.90"}, {"article": "desk", "price": "180.00"}],
}
STEP = """
@durable_step
async def check_fraud(_step: StepContext, total: Decimal) -> bool:
    return total < 10_000


@durable_execution
async def process_order("""
WAIT = '    await ctx.wait(timedelta(seconds=3), name="cooling_off")\n'
CHECK = "    await ctx.step(check_fraud(total))\n"
PATCHED = '    if ctx.patched("check-fraud"):\n    ' + CHECK
SECONDS = {"typed": 1.5, "edited": 3.5, "seen": 5.0}


@dataclass
class Workshop:
    """A directory with the workflow and a recorded execution of it.

    Attributes:
        directory: The directory.
        history: File of the history; the replay trace is beside it.
        module: File of the workflow.
    """

    directory: Path
    history: Path = field(init=False)
    module: Path = field(init=False)

    def __post_init__(self) -> None:
        self.module = self.directory / "order_workflow.py"
        self.history = self.directory / "order.history.json"
        shutil.copy(ROOT / "examples" / "order_workflow.py", self.module)
        self._record()

    def _record(self) -> None:
        spec = importlib.util.spec_from_file_location("order_workflow", self.module)
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot import {self.module}")
        workflow: Any = importlib.util.module_from_spec(spec)
        sys.modules["order_workflow"] = workflow
        spec.loader.exec_module(workflow)
        sink = MemorySink()
        with LocalEngine(None, time="skip", ids=CountingIds(), trace_sink=sink) as engine:
            engine.register("process_order", workflow.process_order)
            engine.register(workflow.INVOICE_FUNCTION, workflow.issue_invoice)
            arn = engine.start("process_order", ORDER, name="order-A-17")
            engine.run_until_idle(skips="work")
            callback = self._callback(engine, arn)
            engine.client.send_durable_execution_callback_success(
                CallbackId=callback, Result=json.dumps({"approved": True, "by": "kim"}).encode()
            )
            engine.run_until_idle()
            events = self._events(engine, arn)
        self.history.write_text(json.dumps({"Events": events}, default=str), encoding="utf-8")
        (self.directory / "order.trace.jsonl").write_text(sink.texts[arn], encoding="utf-8")

    @staticmethod
    def _events(engine: LocalEngine, arn: str) -> list[Any]:
        page = engine.client.get_durable_execution_history(
            DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=1000
        )
        return list(page["Events"])

    def _callback(self, engine: LocalEngine, arn: str) -> str:
        for event in self._events(engine, arn):
            if event["EventType"] == "CallbackStarted":
                return str(event["CallbackStartedDetails"]["CallbackId"])
        raise LookupError("the workflow made no callback")

    def session(self) -> Session:
        """The recorded execution."""
        loaded = load_file(str(self.history))
        return Session(loaded.execution, as_of=loaded.as_of, origin=loaded.origin, title="order-A-17")

    def edit(self, new: str) -> None:
        """Change the workflow: a new call before the wait."""
        text = (ROOT / "examples" / "order_workflow.py").read_text(encoding="utf-8")
        text = text.replace("\n@durable_execution\nasync def process_order(", STEP, 1).replace(WAIT, new + WAIT, 1)
        self.module.write_text(text, encoding="utf-8")

    def listing(self, new: str) -> list[Line]:
        """The handler as an editor shows it, the new lines marked."""
        lines = self.module.read_text(encoding="utf-8").splitlines()
        first = next(at for at, line in enumerate(lines) if line.startswith("async def process_order"))
        added = new.splitlines()
        return [
            [
                Part(f" {'+' if line in added else ' '} ", "replayed"),
                Part(line, "replayed" if line in added else "text"),
            ]
            for line in lines[first : first + 9 + len(added)]
        ]


@contextlib.contextmanager
def workshop() -> Iterator[Workshop]:
    """A workshop in a temporary directory, which is the current one, so that paths on the screens are short."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        try:
            yield Workshop(Path(directory))
        finally:
            os.chdir(before)


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Wait for a replay."""
    for _ in range(1200):
        if condition():
            await pilot.app.workers.wait_for_complete()
            await pilot.pause(0.3)
            return
        await pilot.pause(0.05)
    raise TimeoutError("the debugger did not get there")


def shown(app: DebuggerApp) -> Session:
    """The session on the screen."""
    if not isinstance(app.screen, MainScreen):
        raise TypeError("no execution is on the screen")
    return app.screen.session


async def pictures(place: Workshop, directory: Path) -> None:
    """Keep the first screen of a divergence, line stepping, the tree and the timeline."""

    def keep(app: DebuggerApp, name: str) -> None:
        (directory / name).write_text(app.export_screenshot(title="durable-debug"), encoding="utf-8")

    app = DebuggerApp(place.session(), view="tree")
    async with app.run_test(size=(132, 38)) as pilot:
        await pilot.pause(0.5)
        await pilot.press("down", "down")
        keep(app, "debugger.svg")
        await pilot.press("2")
        await pilot.pause(0.3)
        keep(app, "debugger-timeline.svg")
    place.edit(CHECK)
    app = DebuggerApp(place.session(), view="tree", target="order_workflow.py:process_order")
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: shown(app).differences is not None and shown(app).lines is not None)
        keep(app, "debugger-divergence.svg")
        await pilot.press("3")
        await pilot.pause(0.3)
        await pilot.press("home", "n", "n", "n", "n")
        await pilot.pause(0.3)
        keep(app, "debugger-step.svg")


@dataclass
class Cast:
    """A recording of a terminal.

    Attributes:
        frames: Seconds, ANSI text and SVG of each screen.
    """

    frames: list[tuple[float, str, str]] = field(default_factory=list)

    def app(self, app: DebuggerApp, seconds: float) -> None:
        """Keep what the debugger shows."""
        strips = app.screen._compositor.render_strips()  # noqa: SLF001  # Textual has no public way to read the screen
        rows = [
            "".join(
                each.style.render(each.text, color_system=ColorSystem.TRUECOLOR) if each.style else each.text
                for each in strip
            )
            for strip in strips
        ]
        self.frames.append((seconds, "\r\n".join(rows), app.export_screenshot(title="durable-debug")))

    def asciicast(self) -> str:
        """The recording as asciinema writes it, version 2."""
        header = {"version": 2, "width": SIZE[0], "height": SIZE[1], "title": "Edit, replay, see, fix"}
        lines, at = [json.dumps(header)], 0.0
        for seconds, text, _ in self.frames:
            lines.append(json.dumps([round(at, 2), "o", f"\x1b[2J\x1b[H{text}"]))
            at += seconds
        return "\n".join([*lines, json.dumps([round(at, 2), "o", ""])]) + "\n"

    def svg(self) -> str:
        """The recording as one SVG that shows its frames in turn."""
        total = sum(seconds for seconds, _, _ in self.frames)
        box = re.search(r'viewBox="([^"]+)"', self.frames[0][2])
        styles, groups, at = [], [], 0.0
        for number, (seconds, _, svg) in enumerate(self.frames):
            start, end = 100 * at / total, 100 * (at + seconds) / total
            styles.append(
                f"@keyframes f{number} {{ 0%, {start:.3f}% {{ visibility: hidden }} "
                f"{start + 0.001:.3f}%, {end:.3f}% {{ visibility: visible }} {end + 0.001:.3f}%, 100% {{ visibility: hidden }} }}\n"
                f".f{number} {{ visibility: hidden; animation: f{number} {total:.1f}s step-end infinite }}"
            )
            groups.append(f'<g class="f{number}">{svg}</g>')
            at += seconds
        view = box[1] if box is not None else "0 0 1280 800"
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}">'
        return "\n".join([head, f"<style>{chr(10).join(styles)}</style>", *groups, "</svg>"])


async def cast(place: Workshop) -> Cast:
    """Record the loop: edit the handler, replay, see the difference, fix it as the screen says, replay again."""
    found = Cast()
    shutil.copy(ROOT / "examples" / "order_workflow.py", place.module)
    app = DebuggerApp(place.session(), view="tree", target="order_workflow.py:process_order")
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.5)
        found.app(app, SECONDS["typed"])
        for code, expected in ((CHECK, "DIVERGED"), (PATCHED, "SAME")):
            place.edit(code)
            _ = app.push_screen(DocumentScreen("vi order_workflow.py", place.listing(code)))
            await pilot.pause(0.5)
            found.app(app, SECONDS["edited"])
            await pilot.press("escape")
            await pilot.pause(0.3)
            await pilot.press("d")
            await pilot.pause(0.2)
            found.app(app, SECONDS["typed"])
            before = shown(app)
            await until(pilot, _replayed(app, before))
            found.app(app, SECONDS["seen"])
            headline = shown(app).headline.text
            if not headline.upper().startswith(expected):
                raise RuntimeError(f"the recording should show {expected}: {headline}")
            if expected == "DIVERGED":
                await pilot.press("3")
                await pilot.pause(0.3)
                found.app(app, SECONDS["seen"])
                await pilot.press("4")
    return found


def _replayed(app: DebuggerApp, before: Session) -> Callable[[], bool]:
    return lambda: shown(app) is not before and shown(app).lines is not None


def ide_pictures(place: Workshop, directory: Path) -> None:
    """Keep a session of pdb, and what debugpy reports to an IDE, both of the replay of a changed handler."""
    from tests.replay.debugged import AttachedReplay, DebugClient, Terminal, line_of
    from tests.tui.broken import Broken, Recorded

    case = Recorded(Broken("order", ""), Path("order_workflow.py"), Path("order.history.json"), "process_order")
    place.edit(CHECK)
    words = ["durable-debug", "replay", str(case.history), case.target, "--pdb"]
    terminal = Terminal([sys.executable, "-m", "durable_debugger", *words[1:], "--no-cause"], place.directory)
    terminal.wait_for("(durable-pdb) ")
    for typed in ("n", "n", "p total", "c", "w"):
        terminal.ask(typed)
    terminal.send("q")
    terminal.end()
    typed_lines = terminal.printed.replace(f"{place.directory.resolve()}/", "").replace("\r", "")
    _text_picture(f"$ {' '.join(words)}\n{typed_lines}", directory / "debugger-pdb.svg", "pdb")
    with AttachedReplay(case) as replay:
        client: DebugClient = replay.client
        client.attach({case.module.absolute(): [line_of(case.module, "total = await")]})
        told = ["→ attach, setBreakpoints, configurationDone"]
        for request in ("", "next", "next", "continue"):
            if request == "continue":
                client.go_on()
            elif request:
                client.request(request, threadId=client.thread)
            reason, function, line = client.stopped()
            shown_values = {name: value for name, value in client.variables().items() if name in ("total", "order")}
            told.append(f"→ {request}" if request else "")
            told.append(f"← stopped: {reason}   {function}, order_workflow.py:{line}")
            told += [f"    {name} = {value[:80]}" for name, value in shown_values.items()]
        text = client.request("exceptionInfo", threadId=client.thread)["description"]
        told += [
            "→ exceptionInfo",
            *(f"    {line}" for line in text.replace(f"{place.directory.resolve()}/", "").splitlines()),
        ]
        client.go_on()
        client.event("terminated")
        replay.end()
    _text_picture("\n".join(line for line in told if line), directory / "debugger-dap.svg", "Debug Adapter Protocol")


ATTACH = {
    "Name": "Replay with durable-debug",
    "Connection": "server, or socket",
    "Host": "127.0.0.1",
    "Port": "5678",
    "Request": "attach",
    "Arguments": '{"justMyCode": true}',
}
"""What to fill in for an IDE that attaches; `tests/replay/test_debuggers.py` attaches with what the drawing says."""


def attach_drawing(file: Path) -> None:
    """Draw the dialog of PyCharm in which these settings are filled in: PyCharm cannot be run here."""
    row, left, width = 44, 150, 640
    height = 150 + row * len(ATTACH)
    found = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        "<style>text { font: 14px sans-serif } .box { fill: #fff; stroke: #9aa0aa } .value { font-family: monospace }",
        ".note { fill: #5a5d63; font-size: 12px } .title { font-weight: bold } .button { text-anchor: middle }</style>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#f7f8fa" stroke="#9aa0aa"/>',
        '<text x="20" y="32" class="title">Run/Debug Configurations: Attach to DAP</text>',
    ]
    for number, (name, value) in enumerate(ATTACH.items()):
        shown = html.escape(value, quote=False)
        top = 56 + row * number
        found += [
            f'<text x="20" y="{top + 20}">{name}</text>',
            f'<rect class="box" x="{left}" y="{top}" width="{width - left - 20}" height="30" rx="4"/>',
            f'<text class="value" id="{name.lower()}" x="{left + 10}" y="{top + 20}">{shown}</text>',
        ]
    top = 56 + row * len(ATTACH)
    for number, (label, is_main) in enumerate((("OK", True), ("Cancel", False))):
        place, fill, ink = width - 200 + 92 * number, *(("#3574f0", "#fff") if is_main else ("#fff", "#000"))
        found += [
            f'<rect x="{place}" y="{top + 6}" width="80" height="28" rx="4" fill="{fill}" stroke="#9aa0aa"/>',
            f'<text x="{place + 40}" y="{top + 25}" class="button" fill="{ink}">{label}</text>',
        ]
    note = "A drawing, not a screenshot: names and places of the fields vary with the version."
    found.append(f'<text class="note" x="20" y="{height - 20}">{note}</text>')
    file.write_text("\n".join([*found, "</svg>", ""]), encoding="utf-8")


def _text_picture(text: str, file: Path, title: str) -> None:
    console = Console(record=True, width=SIZE[0], file=io.StringIO(), force_terminal=True)
    for line in text.splitlines():
        is_typed = line.startswith(("$ ", "(durable-pdb) ", "→ "))
        console.print(Text(line, style="bold cyan" if is_typed else "yellow" if line.startswith(("← ", "> ")) else ""))
    file.write_text(console.export_svg(title=title), encoding="utf-8")


def make(directory: Path) -> None:
    """Make everything in a directory."""
    directory = directory.absolute()
    directory.mkdir(exist_ok=True, parents=True)
    with workshop() as place:
        asyncio.run(pictures(place, directory))
        recorded = asyncio.run(cast(place))
        ide_pictures(place, directory)
    attach_drawing(directory / "pycharm-attach.svg")
    (directory / "debugger.cast").write_text(recorded.asciicast(), encoding="utf-8")
    (directory / "debugger-loop.svg").write_text(recorded.svg(), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=IMAGES, help="where to write them")
    target = parser.parse_args().directory
    make(target)
    print(f"wrote {len(list(target.glob('debugger*')))} files to {target}", file=sys.stderr)
