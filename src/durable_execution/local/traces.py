"""Replay traces of the invocations an engine runs in its own process."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from durable_execution.observers import Observer

if TYPE_CHECKING:
    from durable_execution.recording import TraceSink

DIRECTORY = "traces"
VARIABLE = "DURABLE_REPLAY_TRACE"


class Traces:
    """Decides who writes the replay trace of an invocation.

    Args:
        store: The store's file; None when it is in memory.
        choice: A sink, a directory, False for no traces, or None for `traces/` beside the store, and no traces for a store
            in memory.
    """

    def __init__(self, store: Path | None, choice: "TraceSink | str | Path | Literal[False] | None") -> None:
        self._directory = store.parent / DIRECTORY if choice is None and store is not None else None
        self._choice: TraceSink | str | Path | Literal[False] | None = choice
        self._observers: Sequence[Observer] | None = None

    def observers(self) -> Sequence[Observer]:
        """The observers that write traces."""
        if self._choice is None and VARIABLE in os.environ:
            return ()  # the handler writes the trace itself, to where the variable says
        if self._observers is None:
            self._observers = self._recorders()
        return self._observers

    def _recorders(self) -> Sequence[Observer]:
        target = self._directory if self._choice is None else self._choice
        if target is None or target is False:
            return ()
        from durable_execution.recording import DirectorySink
        from durable_execution.recording.choice import recorder_for

        return (recorder_for(DirectorySink(target) if isinstance(target, (str, Path)) else target, os.environ),)
