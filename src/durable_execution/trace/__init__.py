"""Replay traces: the observer that records, the sinks it writes to, the redaction rules, and reading and writing files."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from durable_execution.lazy_names import lazy_names
from durable_execution.redaction import Redaction
from durable_execution.trace.schema import InvocationTrace

if TYPE_CHECKING:
    from durable_execution.trace.recorder import TraceRecorder, environment_recorder, recorder_from_environment
    from durable_execution.trace.sinks import DirectorySink, MemorySink, S3Sink, TraceSink

__all__ = [
    "DirectorySink",
    "MemorySink",
    "Redaction",
    "S3Sink",
    "TraceRecorder",
    "TraceSink",
    "environment_recorder",
    "read_traces",
    "recorder_from_environment",
    "write_traces",
]

if not TYPE_CHECKING:  # what only reads traces, such as a replay worker, loads nothing that writes them
    __getattr__ = lazy_names(
        __name__,
        {
            **dict.fromkeys(("TraceRecorder", "environment_recorder", "recorder_from_environment"), "recorder"),
            **dict.fromkeys(("DirectorySink", "MemorySink", "S3Sink", "TraceSink"), "sinks"),
        },
    )


def read_traces(lines: str | Iterable[str]) -> tuple[InvocationTrace, ...]:
    """Read the replay traces of an execution. A trace that is cut off is read up to the cut.

    Args:
        lines: The text of a trace file, or its lines. A file may contain several invocations.

    Returns:
        The traces in order, numbered from 1. Their `notes` list what could not be read.

    Raises:
        UnreadableTraceError: The text is not a replay trace.
    """
    from durable_execution.trace.reader import TraceReader

    reader = TraceReader()
    for line in lines.split("\n") if isinstance(lines, str) else lines:
        reader.feed(line)
    return tuple(replace(trace, invocation=number) for number, trace in enumerate(reader.finish(), start=1))


def write_traces(traces: Sequence[InvocationTrace]) -> Iterator[str]:
    """Yield the traces as JSON lines, including members and lines that this version does not know."""
    from durable_execution.trace.reader import lines_of

    for trace in traces:
        for line in lines_of(trace):
            yield json.dumps(line, separators=(",", ":"), default=str) + "\n"
