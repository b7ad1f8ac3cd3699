"""The lines of one invocation's trace, while it runs.

Lines are put together by hand: with a JSON encoder, recording would cost several times as much. A call that ends before its
line is handed on has one line for everything.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from json import dumps
from json.encoder import encode_basestring_ascii as text
from typing import Any

from durable_execution.observers import (
    AttemptEnded,
    CallSite,
    Diverged,
    InvocationEnded,
    InvocationStarted,
    OperationCall,
    OperationCompleted,
)
from durable_execution.protocol import OperationStatus
from durable_execution.recording.fingerprint import fingerprint_of
from durable_execution.recording.frames import locals_at
from durable_execution.recording.redaction import Redaction
from durable_execution.recording.sinks import TraceWriter
from durable_execution.replay.trace import SCHEMA, VERSION

logger = logging.getLogger("durable_execution")

SDK = "durable-execution-sdk"
FLUSH_LINES = 32
FLUSH_SECONDS = 0.25
"""At a checkpoint, lines are handed to the writer once there are this many, or once the first is this old."""

MAX_STATICS = 4096

StaticKey = tuple[str, str | None, str | None, CallSite | None, str | None]
"""Type, subtype, name, call site and fingerprint: the same in every invocation of a warm environment."""

MAX_DIGESTS = 256
DIGEST_CACHED_UP_TO = 64
"""Characters: `null`, `true` and the like come often."""


class _Begun:
    """The line of a call that has not ended, while it is not handed on.

    Attributes:
        seq: Number of the call.
        line: The line without its end; after the end of the call, the whole line.
        attempts: Runs of the body so far, as JSON objects with commas between.
        is_over: Whether `line` is the whole line.
    """

    __slots__ = ("attempts", "is_over", "line", "seq", "status")

    def __init__(self, seq: int, line: str, status: str) -> None:
        self.seq = seq
        self.line = line
        self.status = status
        self.attempts: str | None = None
        self.is_over = False

    def finish(self, rest: str) -> None:
        """The call has ended."""
        runs = f',"attempts":[{self.attempts}]' if self.attempts is not None else ""
        self.line = f'{self.line},"happened":"executed"{rest}{runs}}}\n'
        self.is_over = True

    @property
    def so_far(self) -> str:
        """The line as it can be handed on."""
        if self.is_over:
            return self.line
        runs = f',"attempts":[{self.attempts}]' if self.attempts is not None else ""
        return f'{self.line},"happened":"pending","status":"{self.status}"{runs}}}\n'


class TraceSession:
    """Collects the lines of one invocation and hands them on.

    Attributes:
        writer: Where they go; None once it has failed.
    """

    def __init__(
        self,
        writer: TraceWriter | None,
        began: datetime,
        *,
        payloads: bool,
        has_locals: bool,
        redaction: Redaction,
        statics: dict[StaticKey, str],
    ) -> None:
        self.writer = writer
        self._began = self._flushed = self._last_moment = began
        self._last_offset = "0.000000"
        self._payloads = payloads
        self._has_locals = has_locals
        self._redaction = redaction
        self._lines: list[str | _Begun] = []
        self._begun: dict[str, _Begun] = {}
        self._seq = 0
        self._seqs: dict[str, int] = {}
        self._statics = statics
        self._digests: dict[str, str] = {}

    def header(self, happening: InvocationStarted) -> None:
        """The first line, handed on at once."""
        source_file, source_digest = fingerprint_of(happening.handler_function)
        header = {
            "record": "invocation",
            "schema": SCHEMA,
            "version": VERSION,
            "execution_arn": happening.execution_arn,
            "request_id": happening.request_id,
            "handler": happening.handler,
            "source_file": source_file,
            "source_digest": source_digest,
            "sdk": SDK,
            "started_at": happening.at.isoformat(),
            **(self._given(happening.input) if happening.is_first else {}),
        }
        self._lines.append(dumps({key: value for key, value in header.items() if value is not None}) + "\n")
        self.flush(happening.at)

    def call(
        self,
        call: OperationCall,
        at: datetime,
        happened: str,
        status: str,
        details: Mapping[str, Any] | None = None,
    ) -> int:
        """A call, with the recorded details it was answered with. Returns its number."""
        self._seq = seq = self._seq + 1
        id_ = call.id
        self._seqs[id_] = seq
        static = self._statics.get(key := (call.type, call.subtype, call.name, call.call_site, call.body))
        if static is None:
            static = self._describe(key)
        line = (
            f'{{"record":"call","seq":{seq},"id":"{id_}","path":{text(call.path)},"position":{call.position}'
            f',"at":{self._offset(at)}{static}'
        )
        if call.context_id is not None:
            line += _place(call)
        if call.configuration:
            line += f",{CONFIGURATION}{dumps(call.configuration, default=str)}"
        if call.input is not None:
            line += self._payload("input", call.input)
        if call.is_virtual:
            line += ',"is_virtual":true'
        if details is not None:
            line += self._answer(details)
        if self._has_locals:
            line += self._locals(call.call_site)
        if happened == "pending":
            begun = self._begun[id_] = _Begun(seq, line, status)
            self._lines.append(begun)
        else:
            self._lines.append(f'{line},"happened":"{happened}","status":"{status}"}}\n')
        return seq

    def ended(self, happening: OperationCompleted) -> None:
        """The end of a call."""
        result, error, attempt = happening.result, happening.error, happening.attempt
        rest = f',"status":"{happening.status}","ended":{self._offset(happening.at)}'
        if attempt is not None:
            rest = f'{rest},"attempt":{attempt}'
        if result is not None:
            rest = f"{rest}{self._payload('result', result)}"
        if error is not None:
            rest = f"{rest}{_member('error_type', error.type)}"
        begun = self._begun.pop(happening.call.id, None)
        if begun is not None:
            begun.finish(rest)
        else:
            seq = self._seq_of(happening.call, happening.at)
            self._lines.append(f'{{"record":"ended","seq":{seq}{rest}}}\n')

    def attempt(self, happening: AttemptEnded) -> None:
        """One run of a step's body."""
        error, delay = happening.error, happening.next_attempt_delay_seconds
        run = (
            f'"number":{happening.attempt},"started":{self._offset(happening.started_at)}'
            f',"ended":{self._offset(happening.at)},"outcome":"{happening.outcome}"'
        )
        if error is not None:
            run += _member("error_type", error.type)
        if delay is not None:
            run += f',"next_attempt_delay_seconds":{int(delay)}'
        begun = self._begun.get(happening.call.id)
        if begun is None:
            seq = self._seq_of(happening.call, happening.at)
            self._lines.append(f'{{"record":"attempt","seq":{seq},{run}}}\n')
        elif begun.attempts is None:
            begun.attempts = f"{{{run}}}"
        else:
            begun.attempts = f"{begun.attempts},{{{run}}}"

    def diverged(self, happening: Diverged) -> None:
        """A difference from the record, handed on at once."""
        seq = self._seq_of(happening.call, happening.at) if happening.call is not None else None
        line = {"record": "diverged", "seq": seq, "divergence": happening.divergence.to_wire()}
        self._lines.append(dumps(line, default=str) + "\n")
        self.flush(happening.at)

    def end(self, happening: InvocationEnded) -> None:
        """The last line; nothing may follow."""
        error, result = happening.error, happening.result
        self._lines.append(
            f'{{"record":"end","ended_at":"{happening.at.isoformat()}","outcome":{text(happening.status)}'
            f"{self._payload('result', result) if result else ''}"
            f"{_member('error_type', error.type) if error else ''}}}\n"
        )
        self.flush(happening.at)
        self._act(lambda writer: writer.close())

    def checkpoint(self, at: datetime) -> None:
        """Hand lines on if there are many, or old ones."""
        if len(self._lines) >= FLUSH_LINES or (at - self._flushed).total_seconds() >= FLUSH_SECONDS:
            self.flush(at)

    def flush(self, at: datetime) -> None:
        """Hand all lines on."""
        lines = "".join([line if line.__class__ is str else line.so_far for line in self._lines])  # type: ignore[union-attr]
        self._lines, self._begun, self._flushed = [], {}, at
        if lines:
            self._act(lambda writer: writer.append(lines))

    def _act(self, act: Callable[[TraceWriter], None]) -> None:
        if self.writer is None:
            return
        try:
            act(self.writer)
        except Exception:
            self.writer = None
            logger.warning(
                "the replay trace cannot be written: the execution goes on, the rest of this invocation is not recorded",
                exc_info=True,
            )

    def _seq_of(self, call: OperationCall, at: datetime) -> int:
        """The number of a call; one that was not announced yet is written first."""
        return self._seqs.get(call.id) or self.call(call, at, "pending", OperationStatus.STARTED)

    def _offset(self, at: datetime) -> str:
        if at is self._last_moment:
            return self._last_offset
        passed = at - self._began
        is_short = not passed.days
        offset = f"{passed.seconds}.{passed.microseconds:06}" if is_short else f"{passed.total_seconds():.6f}"
        self._last_moment, self._last_offset = at, offset
        return offset

    def _describe(self, key: StaticKey) -> str:
        """The members that every call from the same place has."""
        type_, subtype, name, site, body = key
        members = f',"type":"{type_}"{_member("subtype", subtype)}{_member("name", name)}{_member("body", body)}'
        if site is not None:
            members += f',"call_site":{{"file":{text(site.file)},"line":{site.line},"function":{text(site.function)}}}'
        if len(self._statics) >= MAX_STATICS:
            self._statics.clear()
        self._statics[key] = members
        return members

    def _locals(self, site: CallSite | None) -> str:
        return f',"locals":{dumps(locals_at(site, self._redaction))}' if site is not None else ""

    def _given(self, value: Any) -> dict[str, Any]:
        """What the execution was given."""
        given = dumps(value, separators=(",", ":"))
        shown = self._redaction.payload(given) if self._payloads else None
        return {"input_digest": _digest(given), "input": shown}

    def _answer(self, details: Mapping[str, Any]) -> str:
        result, error, attempt = details.get("Result"), details.get("Error"), details.get("Attempt")
        answer = self._payload("result", result) if result.__class__ is str else ""  # pyright: ignore[reportArgumentType]  # faster than isinstance
        if attempt is not None:
            answer += f',"attempt":{int(attempt)}'
        return answer + _member("error_type", error.get("ErrorType")) if error else answer

    def _payload(self, member: str, payload: str) -> str:
        if len(payload) > DIGEST_CACHED_UP_TO:
            digest = _digest(payload)
        else:
            digest = self._digests.get(payload) or self._remember(payload)
        described = f',"{member}_size":{len(payload)},"{member}_digest":"{digest}"'
        return f"{described}{_member(member, self._redaction.payload(payload))}" if self._payloads else described

    def _remember(self, payload: str) -> str:
        if len(self._digests) >= MAX_DIGESTS:
            self._digests.clear()
        digest = self._digests[payload] = _digest(payload)
        return digest


CONFIGURATION = '"configuration":'


def _digest(payload: str) -> str:
    try:
        return blake2b(payload.encode(), digest_size=8).hexdigest()
    except UnicodeEncodeError:
        return blake2b(payload.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _place(call: OperationCall) -> str:
    parent, context = call.parent_id, call.context_id
    place = f',"parent_id":"{parent}"' if parent is not None else ""
    if context != parent:
        place += f',"context_id":"{context}"'
    return place


def _member(name: str, value: Any) -> str:
    return "" if value is None else f',"{name}":{text(str(value))}'
