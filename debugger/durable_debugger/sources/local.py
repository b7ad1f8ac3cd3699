"""Executions in the local engine's store, with the replay traces beside it."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from durable_debugger.sources.api import ExecutionReader, list_from
from durable_debugger.sources.found import AmbiguousError, Listed, Loaded, LookedIn, UnreadableError, matching
from durable_execution.clock import SystemClock
from durable_execution.counts import counted
from durable_execution.errors import DurableError, EngineError, ServiceError
from durable_execution.trace import read_traces
from durable_execution.trace.schema import InvocationTrace

if TYPE_CHECKING:
    from durable_execution.local import LocalEngine

DEFAULT_STORE = Path(".durable/executions.db")
TRACES = "traces"
POLL_SECONDS = 0.25


class LocalExecutions:
    """The executions of one store.

    Args:
        path: The store's file.
        now: Returns the current time.
        progress: Called with the number of events read so far.
    """

    def __init__(
        self,
        path: Path = DEFAULT_STORE,
        *,
        now: Callable[[], datetime] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.path = path
        self._now = now or SystemClock().now
        self._progress = progress
        self._engine: LocalEngine | None = None

    @property
    def words(self) -> str:
        """Description of the place."""
        return f"local store {self.path}"

    @property
    def engine(self) -> "LocalEngine":
        """The engine on the store. It runs no execution by itself.

        Raises:
            UnreadableError: The store is missing or is not a store.
        """
        if self._engine is None:
            from durable_execution.local import LocalEngine  # loads SQLite, which files do not need

            try:
                self._engine = LocalEngine(self.path, create=False)
            except EngineError as error:
                raise UnreadableError(str(error)) from error
        return self._engine

    def find(self, reference: str, arn: str | None) -> Loaded | LookedIn:
        """Find an execution by ARN, id, name, or unique prefix of an id or name."""
        if not self.path.exists():
            return LookedIn(self.words, "the store does not exist yet")
        known = list(self.executions())
        found = matching(arn or reference, known)
        if len(found) > 1:
            raise AmbiguousError(reference, found)
        if not found:
            return LookedIn(self.words, f"{counted(len(known), 'execution')}, none match")
        return self.load(found[0].arn)

    def load(self, arn: str) -> Loaded:
        """Load the execution with an ARN.

        Raises:
            UnreadableError: The store does not have it or cannot be read.
        """
        try:
            return ExecutionReader(
                self.engine.client,
                arn,
                self.words,
                self._now,
                self.traces,
                poll_seconds=POLL_SECONDS,
                progress=self._progress,
            ).read()
        except ServiceError as error:
            raise UnreadableError(str(error)) from error

    def executions(self) -> Iterator[Listed]:
        """Yield all executions, latest first."""
        if self.path.exists():
            yield from list_from(self.engine.client, None, place=self.words)

    def traces(self, arn: str) -> Sequence[InvocationTrace]:
        """Return the replay traces of an execution; none when they are missing or unreadable."""
        from durable_execution.trace.sinks import trace_file_name

        path = self.path.parent / TRACES / trace_file_name(arn)
        if not path.is_file():
            return ()
        try:
            return read_traces(path.read_text(encoding="utf-8", errors="replace"))
        except (DurableError, OSError):  # the history tells enough without them
            return ()

    def close(self) -> None:
        """Close the store."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
