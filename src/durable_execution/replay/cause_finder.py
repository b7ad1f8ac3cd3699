"""Completes reports with causes that only processes with other surroundings show.

A replay in a worker finds the difference. The replays that find its cause run in processes of their own, isolated like every other:
a fork of a fresh import, and imports with a different hash seed, clock, time zone, locale, random seed and environment.
"""

import os
import threading
import time
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import Self

from durable_execution.divergence import Cause, Divergence
from durable_execution.errors import DurableError
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay.dependence import depends_on_kept_state
from durable_execution.replay.evidence import CauseSearch, applied, recorded_sources
from durable_execution.replay.recorded_state import contexts_to_open
from durable_execution.replay.report import ReplayReport
from durable_execution.replay.reproduction import Variant
from durable_execution.replay.supervisor import HandlerProcess, WorkerOptions
from durable_execution.replay.surroundings import FRESH, WORN, Surroundings, surroundings_for

SECONDS = 30.0
"""Most time that the search for one cause takes. It takes a few seconds, and longer only on a busy machine."""

MAX_SEARCHES = 20
"""Most searches of one check. Recordings that differ in the same way share a cause."""

Key = tuple[str, str, str, str]


class CauseFinder:
    """Finds the causes of the reports of one check.

    Args:
        options: How processes are isolated.
        seconds: Most time for one cause.
    """

    def __init__(self, options: WorkerOptions, *, seconds: float = SECONDS) -> None:
        self.options = options
        self._seconds = seconds
        self._known: dict[Key, Cause | None] = {}
        self._variables: dict[str, tuple[str, ...]] = {}

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
        elif len(self._known) >= MAX_SEARCHES:
            found = [applied(one) for one in report.divergences]
        else:
            found = self._search(report, report.execution, reference)
            self._known[key] = next((one.cause for one in found if one.is_root), None)
        return replace(report, divergences=tuple(found))

    def _search(self, report: ReplayReport, execution: RecordedExecution, reference: str) -> list[Divergence]:
        replays = self._replays(report, execution, reference)
        try:
            return CauseSearch(replays, report.suspects, recorded_sources(execution)).explain(report.divergences)
        finally:
            replays.close()

    def _replays(
        self, report: ReplayReport, execution: RecordedExecution, reference: str
    ) -> Generator[list[Variant], None, None]:
        """Replay in a fresh process, and in the other surroundings, as many at once as there are cores.

        A replay is recorded by line only if its calls differ from those of the first. Yields the variants as they are there.
        Those that show most come first; the rest is left out once the cause is found.
        """
        root, running, deadline = report.root, _Running(), time.monotonic() + self._seconds
        opened = contexts_to_open(report.divergences, execution)
        replays = partial(_Replays, self, execution, reference, deadline, opened)
        pool = ThreadPoolExecutor(max(2, os.cpu_count() or 1))
        fresh: list[Variant] = []
        try:
            with replays(running, FRESH) as first:
                calls = first.calls()
                if calls and _differ(calls, calls[0]):
                    fresh = first.lines(FRESH.replays)
                    yield fresh
                every = surroundings_for(execution, report.suspects, self._variables.get(reference, ()))
                pending = {pool.submit(replays(running, one).unlike, calls[:1]) for one in every}
                if not fresh:
                    fresh = first.lines(1)
                    yield fresh
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield [variant for one in done for variant in one.result()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            running.end()
        sides = [side for side in (root.recorded, root.replayed) if side is not None] if root is not None else []
        if fresh and depends_on_kept_state(fresh[0].lines, [side.id for side in sides if side.id]):
            yield replays(_Running(), WORN).unlike(fresh[:1])

    def knows(self, reference: str, variables: tuple[str, ...]) -> None:
        """Remember the environment variables that a handler's module reads."""
        self._variables[reference] = variables


def _differ(variants: Iterable[Variant], first: Variant) -> bool:
    return any(not one.goes_like(first) for one in variants)


class _Replays:
    """Replays in a process of their own. One that fails gives no variant: what is changed may be what the handler needs."""

    def __init__(
        self,
        finder: CauseFinder,
        execution: RecordedExecution,
        reference: str,
        deadline: float,
        opened: frozenset[str],
        running: "_Running",
        surroundings: Surroundings,
    ) -> None:
        self._finder = finder
        self._execution = execution
        self._reference = reference
        self._deadline = deadline
        self._opened = opened
        self._running = running
        self._surroundings = surroundings
        self._home: HandlerProcess | None = None

    def __enter__(self) -> Self:
        if self._running.is_over:
            return self
        try:
            self._home = HandlerProcess(self._reference, self._finder.options, self._surroundings)
        except (DurableError, OSError):
            return self
        self._finder.knows(self._reference, self._home.ready.variables)
        self._running.add(self._home)
        return self

    def __exit__(self, *error: object) -> None:
        if self._home is not None:
            self._home.close()

    def unlike(self, first: list[Variant]) -> list[Variant]:
        """Replay, by line if the calls are not those of the first replay."""
        with self:
            calls = self.calls()
            return self.lines(self._surroundings.replays) if not first or _differ(calls, first[0]) else calls

    def calls(self) -> list[Variant]:
        """Replay without recording lines."""
        return self._replay(self._surroundings.replays, calls_only=True)

    def lines(self, count: int) -> list[Variant]:
        """Replay and record each line."""
        return self._replay(count, calls_only=False)

    def _replay(self, count: int, *, calls_only: bool) -> list[Variant]:
        if self._home is None:
            return []
        try:
            process = self._home.fork()
            try:
                left = max(0.1, self._deadline - time.monotonic())
                return process.record_lines(
                    self._execution,
                    self._surroundings.name,
                    count=count,
                    seconds=left,
                    opened=self._opened,
                    calls_only=calls_only,
                )
            finally:
                process.end()
        except (DurableError, TimeoutError, OSError):
            return []


class _Running:
    """The processes of one search: those that the cause does not need any more are ended."""

    def __init__(self) -> None:
        self._homes: list[HandlerProcess] = []
        self._lock = threading.Lock()
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether the search is over, so that nothing new needs to start."""
        return self._is_over

    def add(self, home: HandlerProcess) -> None:
        """Remember a process; end it at once if the search is over."""
        with self._lock:
            self._homes.append(home)
            is_over = self._is_over
        if is_over:
            home.kill()

    def end(self) -> None:
        """End every process. The threads that wait for them see that, and close what they hold."""
        with self._lock:
            self._is_over = True
            homes = list(self._homes)
        for home in homes:
            home.kill()
