"""The replay trace: what the code of one invocation called, where, and what it got, independent of any tracing backend.

On disk a trace is a list of JSON lines, appended while the invocation runs: a header, then a line per call and per end of
a call, then an end line. Whatever is cut off, the lines before it can be read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from durable_execution.errors import DurableError
from durable_execution.observers import CallSite
from durable_execution.replay.divergence import Divergence

SCHEMA = "durable-replay-trace"
VERSION = 1
HIDDEN = "⊘"
"""Stands in payloads where something was left out."""


class UnreadableTraceError(DurableError, ValueError):
    """What was given is not a replay trace."""


@dataclass(frozen=True, slots=True)
class TraceAttempt:
    """One run of a step's body, offsets in seconds from the start of the invocation."""

    number: int
    started: float | None = None
    ended: float | None = None
    outcome: str | None = None
    error_type: str | None = None
    next_attempt_delay_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One call of an operation, as the code saw it.

    Attributes:
        seq: Number of the call in the invocation, from 1.
        id: Operation id.
        path: Readable place.
        type: STEP, WAIT, …
        parent_id: Id of the CONTEXT operation around it.
        context_id: Id that prefixes its id, when that is another one than `parent_id`.
        position: Call number in its context; the index of a branch.
        subtype: What it is for.
        name: As given.
        call_site: Where the code called it.
        happened: `executed` (it ended in this invocation), `replayed` (answered from the record), `pending` (it had not
            ended when the invocation did) or `diverged` (something else is recorded there).
        status: Status of the operation at that time.
        at: Offset of the call, in seconds from the start of the invocation.
        ended: Offset of its end.
        attempt: STEP: number of the last attempt.
        attempts: Attempts that ran in this invocation.
        configuration: What was asked for.
        input_size: Size of the serialized input, in characters.
        input_digest: Digest of the serialized input.
        result_size: Size of the serialized result, in characters.
        result_digest: Digest of the serialized result.
        error_type: Type of the error it ended with.
        input: The input, where payloads are recorded.
        result: The result, where payloads are recorded.
        locals: Names and short values at the call, where locals are recorded.
        is_virtual: Whether it leaves no checkpoint.
        body: Fingerprint of a step's function.
        extra: Members this version does not know.
    """

    seq: int
    id: str
    path: str
    type: str
    parent_id: str | None = None
    context_id: str | None = None
    position: int | None = None
    subtype: str | None = None
    name: str | None = None
    call_site: CallSite | None = None
    happened: str = "pending"
    status: str | None = None
    at: float | None = None
    ended: float | None = None
    attempt: int | None = None
    attempts: tuple[TraceAttempt, ...] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)
    input_size: int | None = None
    input_digest: str | None = None
    result_size: int | None = None
    result_digest: str | None = None
    error_type: str | None = None
    input: str | None = None
    result: str | None = None
    locals: Mapping[str, str] = field(default_factory=dict)
    is_virtual: bool = False
    body: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InvocationTrace:
    """What the code of one invocation did.

    Attributes:
        execution_arn: Which execution.
        invocation: Number of the invocation, from 1, as far as the recording tells.
        request_id: Lambda's id of it.
        handler: `module:qualname` of the handler.
        source_file: File of the handler.
        source_digest: Fingerprint of the handler's source.
        sdk: Name and version of the SDK that wrote the trace.
        started_at: When the invocation started.
        input: The execution's input, where payloads are recorded; in its first invocation.
        input_digest: Digest of the execution's input; in its first invocation.
        ended_at: When it ended; None when the trace stops before.
        outcome: `SUCCEEDED`, `FAILED`, `PENDING` or `RETRY`; None when the trace stops before.
        error_type: Type of the error it ended with.
        result: The execution's result, where payloads are recorded; in its last invocation.
        result_size: Size of the execution's result, in characters.
        result_digest: Digest of the execution's result; in its last invocation.
        entries: The calls, in call order.
        divergences: What did not match the record.
        is_complete: Whether the end line is there.
        version: Version of the schema it was written with.
        notes: What is odd about it, a line each.
        extra: Members of header and end line that this version does not know.
        unknown: Lines of kinds that this version does not know.
    """

    execution_arn: str
    invocation: int
    request_id: str | None = None
    handler: str | None = None
    source_file: str | None = None
    source_digest: str | None = None
    sdk: str | None = None
    started_at: datetime | None = None
    input: str | None = None
    input_digest: str | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    error_type: str | None = None
    result: str | None = None
    result_size: int | None = None
    result_digest: str | None = None
    entries: tuple[TraceEntry, ...] = ()
    divergences: tuple[Divergence, ...] = ()
    is_complete: bool = False
    version: int = VERSION
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    unknown: tuple[Mapping[str, Any], ...] = ()


def read_traces(lines: str | Iterable[str]) -> tuple[InvocationTrace, ...]:
    """Read the traces of an execution, as far as they go.

    Args:
        lines: The text of a trace file, or its lines; several invocations may follow one another.

    Returns:
        The traces in order, numbered from 1. What could not be read stands in their `notes`.

    Raises:
        UnreadableTraceError: It is no replay trace at all.
    """
    from durable_execution.replay.trace_lines import TraceReader

    reader = TraceReader()
    for line in lines.split("\n") if isinstance(lines, str) else lines:
        reader.feed(line)
    return tuple(replace(trace, invocation=number) for number, trace in enumerate(reader.finish(), start=1))


def write_traces(traces: Sequence[InvocationTrace]) -> Iterator[str]:
    """The traces as JSON lines, with everything that was read, also what this version does not know."""
    from durable_execution.replay.trace_lines import lines_of

    for trace in traces:
        for line in lines_of(trace):
            yield json.dumps(line, separators=(",", ":"), default=str) + "\n"
