"""Writes replay traces: the observer that records, the sinks it writes to, and the redaction rules."""

from durable_execution.redaction import Redaction
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
    "recorder_from_environment",
]
