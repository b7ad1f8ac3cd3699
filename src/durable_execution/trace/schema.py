"""The replay trace: the calls that the code of one invocation made, where, and their results, without a tracing backend.

On disk, a trace is a list of JSON lines that is appended to while the invocation runs: a header, one line for each call
and each end of a call, then an end line. If the file is cut off, the lines before the cut remain readable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from durable_execution.call_site import CallSite
from durable_execution.divergence import Divergence
from durable_execution.errors import DurableError

SCHEMA = "durable-replay-trace"
VERSION = 6


class UnreadableTraceError(DurableError, ValueError):
    """The given file or text is not a replay trace."""


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
    """One call of an operation, as the code observed it.

    Attributes:
        seq: Number of the call in the invocation, from 1.
        id: Operation id.
        path: Readable path.
        type: STEP, WAIT, …
        parent_id: Id of the enclosing CONTEXT operation.
        context_id: Prefix of its id, if different from `parent_id`.
        position: Call number in its context; the index of a branch.
        subtype: Subtype of the operation.
        name: Name of the operation.
        call_site: Where the code made the call.
        happened: `executed` (ended in this invocation), `replayed` (answered from the recording), `pending` (not ended
            when the invocation ended) or `diverged` (a different operation is recorded there).
        status: Status of the operation at that time; None for a virtual context that ended in an invocation that was cut off.
        at: Offset of the call, in seconds from the start of the invocation.
        ended: Offset of its end, in seconds.
        attempt: STEP: number of the last attempt.
        attempts: Attempts that ran in this invocation.
        configuration: Arguments of the call.
        input_size: Size of the serialized input, in characters.
        input_digest: Digest of the serialized input.
        result_size: Size of the serialized result, in characters.
        result_digest: Digest of the serialized result.
        error_type: Type of the error it ended with.
        input: The input, where payloads are recorded.
        result: The result, where payloads are recorded.
        locals: Names and shortened values at the call, where locals are recorded.
        is_virtual: Whether it is a virtual context, which leaves no checkpoint.
        body: Fingerprint of the function of a step, context, map or branch.
        function: Qualified name of that function.
        arguments: Digests of the arguments that the function is bound to, by name; see `trace.arguments`.
        items: Digests of a map's items, one after the other.
        extra: Members that this version does not know.
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
    function: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    items: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InvocationTrace:
    """The calls of one invocation.

    Attributes:
        execution_arn: ARN of the execution.
        invocation: Number of the invocation, from 1, if the recording is complete.
        request_id: Lambda's request id.
        handler: `module:qualname` of the handler.
        source_file: Path of the handler's file.
        source_digest: Fingerprint of the handler's source.
        sdk: Name and version of the SDK that wrote the trace.
        python: Version of Python, major and minor.
        started_at: When the invocation started.
        input: The execution's input, where payloads are recorded; in its first invocation.
        input_digest: Digest of the execution's input; in its first invocation.
        ended_at: When it ended; None when the trace is cut off.
        outcome: `SUCCEEDED`, `FAILED`, `PENDING` or `RETRY`; None when the trace is cut off.
        error_type: Type of the error it ended with.
        result: The execution's result, where payloads are recorded; in its last invocation.
        result_size: Size of the execution's result, in characters.
        result_digest: Digest of the execution's result; in its last invocation.
        entries: The calls, in call order. Repeated calls, which the trace refers to, are built on first use.
        divergences: Differences from the recording.
        is_complete: Whether the trace has its end line.
        version: Schema version it was written with.
        notes: Irregularities, one line each.
        extra: Members of the header and end line that this version does not know.
        unknown: Lines of kinds that this version does not know.
        sources: Lines with the source of the user's files; see `sources.source_texts`. In the first invocation.
    """

    execution_arn: str
    invocation: int
    request_id: str | None = None
    handler: str | None = None
    source_file: str | None = None
    source_digest: str | None = None
    sdk: str | None = None
    python: str | None = None
    started_at: datetime | None = None
    input: str | None = None
    input_digest: str | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    error_type: str | None = None
    result: str | None = None
    result_size: int | None = None
    result_digest: str | None = None
    entries: Sequence[TraceEntry] = ()
    divergences: tuple[Divergence, ...] = ()
    is_complete: bool = False
    version: int = VERSION
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    unknown: tuple[Mapping[str, Any], ...] = ()
    sources: tuple[Mapping[str, Any], ...] = ()
