"""Writes replay traces: an observer, the places it can write to, and what it must not write."""

from durable_execution.recording.choice import recorder_from_environment
from durable_execution.recording.recorder import TraceRecorder
from durable_execution.recording.redaction import Redaction
from durable_execution.recording.sinks import DirectorySink, MemorySink, S3Sink, TraceSink

__all__ = [
    "DirectorySink",
    "MemorySink",
    "Redaction",
    "S3Sink",
    "TraceRecorder",
    "TraceSink",
    "recorder_from_environment",
]
