"""Replaying the execution from inside the app: the natural loop is to edit, press `d`, and look.

The replay runs in a process of its own, with today's files, and then once more line by line for the step view. Escape cancels.
"""

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from textual.worker import Worker, get_current_worker

from durable_debugger.model.bundle import bundle_of
from durable_debugger.model.replay_differences import differences_of
from durable_debugger.model.session import Session
from durable_debugger.screens.handlers import handles
from durable_debugger.text.source_path import nearer
from durable_execution.errors import DurableError
from durable_execution.replay.check import Handlers, Source
from durable_execution.replay.line_recording import LineRecording
from durable_execution.replay.pool import check_in_workers
from durable_execution.replay.report import ReplayReport
from durable_execution.replay.supervisor import WorkerOptions

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen

GROUP = "replay"


class Replays:
    """Replays the execution of a screen.

    Args:
        screen: The screen.
        target: The handler, as `module:handler` or `file.py:handler`; None until it is known.
    """

    def __init__(self, screen: "MainScreen", target: str | None) -> None:
        self._screen = screen
        self.target = target
        self._process: subprocess.Popen[str] | None = None
        self._worker: Worker[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a replay is in progress."""
        return self._worker is not None and not self._worker.is_finished

    def guess(self) -> str:
        """Return the recorded handler, where its file is on this computer."""
        for trace in reversed(self._screen.session.execution.traces):
            name = (trace.handler or "").rpartition(":")[2]
            text = self._screen.texts.get(trace.source_file) if trace.source_file else None
            if name and text is not None:
                return f"{nearer(str(text.path))}:{name}"
        return self._screen.session.execution.handler or ""

    def start(self) -> None:
        """Replay with the code on disk."""
        if self.target is None:
            return
        self.cancel()
        self._screen.texts.forget()
        self._screen.say(f"replaying with {self.target} … Esc cancels")
        session = self._screen.session
        self._worker = self._screen.run_worker(
            lambda: self._replay(session, self.target or ""), thread=True, group=GROUP, exit_on_error=False
        )

    def record_lines(self) -> None:
        """Record the lines of a replay, for the step view."""
        session = self._screen.session
        if self.target is None or self.is_running or session.lines is not None:
            return
        self._worker = self._screen.run_worker(
            lambda: self._record(session, self.target or ""), thread=True, group=GROUP, exit_on_error=False
        )

    def cancel(self) -> None:
        """Stop a replay in progress."""
        if self._worker is not None:
            self._worker.cancel()
        if self._process is not None:
            self._process.kill()

    def _replay(self, session: Session, target: str) -> None:
        worker = get_current_worker()
        try:
            options = WorkerOptions(has_rows=True, is_fresh=True, jobs=1)
            source = Source(session.origin or session.title, lambda: session.raw)
            (report,) = check_in_workers([source], Handlers.parse([target]), options)
        except (DurableError, OSError) as error:
            reason = f"cannot replay: {error}"
            self._later(worker, lambda: self._screen.say(reason))
            return
        self._later(worker, lambda: self._take(session, report))

    def _take(self, before: Session, report: ReplayReport) -> None:
        """Show a report: the same execution, compared with today's code."""
        screen = self._screen
        session = before.compared(report.execution or before.raw, differences_of(report, before.raw))
        screen.session = session
        session.select_answer()
        screen.open_view("diff")
        screen.say(f"{report.verdict.value}: {self.target}")
        self._worker = None
        self.record_lines()

    def _record(self, session: Session, target: str) -> None:
        worker = get_current_worker()
        command = [sys.executable, "-m", "durable_debugger.line_process", target]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as self._process:
            bundle = json.dumps(bundle_of(session.raw), default=str)
            answer, printed = self._process.communicate(bundle)
            code = self._process.returncode
        self._process = None
        if code or not answer:
            reason = printed.strip().splitlines()[-1] if printed.strip() else f"exit code {code}"
            self._later(worker, lambda: self._screen.say(f"no lines recorded: {reason}"))
            return
        recording = LineRecording.from_wire(json.loads(answer))
        self._later(worker, lambda: self._take_lines(session, recording))

    def _take_lines(self, session: Session, recording: LineRecording) -> None:
        screen = self._screen
        if screen.session is not session or not recording.events:
            return
        session.use_lines(recording)
        if screen.view == "step":
            session.seek_line(session.lines.position if session.lines is not None else None)
        screen.show()

    def _later(self, worker: "Worker[object]", do: object) -> None:
        if not worker.is_cancelled and callable(do):
            self._screen.app.call_from_thread(do)


@handles("diff_here")
def diff_here(screen: "MainScreen") -> None:
    """Replay with today's code and compare; ask for the handler when it is not known."""
    differences = screen.session.differences
    is_replayed = differences is not None and differences.invocation is None
    if screen.replays.target is not None:
        screen.open_view("diff")
        screen.replays.start()
    elif is_replayed:
        screen.open_view("diff")
    else:
        screen.open_view("diff")
        screen.ask("replay with", "MODULE:HANDLER or FILE.py:HANDLER", _replay_with, value=screen.replays.guess())


def _replay_with(screen: "MainScreen", text: str) -> None:
    screen.replays.target = text.strip()
    screen.replays.start()
