"""Replaying the execution from inside the app: the natural loop is to edit, press `d`, and look.

The replay runs in a process of its own, with today's files, and then once more line by line for the step view. Escape cancels.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual.worker import Worker, get_current_worker

from durable_debugger.model.differences import differences_of
from durable_debugger.model.line_settings import Place
from durable_debugger.model.session import Session
from durable_debugger.screens.handlers import handles
from durable_debugger.text.source_path import nearer
from durable_execution.errors import DurableError
from durable_execution.replay.lines.line_recording import LineRecording
from durable_execution.replay.lines.probes import Probe
from durable_execution.replay.report import ReplayReport

if TYPE_CHECKING:  # what replays is loaded when something is replayed: opening an execution needs none of it
    from durable_debugger.screens.main import MainScreen
    from durable_execution.replay.cause.reproduction import Variant
    from durable_execution.replay.lines.probes import Stepping
    from durable_execution.replay.workers.pool import ReplayPool
    from durable_execution.replay.workers.supervisor import HandlerProcess

GROUP = "replay"
SECONDS = 30.0
OTHER_WAY = (
    "the replay that evaluated this took a different way: the expression changes what the code does, or the code varies"
)


class Replays:
    """Replays the execution of a screen.

    Args:
        screen: The screen.
        target: The handler, as `module:handler` or `file.py:handler`; None until it is known.
    """

    def __init__(self, screen: "MainScreen", target: str | None) -> None:
        self._screen = screen
        self.target = target
        self._home: HandlerProcess | None = None
        self._pool: ReplayPool | None = None
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
        self._start(lambda: self._replay(session, self.target or ""))

    def record_lines(self) -> None:
        """Record the lines of a replay, for the step view."""
        session = self._screen.session
        if self.target is None or self.is_running or session.lines is not None:
            return
        self._screen.say("recording the lines of a replay … Esc cancels")
        self._start(lambda: self._record(session, self.target or "", (), self._take_lines))

    def probe(self, probes: Sequence[Probe], done: Callable[[LineRecording], None]) -> None:
        """Replay once more to evaluate expressions.

        Args:
            probes: The expressions.
            done: Takes the recording with their values.
        """
        session = self._screen.session
        if self.target is None or session.lines is None:
            self._screen.say("expressions need the lines of a replay: press d")
            return
        self.cancel()
        self._screen.say("evaluating … Esc cancels")
        self._start(lambda: self._record(session, self.target or "", tuple(probes), lambda _, lines: done(lines)))

    def _start(self, work: Callable[[], None]) -> None:
        self._worker = self._screen.run_worker(work, thread=True, group=GROUP, exit_on_error=False)

    def cancel(self) -> None:
        """Stop a replay in progress."""
        if self._worker is not None:
            self._worker.cancel()
        if self._home is not None:
            self._home.kill()
        if self._pool is not None:
            self._pool.interrupt()

    def _replay(self, session: Session, target: str) -> None:
        from durable_execution.replay.checks import Handlers, Source
        from durable_execution.replay.workers.pool import ReplayPool
        from durable_execution.replay.workers.supervisor import WorkerOptions

        worker = get_current_worker()
        try:
            options = WorkerOptions(has_rows=True, is_fresh=True, jobs=1)
            source = Source(session.origin or session.title, lambda: session.raw)
            with ReplayPool(options) as pool:
                self._pool = pool
                reports = list(pool.check([source], Handlers.parse([target])))
        except (DurableError, OSError) as error:
            reason = f"cannot replay: {error}"
            self._later(worker, lambda: self._screen.say(reason))
            return
        for report in reports:  # none where Escape has ended it
            self._later(worker, partial(self._take, session, report))

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

    def _record(
        self, session: Session, target: str, probes: tuple[Probe, ...], done: Callable[[Session, LineRecording], None]
    ) -> None:
        """Record a replay by line, in an isolated process like every other replay."""
        from durable_execution.replay.lines.probes import Stepping

        worker = get_current_worker()
        stepping = Stepping(probes, opens_contexts=_opens_contexts(session), hides_secrets=session.secrets is not None)
        try:
            found = self._variants(session, target, stepping)
        except (DurableError, OSError, TimeoutError) as error:
            reason = str(error).strip().splitlines()[-1:] or [f"the replay took more than {SECONDS:.0f} s"]
            self._later(worker, lambda: self._screen.say(f"no lines recorded: {reason[0]}"))
            return
        lines = found[0].lines if found else LineRecording()
        self._later(worker, lambda: done(session, lines))

    def _variants(self, session: Session, target: str, stepping: "Stepping") -> "list[Variant]":
        from durable_execution.replay.replayed_tree import rooted_at
        from durable_execution.replay.workers.supervisor import HandlerProcess, WorkerOptions

        home = self._home = HandlerProcess(target, WorkerOptions(jobs=1))
        try:
            process = home.fork()
            try:
                execution = rooted_at(session.raw, home.ready.handler)
                return process.record_lines(execution, "the debugger", count=1, seconds=SECONDS, stepping=stepping)
            finally:
                process.end()
        finally:
            self._home = None
            home.close()

    def _take_lines(self, session: Session, recording: LineRecording) -> None:
        screen = self._screen
        if screen.session is not session or not recording.events:
            return
        session.use_lines(recording)
        if screen.view == "step":
            session.seek_line(session.lines.position if session.lines is not None else None)
        screen.say("")
        screen.show()
        self.evaluate()

    def evaluate(self, place: Place | None = None) -> None:
        """Evaluate the watches, conditions and log expressions again, if there are any.

        Args:
            place: The breakpoint that is new, whose condition gets a remark.
        """
        session = self._screen.session
        settings, probes = session.line_settings, session.line_settings.probes()
        if not probes or session.lines is None:
            self._screen.show()
            return
        original = session.lines.recording

        def take(recording: LineRecording) -> None:
            is_same = settings.take(recording, original, probes)
            remark = settings.remark(place) if place is not None else ""
            self._screen.say(remark if is_same else OTHER_WAY)
            self._screen.show()

        self.probe(probes, take)

    def evaluate_once(self, expression: str) -> None:
        """Evaluate an expression at the line at which the step view stands."""
        session = self._screen.session
        if session.lines is None:
            self._screen.say("expressions need the lines of a replay: press d")
            return
        lines, at = session.lines, session.lines.line_index()
        probe = Probe(expression, lines.frame.file, lines.recording.events[at].line, at)

        def take(recording: LineRecording) -> None:
            known = recording.events[at].reads.get(expression) if at < len(recording.events) else None
            session.line_settings.once = (expression, at, known) if known is not None else None
            self._screen.say(f"{expression} = {known}" if known is not None else OTHER_WAY)
            self._screen.show()

        self.probe((probe,), take)

    def _later(self, worker: "Worker[object]", do: object) -> None:
        if not worker.is_cancelled and callable(do):
            self._screen.app.call_from_thread(do)


def _opens_contexts(session: Session) -> bool:
    """Whether a replay for stepping runs the bodies of finished contexts, which a resumed execution skips.

    It does so that their lines can be stepped through, but not where the code differs outside of them: what a skipped body
    leaves behind, such as a variable of the handler, may be why.
    """
    first = session.differences.first if session.differences is not None else None
    if first is None:
        return True
    ended = {each.path for each in session.recorded if each.type == "CONTEXT" and each.status.is_terminal}
    place = first.path if first.is_permutation else first.context_path
    return any(place == path or place.startswith((f"{path}/", f"{path}#")) for path in ended)


@handles("diff_here")
def diff_here(screen: "MainScreen") -> None:
    """Replay with today's code and compare; ask for the handler when it is not known."""
    differences = screen.session.differences
    is_replayed = differences is not None and differences.invocation is None
    if screen.replays.target is not None:
        screen.open_view("diff")
        screen.replays.start()
    elif is_replayed and screen.view != "diff":
        screen.open_view("diff")
    else:
        screen.open_view("diff")
        screen.ask("replay with", "MODULE:HANDLER or FILE.py:HANDLER", _replay_with, value=screen.replays.guess())


def _replay_with(screen: "MainScreen", text: str) -> None:
    screen.replays.target = text.strip()
    screen.replays.start()
