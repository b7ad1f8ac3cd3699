"""Who listens to the invocations an engine runs in its own process."""

from collections.abc import Callable, Sequence
from pathlib import Path

from durable_execution.local.invocations import Assignment
from durable_execution.observers import Observer

TraceSink = Callable[[Assignment], Sequence[Observer]] | str | Path | bool | None
"""Observers for an invocation, a directory for replay traces, False for no traces, or None for the default directory."""


def observers_for(assignment: Assignment, store: Path | None, sink: TraceSink) -> Sequence[Observer]:
    """The observers of one invocation.

    Args:
        assignment: The invocation.
        store: The store's file; None when it is in memory.
        sink: What the engine was told about traces.
    """
    if callable(sink):
        return sink(assignment)
    return ()
