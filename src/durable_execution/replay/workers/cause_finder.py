"""Completes reports with causes that only processes with other surroundings show.

A replay in a worker finds the difference. The replays that find its cause run in processes of their own, isolated like every other:
a fork of a fresh import, and imports with a different hash seed, clock, time zone, locale, random seed and environment.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from typing import Self

from durable_execution.divergence import Cause, Divergence
from durable_execution.errors import DurableError
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay.cause.dependence import depends_on_kept_state, depends_on_order
from durable_execution.replay.cause.edits import recorded_sources
from durable_execution.replay.cause.evidence import CauseSearch
from durable_execution.replay.cause.explained import applied
from durable_execution.replay.cause.reproduction import Variant, blank_of
from durable_execution.replay.recorded_state import contexts_to_open
from durable_execution.replay.report import ReplayReport
from durable_execution.replay.surroundings import FRESH, HASHED, STEADY, WORN, Surroundings, surroundings_for
from durable_execution.replay.workers.supervisor import HandlerProcess, WorkerOptions

SECONDS = 30.0
"""Most time that the search for one cause takes. It takes a few seconds, and longer only on a busy machine."""

MAX_SEARCHES = 20
"""Most searches of one check. Recordings that differ in the same way share a cause."""

Key = tuple[str, str, str, str]
Blank = tuple[int, int] | None


class CauseFinder:
    """Finds the causes of the reports of one check.

    Args:
        options: How processes are isolated.
        seconds: Most time for one cause.
        home: Gives the process that has imported a handler, if one runs: a replay forked from it is one in a fresh process.
    """

    def __init__(
        self,
        options: WorkerOptions,
        *,
        seconds: float = SECONDS,
        home: Callable[[str], HandlerProcess | None] = lambda _: None,
    ) -> None:
        self.options = options
        self.home = home
        self._seconds = seconds
        self._known: dict[Key, Cause | None] = {}
        self._running: Replays | None = None
        self._is_interrupted = False

    def interrupt(self) -> None:
        """End a search in progress, from another thread, and start no other. What it found until then counts."""
        self._is_interrupted = True
        if (running := self._running) is not None:
            running.interrupt()

    def explain(self, report: ReplayReport, reference: str) -> ReplayReport:
        """Return the report with the cause of its first difference, as far as one is found.

        Args:
            report: The report.
            reference: `module:handler` or `file.py:handler`, for the processes to import.
        """
        root = report.root
        if root is None or report.execution is None:
            return replace(report, divergences=tuple(map(applied, report.divergences)))
        key = (reference, root.kind.value, root.context_path, str(root.call_sites[-1:]))
        if key in self._known:
            cause = self._known[key]
            found = [applied(replace(one, cause=cause) if one is root and cause else one) for one in report.divergences]
        elif len(self._known) >= MAX_SEARCHES or self._is_interrupted:
            found = [applied(one) for one in report.divergences]
        else:
            found = self._search(report, report.execution, reference)
            self._known[key] = next((one.cause for one in found if one.is_root), None)
        return replace(report, divergences=tuple(found))

    def _search(self, report: ReplayReport, execution: RecordedExecution, reference: str) -> list[Divergence]:
        with Replays(self, report, execution, reference, time.monotonic() + self._seconds) as replays:
            self._running = replays
            if self._is_interrupted:
                replays.interrupt()  # it came before there was something to end
            search = CauseSearch(replays, report.suspects, recorded_sources(execution), replays.whole)
            search.is_steady = replays.is_steady
            return search.explain(report.divergences)


class Replays:
    """The replays of one search: in a fresh process, and in other surroundings, as many at once as there are cores.

    A replay is recorded by line only if its calls differ from those of the first, and at first without the values between the
    first calls and the last. Iterating yields the variants as they are there. Those that show most come first; the rest is left
    out once the cause is found.

    Args:
        finder: How processes are isolated, and where there is one.
        report: The difference.
        execution: The recording.
        reference: The handler, for the processes to import.
        deadline: When the search is over.
    """

    def __init__(
        self, finder: CauseFinder, report: ReplayReport, execution: RecordedExecution, reference: str, deadline: float
    ) -> None:
        self.options = finder.options
        self.execution = execution
        self.reference = reference
        self.deadline = deadline
        self.opened = contexts_to_open(report.divergences, execution)
        self._report = report
        self._pool = ThreadPoolExecutor(max(2, os.cpu_count() or 1))
        self._fresh = _Process(self, FRESH, finder.home(reference))
        self._processes = [self._fresh]
        self._first: Future[list[Variant]] = Future()
        self._count = 1
        self._may_start = threading.Event()
        self._may_start.set()
        self._over: Future[tuple[list[Variant], Blank]] = Future()

    @property
    def is_over(self) -> bool:
        """Whether the search has ended, or has been interrupted."""
        return self._over.done()

    def interrupt(self) -> None:
        """End the search and its processes, from any thread: replays that run give no variant."""
        with suppress(InvalidStateError):  # it has ended, or two threads end it
            self._over.set_result(([], None))
        self._may_start.set()
        for one in list(self._processes):
            one.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if not self._first.done():
            self._first.set_result([])  # interrupted: threads wait for it
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.interrupt()

    def __iter__(self) -> Iterator[list[Variant]]:
        self._fresh.start()
        others = surroundings_for(self.execution, self._report.suspects, self._fresh.variables, self._fresh.members)
        pending = {self._pool.submit(self._unlike, self._process(one)) for one in others}
        calls = self._fresh.calls()
        self._first.set_result(calls)
        differ = [one for one in calls if not one.goes_like(calls[0])]
        self._count = FRESH.replays if differ else 1
        fresh = self._fresh.lines(self._count, blank_of(calls[0], *differ[:1]) if calls else None)
        yield fresh
        while pending and not self.is_over:
            done, pending = wait({*pending, self._over}, return_when=FIRST_COMPLETED)
            pending.discard(self._over)
            for one in done - {self._over}:
                yield self._beside(*one.result())
                self._may_start.set()
        root = self._report.root
        sides = [side for side in (root.recorded, root.replayed) if side is not None] if root is not None else []
        ids = [side.id for side in sides if side.id]
        if fresh and depends_on_kept_state(fresh[0].lines, ids):
            yield self._beside(*self._unlike(self._process(WORN)))
            self._may_start.set()
        for surroundings in HASHED if fresh and depends_on_order(fresh[0].lines, ids) else ():
            yield self._beside(*self._unlike(self._process(surroundings)))
            self._may_start.set()

    def whole(self, variants: Sequence[Variant]) -> list[Variant]:
        """Record replays again, with all values. One that fails keeps what it has."""
        wanted = {one.place for one in variants if not one.is_whole}
        again = [self._pool.submit(one.lines_again) for one in self._processes if one.name in wanted]
        found = {variant.name: variant for one in again for variant in one.result()}
        return [found.get(one.name, one) for one in variants]

    def is_steady(self) -> bool:
        """Whether the calls are the same in other surroundings, with the same clock and random numbers."""
        here, *others = (self._pool.submit(self._process(one).calls) for one in STEADY)
        (first, *_) = here.result() or (None,)
        return first is None or not any(one.parts_from(first) for other in others for one in other.result())

    def _process(self, surroundings: Surroundings) -> "_Process":
        process = _Process(self, surroundings)
        self._processes.append(process)
        return process

    def _unlike(self, process: "_Process") -> tuple[list[Variant], Blank]:
        """Replay, by line if the calls are not those of the first replay; nothing else starts until those were compared."""
        self._may_start.wait()
        calls, first = process.calls(), self._first.result()
        if not first:
            return process.lines(process.count, None), None
        different = next((one for one in calls if not one.goes_like(first[0])), None)
        if different is None:
            return calls, None
        self._may_start.clear()
        blank = blank_of(first[0], different)
        return process.lines(process.count, blank), blank

    def _beside(self, found: list[Variant], blank: Blank) -> list[Variant]:
        """Add the first replay, with the same values, to replays that were recorded by line."""
        return [*self._fresh.lines(self._count, blank), *found] if any(one.has_lines for one in found) else found


class _Process:
    """Replays in a process of their own. One that fails gives no variant: what is changed may be what the handler needs.

    Args:
        replays: The search.
        surroundings: What the process is started with.
        home: A process like that that is ended elsewhere.
    """

    def __init__(self, replays: Replays, surroundings: Surroundings, home: HandlerProcess | None = None) -> None:
        self.name = surroundings.name
        self.count = surroundings.replays
        self._replays = replays
        self._surroundings = surroundings
        self._home = home
        self._is_borrowed = home is not None
        self._has_started = home is not None
        self._lock = threading.RLock()
        self._recorded: dict[tuple[int, Blank], list[Variant]] = {}

    @property
    def variables(self) -> Mapping[str, str | None]:
        """The environment variables that were read at import; see `Ready.variables`."""
        return self._home.ready.variables if self._home is not None else {}

    @property
    def members(self) -> tuple[tuple[str, ...], ...]:
        """Values that stand beside each other; see `Ready.members`."""
        return self._home.ready.members if self._home is not None else ()

    def start(self) -> HandlerProcess | None:
        """Start the process, if it has not been."""
        if not self._has_started:
            self._has_started = True
            with suppress(DurableError, OSError):
                self._home = HandlerProcess(self._replays.reference, self._replays.options, self._surroundings)
        return self._home

    def calls(self) -> list[Variant]:
        """Replay without recording lines."""
        return self._replay(self.count, None, calls_only=True)

    def lines(self, count: int, blank: Blank) -> list[Variant]:
        """Replay and record each line, without the values between two calls."""
        if (count, blank) not in self._recorded:
            self._recorded[count, blank] = self._replay(count, blank, calls_only=False)
        return self._recorded[count, blank]

    def lines_again(self) -> list[Variant]:
        """Replay and record each line with its values, as often as before."""
        return self.lines(max(count for count, _ in self._recorded), None)

    def end(self) -> None:
        """End the process, from any thread. A thread that waits for it sees that, and closes what it holds."""
        home = self._home
        if home is None or self._is_borrowed:
            return
        home.kill()
        if self._lock.acquire(blocking=False):
            try:
                home.close()
                self._home = None
            finally:
                self._lock.release()

    def _replay(self, count: int, blank: Blank, *, calls_only: bool) -> list[Variant]:
        try:
            with self._lock:
                return self._answer(count, blank, calls_only) if not self._replays.is_over else []
        finally:
            if self._replays.is_over:
                self.end()

    def _answer(self, count: int, blank: Blank, calls_only: bool) -> list[Variant]:
        home, replays = self.start(), self._replays
        if home is None or replays.is_over:
            return []
        try:
            process = home.fork()
            try:
                return process.record_lines(
                    replays.execution,
                    self.name,
                    count=count,
                    seconds=max(0.1, replays.deadline - time.monotonic()),
                    opened=replays.opened,
                    calls_only=calls_only,
                    blank=blank,
                )
            finally:
                process.end()
        except (DurableError, TimeoutError, OSError):
            return []
