"""Replay traces of invocations in the engine's process.

Spans of invocations in the engine's process, kept beside the store so that you need no collector.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from durable_execution.observers import Observer

if TYPE_CHECKING:
    from durable_execution.telemetry.span_store import SpanSink
    from durable_execution.trace import TraceSink

TRACES_DIRECTORY = "traces"
VARIABLE = "DURABLE_REPLAY_TRACE"


class Traces:
    """Selects the observers that write the replay traces of invocations.

    Args:
        store: The store's file; None for a store in memory.
        choice: A sink, a directory, False for no traces, or None for `traces/` beside the store. With None, a store in
            memory has no traces.
    """

    def __init__(self, store: Path | None, choice: "TraceSink | str | Path | Literal[False] | None") -> None:
        self._directory = store.parent / TRACES_DIRECTORY if choice is None and store is not None else None
        self._choice: TraceSink | str | Path | Literal[False] | None = choice
        self._observers: Sequence[Observer] | None = None

    def observers(self) -> Sequence[Observer]:
        """The observers that write traces."""
        if self._choice is None and VARIABLE in os.environ:
            return ()  # the handler writes the trace itself, to the variable's destination
        if self._observers is None:
            self._observers = self._recorders()
        return self._observers

    def _recorders(self) -> Sequence[Observer]:
        target = self._directory if self._choice is None else self._choice
        if target is None or target is False:
            return ()
        from durable_execution.trace import DirectorySink
        from durable_execution.trace.recorder import recorder_for

        return (recorder_for(DirectorySink(target) if isinstance(target, (str, Path)) else target, os.environ),)


SPANS_DIRECTORY = "spans"


class Spans:
    """Selects the observers that keep the spans of invocations.

    Args:
        store: The store's file; None for a store in memory, which keeps no spans.
        is_wanted: Whether the engine may write files beside its store.
    """

    def __init__(self, store: Path | None, *, is_wanted: bool) -> None:
        self._directory = store.parent / SPANS_DIRECTORY if store is not None and is_wanted else None
        self._sink: SpanSink | None = None

    def observers(self) -> Sequence[Observer]:
        """The observers that keep the spans of one invocation."""
        if self._directory is None:
            return ()
        from durable_execution.telemetry.settings import Settings
        from durable_execution.telemetry.span_store import SpanKeeper, SpanSink

        settings = Settings.read()
        if not settings.is_on:
            return ()
        if self._sink is None:
            self._sink = SpanSink(self._directory)
        return (SpanKeeper(self._sink, view=settings.view, top=settings.top),)
