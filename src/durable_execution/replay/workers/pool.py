"""Replays many recordings in several processes, and turns every end of a process into a verdict.

A report that is not `same` from a process that has replayed before is checked in a new process, whose verdict
counts. Where only the verdict of the used process is bad, that is a finding of its own.
"""

import os
import re
import selectors
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from durable_execution.counts import counted
from durable_execution.replay.checks import Handlers, Source, check, read_source, without_handler
from durable_execution.replay.replayed_tree import rooted_at
from durable_execution.replay.report import ReplayReport, Verdict
from durable_execution.replay.run import UnusableHandlerError
from durable_execution.replay.suspects import Owner, owner_of
from durable_execution.replay.workers.cause_finder import CauseFinder
from durable_execution.replay.workers.channel import ClosedChannelError, ForgedMessageError
from durable_execution.replay.workers.messages import BROKEN, CUT_OFF, Outcome, Reaped
from durable_execution.replay.workers.perturb import Perturber
from durable_execution.replay.workers.supervisor import (
    HandlerProcess,
    ReplayProcess,
    Task,
    WorkerOptions,
    signal_name,
)

REPLAYS_PER_PROCESS = 500
"""After so many recordings a process is replaced, so that what leaks in it stays small."""

REPEATS = 20
"""So many recordings of a handler are replayed twice in one process: code that keeps something shows it the second time."""

MAX_HANDLERS = 8
"""How many handlers stay imported at the same time."""

FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<function>.+)$', re.MULTILINE)
DUMPS = ("Fatal Python error:", "Timeout (")
MAX_SHOWN = 80

UNTRIED = frozenset({Verdict.UNREADABLE, Verdict.INTERRUPTED})
"""Verdicts about recordings that were not replayed."""

UNRELATED = frozenset({Verdict.MEMORY})
"""Verdicts that other recordings can cause in a process without any code depending on them."""


def check_in_workers(
    sources: Iterable[Source],
    handlers: Handlers,
    options: WorkerOptions | None = None,
    *,
    on_report: Callable[[ReplayReport], None] | None = None,
) -> Generator[ReplayReport, None, None]:
    """Replay recordings in processes of their own.

    Where the system cannot fork, such as on Windows, they are replayed in this process, as by `check`.

    Args:
        sources: The recordings.
        handlers: Where their handlers are.
        options: How to replay.
        on_report: Called with each report, to show progress.

    Yields:
        One report per recording, in the same order. A recording that cannot be read, or whose handler cannot be imported,
        gets a report that says so.
    """
    with ReplayPool(options) as pool:
        for report in pool.check(sources, handlers):
            if on_report is not None:
                on_report(report)
            yield report


def _task(source: Source, handlers: Handlers) -> Task | ReplayReport:
    execution = read_source(source, handlers)
    if isinstance(execution, ReplayReport):
        return execution
    try:
        return Task(0, source.name, execution, handlers.choose(execution, source.name).reference)
    except UnusableHandlerError as error:
        name = ", ".join(dict.fromkeys(handlers.rules.values()))
        return without_handler(source.name, name, error, execution)


class ReplayPool:
    """Processes that replay recordings.

    Args:
        options: How to replay.
    """

    def __init__(self, options: WorkerOptions | None = None) -> None:
        self._options = options or WorkerOptions()
        self._finder = CauseFinder(self._options, home=self._running_home) if self._options.finds_cause else None
        self._perturber = Perturber(self._options, self._finder) if self._options.perturbs else None
        self._jobs = max(1, self._options.jobs or _cores())
        self._homes: dict[str, HandlerProcess | UnusableHandlerError] = {}
        self._importing: set[str] = set()
        self._idle: list[ReplayProcess] = []
        self._busy: set[ReplayProcess] = set()
        self._selector = selectors.DefaultSelector()
        self._done: dict[int, ReplayReport] = {}
        self._is_interrupted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def interrupt(self) -> None:
        """End every replay and search at once, from another thread. What was not replayed yet has no report."""
        self._is_interrupted = True
        if self._finder is not None:
            self._finder.interrupt()
        for home in list(self._homes.values()):
            if isinstance(home, HandlerProcess):
                home.kill()

    def close(self) -> None:
        """End every process."""
        for process in (*self._idle, *self._busy):
            process.channel.close()
            process.output.close()
        if self._perturber is not None:
            self._perturber.close()
        for home in self._homes.values():
            if isinstance(home, HandlerProcess):
                home.close()
        self._idle.clear()
        self._busy.clear()
        self._homes.clear()
        self._selector.close()

    def check(self, sources: Iterable[Source], handlers: Handlers) -> Iterator[ReplayReport]:
        """Read recordings and replay them; see `check_in_workers`."""
        if not hasattr(os, "fork"):
            return check(sources, handlers, seconds=self._options.seconds, cause=self._options.finds_cause)
        self.prepare(handlers)
        reports = self.replay(_task(source, handlers) for source in sources)
        return (self._explained(report, handlers) for report in reports)

    def _explained(self, report: ReplayReport, handlers: Handlers) -> ReplayReport:
        """Complete a report: the cause of its first difference, what differs under perturbations, why this handler."""
        if report.execution is None or report.verdict is Verdict.NO_HANDLER:
            return report
        choice = handlers.choose(report.execution, report.source)
        if report.verdict in UNTRIED:
            return choice.noted(report)
        if self._finder is not None and report.divergences:
            report = self._finder.explain(report, choice.reference)
        if self._perturber is not None and not self._is_interrupted:
            report = self._perturber.perturb(report, choice.reference)
        return choice.noted(report)

    def replay(self, tasks: Iterable[Task | ReplayReport]) -> Iterator[ReplayReport]:
        """Replay recordings.

        Args:
            tasks: The recordings; a report stands for one that has it already. They are read when a process is free.

        Yields:
            Their reports, in the same order; none for those that an interrupt prevents.
        """
        waiting = iter(enumerate(tasks))
        is_exhausted = False
        number = 0
        while not self._is_interrupted:
            while not is_exhausted and len(self._busy) < self._jobs:
                index, task = next(waiting, (-1, None))
                if task is None:
                    is_exhausted = True
                elif isinstance(task, ReplayReport):
                    self._done[index] = task
                else:
                    self._start(replace(task, index=index))
                while number in self._done:
                    yield self._done.pop(number)
                    number += 1
            while number in self._done:
                yield self._done.pop(number)
                number += 1
            if not self._busy:
                return
            self._wait()

    def _start(self, task: Task, *, is_new: bool = False) -> None:
        """Give a recording to a process, or its report where no process can have it."""
        try:
            home = self._home(task.reference)
        except UnusableHandlerError as error:
            self._done[task.index] = without_handler(task.source, task.reference, error, task.execution)
            return
        is_new = is_new or self._options.is_fresh
        process = None if is_new else self._used(task.reference)
        for _ in range(2):
            try:
                process = process or home.fork()
                self._assign(process, task)
                break
            except (ClosedChannelError, TimeoutError):
                self._forget(process, home)
                process, home = None, self._home(task.reference)
        else:
            text = "the process that replays could not be started"
            self._done[task.index] = self._report(task, Verdict.KILLED, text)

    def _assign(self, process: ReplayProcess, task: Task) -> None:
        process.assign(task, self._options)
        self._wait_for(process)

    def _wait_for(self, process: ReplayProcess) -> None:
        self._busy.add(process)
        self._selector.register(process.channel, selectors.EVENT_READ, process)

    def _home(self, reference: str) -> HandlerProcess:
        found = self._homes.get(reference)
        if reference in self._importing and isinstance(found, HandlerProcess):
            self._importing.discard(reference)
            try:
                found.wait_until_ready()
            except UnusableHandlerError as error:
                self._homes[reference] = found = error
        if found is None:
            self._make_room()
            try:
                found = HandlerProcess(reference, self._options)
            except UnusableHandlerError as error:
                found = error
            self._homes[reference] = found
        if isinstance(found, UnusableHandlerError):
            raise found
        return found

    def prepare(self, handlers: Handlers) -> None:
        """Start to import the handler, if it is the same for every recording, while the recordings are read."""
        reference = handlers.only
        if reference is not None and reference not in self._homes and hasattr(os, "fork"):
            self._homes[reference] = HandlerProcess(reference, self._options, waits=False)
            self._importing.add(reference)

    def _running_home(self, reference: str) -> HandlerProcess | None:
        found = self._homes.get(reference)
        return found if isinstance(found, HandlerProcess) else None

    def _make_room(self) -> None:
        at_work = {process.home for process in self._busy}
        for reference, home in list(self._homes.items()):
            if len(self._homes) < MAX_HANDLERS:
                return
            if isinstance(home, HandlerProcess) and home not in at_work:
                self._forget(None, home)
            elif isinstance(home, UnusableHandlerError):
                del self._homes[reference]

    def _forget(self, process: ReplayProcess | None, home: HandlerProcess) -> None:
        if process is not None:
            process.channel.close()
        for idle in [one for one in self._idle if one.home is home]:
            self._idle.remove(idle)
            idle.end()
        home.close()
        self._homes.pop(home.reference, None)

    def _used(self, reference: str) -> ReplayProcess | None:
        """Take an idle process that has imported the handler; end one of another handler where there are too many."""
        for process in self._idle:
            if process.home.reference == reference:
                self._idle.remove(process)
                return process
        if self._idle and len(self._idle) + len(self._busy) >= self._jobs:
            self._idle.pop(0).end()
        return None

    def _wait(self) -> None:
        """Wait until a process has answered, ended, or run out of time."""
        left = min(process.deadline for process in self._busy) - time.monotonic()
        for key, _ in self._selector.select(max(0.0, left)):
            self._answered(key.data)
        now = time.monotonic()
        for process in [one for one in self._busy if one.deadline <= now]:
            self._take_back(process)
            task = _task_of(process)
            process.end()
            location = _location(process.last_output)
            seconds = self._options.seconds
            text = (
                f"the replay did not finish within {seconds:g} s and could not be interrupted{location}: its process was "
                "ended. Code written in C, such as a regular expression, may be looping there"
            )
            self._judge(task, self._report(task, Verdict.HUNG, text), process)

    def _answered(self, process: ReplayProcess) -> None:
        self._take_back(process)
        task = _task_of(process)
        try:
            outcome = process.answer()
        except ForgedMessageError as error:
            process.end()
            text = f"the replay's answer did not come from the worker: the handler wrote to its connection ({error})"
            self._judge(task, self._report(task, Verdict.FORGED, text), process)
            return
        except ClosedChannelError:
            verdict, text = _death(process.end(seconds=1), process.last_output)
            self._judge(task, self._report(task, verdict, text), process)
            return
        printed = process.printed()
        if self._is_repeated(task, outcome, process) and self._repeat(task, process):  # the rest meanwhile
            process.task = replace(task, first=_complete(task, outcome, process, printed))
            return
        report = _complete(task, outcome, process, printed)
        process.home.expects_differences |= bool(report.divergences)
        is_spare = task.before is not None and len(self._idle) + len(self._busy) >= self._jobs  # the used one is kept
        if outcome.is_worn or self._options.is_fresh or is_spare or process.replays >= REPLAYS_PER_PROCESS:
            process.end()
        else:
            self._idle.append(process)
        self._judge(task, report, process)

    def _repeat(self, task: Task, process: ReplayProcess) -> bool:
        """Let the process replay the recording again. Returns whether it is still there."""
        try:
            process.repeat(task, self._options)
        except ClosedChannelError:
            return False
        process.home.repeats += 1
        self._wait_for(process)
        return True

    def _is_repeated(self, task: Task, outcome: Outcome, process: ReplayProcess) -> bool:
        """Whether the process is to replay the recording again."""
        options = self._options
        is_first = task.first is None and task.before is None and process.home.repeats < REPEATS
        return (
            is_first and outcome.report.is_same and not (outcome.is_worn or options.is_fresh or options.is_every_prefix)
        )

    def _take_back(self, process: ReplayProcess) -> None:
        self._selector.unregister(process.channel)
        self._busy.discard(process)

    def _judge(self, task: Task, report: ReplayReport, process: ReplayProcess) -> None:
        if task.first is not None:
            self._done[task.index] = task.first if report.is_same else combined(report, task.first)
        elif task.before is not None:
            self._done[task.index] = combined(task.before, report)
        elif report.is_same or process.replays == 1:
            self._done[task.index] = report
        else:
            self._start(replace(task, before=report), is_new=True)

    def _report(self, task: Task, verdict: Verdict, error: str) -> ReplayReport:
        home = self._homes.get(task.reference)
        if not isinstance(home, HandlerProcess):
            return ReplayReport(task.source, task.reference, verdict, error=error, execution=task.execution)
        ready = home.ready
        return ReplayReport(
            task.source,
            ready.handler,
            verdict,
            error=error,
            isolation=ready.layers,
            at_import=ready.at_import(),
            execution=rooted_at(task.execution, ready.handler),
        )


def _complete(task: Task, outcome: Outcome, process: ReplayProcess, printed: str) -> ReplayReport:
    report = outcome.report
    execution = rooted_at(task.execution, report.handler)
    if outcome.paths:
        operations = list(execution.operations)
        for index, path in outcome.paths:
            operations[index] = replace(operations[index], path=path)
        execution = replace(execution, operations=tuple(operations))
    notes = (*report.notes, *_output_note(printed))
    ready = process.home.ready
    return replace(report, execution=execution, notes=notes, isolation=ready.layers, at_import=ready.at_import())


def combined(used: ReplayReport, new: ReplayReport) -> ReplayReport:
    """Return the report of a recording that was replayed in a used process and then in a new one.

    Args:
        used: The report of the process that had replayed before; not `same`.
        new: The report of a process that had not.
    """
    if new.verdict is used.verdict or used.verdict in UNRELATED:
        return new
    if not new.is_same:
        return replace(new, notes=(*new.notes, f"in a process that had replayed before: {used.verdict.value}"))
    text = (
        f"the replay is `same` in a new process and `{used.verdict.value}` in one that has replayed before: the code "
        "depends on what ran earlier in its process, such as a module variable, a cache or a closure, or on chance"
    )
    return replace(used, verdict=Verdict.UNSTABLE, error=f"{text} ({used.error})" if used.error else text)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _task_of(process: ReplayProcess) -> Task:
    if process.task is None:
        raise AssertionError("a process without a task was waited for")
    return process.task


def _death(ended: Reaped | None, printed: str) -> tuple[Verdict, str]:
    if ended is None:
        return Verdict.KILLED, "the process ended, and so did the one that had started it"
    if ended.was_running or ended.code == CUT_OFF:
        return Verdict.FORGED, "the handler closed the connection on which the worker answers"
    code = ended.code
    if code == BROKEN:
        return Verdict.KILLED, f"the worker failed: {printed.strip().splitlines()[-1]}"
    if code >= 0:
        return Verdict.EXITED, (
            f"the handler ended its process with exit code {code}: on Lambda the invocation fails and is retried. Return or "
            "raise an error"
        )
    location = _location(printed)
    out_of_memory = ", probably because memory ran out" if code == -signal.SIGKILL else ""
    return Verdict.KILLED, f"the process was killed by {signal_name(-code)}{location}{out_of_memory}"


def _location(printed: str) -> str:
    """Return where user code stood when a process was ended: ` at file:line in function`."""
    start = max(printed.rfind(mark) for mark in DUMPS)
    if start < 0:
        return ""
    for frame in FRAME.finditer(printed, start):
        if owner_of(frame["file"]) is Owner.USER:
            return f" at {frame['file']}:{frame['line']} in {frame['function']}"
    return ""


def _output_note(printed: str) -> tuple[str, ...]:
    lines = printed.splitlines()
    if not lines:
        return ()
    number = counted(len(lines), "line")
    return (f"the code printed {number}: {lines[0][:MAX_SHOWN]}{' …' if len(lines) > 1 else ''}",)
