"""Spans of invocations in the engine's process, kept beside the store so that you need no collector."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from durable_execution.observers import Observer

if TYPE_CHECKING:
    from durable_execution.telemetry.store import SpanSink

DIRECTORY = "spans"


class Spans:
    """Selects the observers that keep the spans of invocations.

    Args:
        store: The store's file; None for a store in memory, which keeps no spans.
        is_wanted: Whether the engine may write files beside its store.
    """

    def __init__(self, store: Path | None, *, is_wanted: bool) -> None:
        self._directory = store.parent / DIRECTORY if store is not None and is_wanted else None
        self._sink: SpanSink | None = None

    def observers(self) -> Sequence[Observer]:
        """The observers that keep the spans of one invocation."""
        if self._directory is None:
            return ()
        from durable_execution.telemetry.settings import Settings
        from durable_execution.telemetry.store import SpanKeeper, SpanSink

        settings = Settings.read()
        if not settings.is_on:
            return ()
        if self._sink is None:
            self._sink = SpanSink(self._directory)
        return (SpanKeeper(self._sink, view=settings.view),)
