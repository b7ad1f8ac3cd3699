"""Builds the lines of one invocation's trace while it runs.

Lines are assembled as text: a JSON encoder would make recording several times as expensive. A call that ends before its
line is flushed gets a single line.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from json import dumps
from json.encoder import encode_basestring_ascii as text
from types import FunctionType
from typing import Any

from durable_execution.notes import CallNotes, Replay
from durable_execution.observers import Diverged, InvocationEnded, InvocationStarted, OperationCall
from durable_execution.protocol import ErrorObject, OperationStatus
from durable_execution.protocol.operation import DETAILS_MEMBER
from durable_execution.redaction import Redaction
from durable_execution.trace.arguments import Digests
from durable_execution.trace.call_text import (
    ATTEMPTS,
    ENDED,
    Attempt,
    CallLine,
    End,
    StaticKey,
    Statics,
    digest_of,
    fingerprint_of,
    member_text,
    only_waits,
    place_text,
    run_text,
)
from durable_execution.trace.local_variables import locals_at
from durable_execution.trace.repeats import BATCH, CONTEXT, TAIL, Identities, Repeats, RuntimeCall, kept
from durable_execution.trace.schema import SCHEMA, VERSION
from durable_execution.trace.sinks import TraceWriter, in_one_line
from durable_execution.trace.virtual_contexts import HeldContext, VirtualContexts

logger = logging.getLogger("durable_execution")
SDK = "durable-execution-sdk"
FLUSH_LINES = 32
FLUSH_EVERY = timedelta(milliseconds=250)
"""At a checkpoint, lines go to the writer once there are this many, or once the last flush is this long ago."""

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MAX_COLLECTED = 1024
"""Repeated calls are written once there are this many, so that a crash during a long replay leaves its traces."""

PATCH = "Patch"
"""Subtype of markers outside the numbering of calls, which a run cannot refer to."""

MAX_DIGESTS = 256
DIGEST_CACHED_UP_TO = 64
"""Characters: short payloads such as `null` and `true` are common."""

STEP = "STEP"
CONFIGURATION = '"configuration":'
PENDING = "pending"
NO_DIGESTS = Digests(None, bool)
AnyCall = RuntimeCall | OperationCall


class TraceSession(CallNotes):
    """Collects the lines of one invocation and passes them to a writer.

    Attributes:
        writer: Receives the lines; None once it has failed.
    """

    def __init__(
        self,
        writer: TraceWriter | None,
        started_at: datetime,
        *,
        payloads: bool,
        has_locals: bool,
        has_sources: bool,
        redaction: Redaction,
        statics: Statics,
        identities: Identities,
    ) -> None:
        self.writer = writer
        self._started_at = self._latest = self._last_moment = started_at
        self._flush_due = started_at + FLUSH_EVERY
        self._last_offset = "0.000000"
        self._payloads = payloads
        self._has_locals, self._has_sources = has_locals, has_sources
        self._redaction = redaction
        self._lines: list[str | CallLine] = []
        self._open: dict[str, CallLine] = {}
        self._seq = 0
        self._seqs: dict[str, int] = {}
        self._statics = statics
        self._digests: dict[str, str] = {}
        self._repeats = Repeats(identities, self._digest_of)
        self._tail = TAIL
        self._replayed_at = started_at
        self._updated: frozenset[str] = frozenset()
        self._virtual = VirtualContexts(())
        self._source_file: str | None = None
        self._given_digests = NO_DIGESTS

    def header(self, notification: InvocationStarted) -> None:
        """Write the first line and flush it immediately."""
        source_file, source_digest = fingerprint_of(notification.handler_function)
        self._source_file = source_file
        self._given_digests = Digests(notification.execution_arn, self._redaction.hides)
        self._updated = frozenset(notification.updated_operation_ids)
        self._has_sources = self._has_sources and notification.is_first
        if not notification.is_first:
            self._virtual = VirtualContexts(notification.operations)
        header = {
            "record": "invocation",
            "schema": SCHEMA,
            "version": VERSION,
            "execution_arn": notification.execution_arn,
            "request_id": notification.request_id,
            "handler": notification.handler,
            "source_file": source_file,
            "source_digest": source_digest,
            "sdk": SDK,
            "python": PYTHON,
            "started_at": notification.at.isoformat(),
            **(self._given(notification.input) if notification.is_first else {}),
        }
        self._lines.append(dumps({key: value for key, value in header.items() if value is not None}) + "\n")
        self.flush(notification.at)

    def note_started(self, call: AnyCall, at: datetime, status: str, is_replayed: bool) -> None:
        """Write a call that has not ended; nothing changed since an earlier invocation started it if it only waits."""
        repeats, self._latest = self._repeats, at
        if not (is_replayed or call.type == CONTEXT or self._virtual.held or repeats.calls or repeats.condensed_count):
            self._write_call(call, at, PENDING, status)  # a new call after new ones, as a rule
            return
        if call.is_virtual:
            self._repeat_contexts(self._virtual.enter(call, at, self._repeats.count))
            return
        if call.type == CONTEXT:
            self._virtual.note(call)
        if is_replayed:
            self._prove(call.context_id, call.position)
        if is_replayed and call.id not in self._updated and only_waits(call.type, status):
            repeats.calls.append((call, None))
            self._condense(at)
        else:
            self.call(call, at, PENDING, status)

    def note_replayed(self, call: AnyCall, recorded: Mapping[str, Any], at: datetime) -> None:
        """Note a call that was answered from the record."""
        if call.subtype == PATCH:
            self._answered(call, recorded, at)
            return
        if self._virtual.unproven:
            self._prove(call.context_id, call.position)
        self._replayed_at = at
        self._repeats.calls.append((call, recorded))
        self._condense(at)

    def note_replays(self, replays: Sequence[Replay], at: datetime) -> None:
        """Note calls that were answered from the record."""
        if self._virtual.unproven or PATCH in [call.subtype for call, _ in replays]:
            for call, recorded in replays:
                self.note_replayed(call, recorded, at)
        else:
            self._replayed_at = at
            self._repeats.calls += replays
            self._condense(at)

    def _condense(self, at: datetime) -> None:
        if len(self._repeats.calls) >= BATCH:
            self._repeats.condense()
            if len(self._repeats) >= MAX_COLLECTED:
                self._write_repeats(at, tail=0)
                self.flush(at)

    def _answered(self, call: AnyCall, wire: Mapping[str, Any], at: datetime) -> None:
        """Write a call that was answered from the record."""
        self.call(call, at, "replayed", wire["Status"], wire.get(DETAILS_MEMBER[wire["Type"]]))

    def _prove(self, context_id: str | None, position: int) -> None:
        """Take into account that a call is recorded, so that an earlier invocation entered the virtual contexts before it."""
        if self._virtual.unproven:
            self._repeat_contexts(self._virtual.proven_by(context_id, position))

    def _repeat_contexts(self, contexts: Iterable[HeldContext]) -> None:
        """Collect virtual contexts that ended as in the invocation that entered them: nothing new happened in them."""
        for held in contexts:
            if held.ended is not None:
                del self._virtual.held[held.call.id]
                self._replayed_at = held.ended[0]
                self._repeats.insert(held.index, (held.call, held.wire))

    def _write_held(self, contexts: Iterable[HeldContext]) -> None:
        """Write virtual contexts, each after the calls that were made before it."""
        for held in contexts:
            self._write_repeats(held.at, tail=0, until=held.index)
            self._write_call(held.call, held.at, PENDING, OperationStatus.STARTED)
            if held.ended is not None:
                self._end_call(held.call, held.ended)

    def _write_repeats(self, at: datetime, *, tail: int, until: int | None = None) -> None:
        if not self._repeats:
            return
        at = max(at, self._started_at)
        runs, last = self._repeats.take(tail=tail, until=until)
        for run in runs:
            self._seq += run.count
            self._lines.append(
                f'{run_text(run)},"first":{run.first},"last":{run.last},"cuts":"{run.cuts}","at":{self._offset(at)}}}\n'
            )
        for call, recorded in last:
            self._answered(call, recorded or {}, self._replayed_at)

    def call(
        self, call: AnyCall, at: datetime, happened: str, status: str, details: Mapping[str, Any] | None = None
    ) -> int:
        """Write a call, with the recorded details that answered it. Returns its number."""
        if self._virtual.held:
            self._write_held(self._virtual.release(call))
            if call.is_virtual and call.id in self._seqs:  # it was held
                return self._seqs[call.id]
        if self._repeats:
            tail, self._tail = self._tail, 0
            self._write_repeats(at, tail=tail)
        return self._write_call(call, at, happened, status, details)

    def _write_call(
        self, call: AnyCall, at: datetime, happened: str, status: str, details: Mapping[str, Any] | None = None
    ) -> int:
        self._seq = seq = self._seq + 1
        self._seqs[call.id] = seq
        is_plain = call.function.__class__ is FunctionType and not (call.items or self._has_locals)
        line = [seq, call, at, happened, status, "" if is_plain else self._given_to(call), details, None, None]
        self._lines.append(line)
        if happened == PENDING:
            self._open[call.id] = line
        return seq

    def note_completed(
        self,
        call: AnyCall,
        at: datetime,
        status: str,
        result: str | None,
        error: ErrorObject | None,
        attempt: int | None,
        is_replayed: bool,
    ) -> None:
        """Write the end of a call."""
        ended = at, status, attempt, result, error
        held = self._virtual.held.get(call.id) if self._virtual.held else None
        if held is not None:
            held.ended = ended
            if held.was_entered:
                self._repeat_contexts([held])
            return
        if is_replayed:
            self._prove(call.context_id, call.position)
        self._end_call(call, ended)

    def _end_call(self, call: AnyCall, ended: End) -> None:
        line = self._open.pop(call.id, None)
        if line is None:
            seq = self._seq_of(call, ended[0])
            line = self._open.pop(call.id, None)
            if line is None:
                self._lines.append(f'{{"record":"ended","seq":{seq}{self._end_text(ended)}}}\n')
                return
        line[ENDED] = ended

    def note_attempt_ended(
        self, call: AnyCall, attempt: int, started_at: datetime, at: datetime, outcome: str, error: ErrorObject | None, delay: int | None
    ) -> None:  # fmt: skip
        """Write one attempt of a step."""
        made = attempt, started_at, at, outcome, error, delay
        self._latest = at
        line = self._open.get(call.id)
        if line is None:
            seq = self._seq_of(call, at)
            line = self._open.get(call.id)
            if line is None:
                self._lines.append(f'{{"record":"attempt","seq":{seq},{self._attempt_text(made)[1:]}\n')
                return
        if line[ATTEMPTS] is None:
            line[ATTEMPTS] = [made]
        else:
            line[ATTEMPTS].append(made)

    def diverged(self, notification: Diverged) -> None:
        """Write a divergence and flush it immediately."""
        seq = self._seq_of(notification.call, notification.at) if notification.call is not None else None
        line = {"record": "diverged", "seq": seq, "divergence": notification.divergence.to_wire()}
        self._lines.append(dumps(line, default=str) + "\n")
        self.flush(notification.at)

    def end(self, notification: InvocationEnded) -> None:
        """Write the last line. Nothing may follow."""
        self._end_contexts()
        self._write_repeats(notification.at, tail=self._tail)
        error, result = notification.error, notification.result
        if self._has_sources:
            self._write_sources()
        self._lines.append(
            f'{{"record":"end","ended_at":"{notification.at.isoformat()}","outcome":{text(notification.status)}'
            f"{self._payload('result', result) if result else ''}"
            f"{member_text('error_type', error.type) if error else ''}}}\n"
        )
        self.flush(notification.at)
        self._act(lambda writer: writer.close())

    def _end_contexts(self) -> None:
        """Collect the virtual contexts that wait as before, and write those that no earlier invocation is known to have entered."""
        held, self._virtual.held = list(self._virtual.held.values()), {}
        for each in held:
            if each.was_entered:
                self._repeats.insert(each.index, (each.call, None))
        self._write_held(each for each in held if not each.was_entered)

    def _write_sources(self) -> None:
        from durable_execution.trace.sources import source_lines  # needed at the end of first invocations only

        files = {
            site.file
            for *_, site, _body, _function, file in self._statics.texts
            if site is not None and file == self._source_file
        }
        self._lines += source_lines(self._source_file, files, self._redaction)

    def note_checkpoint(self) -> None:
        """Flush if there are many lines, or if the last flush was long before the last note."""
        if len(self._lines) >= FLUSH_LINES or self._latest >= self._flush_due:
            self.flush(self._latest)

    def flush(self, at: datetime) -> None:
        """Pass all lines to the writer."""
        text_of = self._text_of
        lines = "".join([line if line.__class__ is str else text_of(line) for line in self._lines])  # type: ignore[arg-type]
        self._lines, self._open, self._flush_due = [], {}, at + FLUSH_EVERY
        if lines:
            self._act(lambda writer: writer.append(lines))

    def _act(self, act: Callable[[TraceWriter], None]) -> None:
        if self.writer is None:
            return
        try:
            act(self.writer)
        except Exception as error:  # noqa: BLE001  # a trace must never harm an execution
            self.writer = None
            logger.warning(
                "cannot write the replay trace, so the rest of this invocation is not recorded; the execution continues: %s",
                in_one_line(error),
            )

    def _seq_of(self, call: AnyCall, at: datetime) -> int:
        """Return the number of a call, writing the call first if it was not announced yet."""
        return self._seqs.get(call.id) or self.call(call, at, PENDING, OperationStatus.STARTED)

    def _text_of(self, line: CallLine) -> str:
        seq, call, made_at, happened, status, given, details, attempts, ended = line
        context_id = call.context_id
        if ended is not None and attempts is not None and call.type == STEP and not self._payloads:
            found = self._finished_step(line, context_id)
            if found is not None:
                return found
        found = (
            f'{{"record":"call","seq":{seq},"id":"{call.id}","path":{text(call.path)},"position":{call.position}'
            f',"at":{self._offset(made_at)}{self._static_of(call)}{given}'
        )
        if context_id is not None:
            found += place_text(call)
        if call.configuration:
            found += f",{CONFIGURATION}{dumps(call.configuration, default=str)}"
        if call.input is not None:
            found += self._payload("input", call.input)
        if call.is_virtual:
            found += ',"is_virtual":true'
        if details is not None:
            found += self._answer(details)
        if attempts is not None:  # before the end, because an attempt often starts and ends at the moments of the call
            found += f',"attempts":[{",".join(map(self._attempt_text, attempts))}]'
        if ended is not None:
            return f'{found},"happened":"executed"{self._end_text(ended)}}}\n'
        return f'{found},"happened":"{happened}","status":"{status}"}}\n'

    def _finished_step(self, line: CallLine, context_id: str | None) -> str | None:
        """Return what `_text_of` does for most calls: new steps that succeeded at once. None for others."""
        seq, call, made_at, _, _, given, _, attempts, (at, status, attempt, result, error) = line
        number, started_at, stopped_at, outcome, failure, _ = attempts[0]
        if len(attempts) > 1 or failure is not None or error is not None or result is None or started_at is not made_at:
            return None
        start, place = self._started_at, place_text(call) if context_id is not None else ""
        began = "%.6f" % (started_at - start).total_seconds()  # noqa: UP031  # faster
        return (
            f'{{"record":"call","seq":{seq},"id":"{call.id}","path":{text(call.path)},"position":{call.position},'
            f'"at":{began}{self._static_of(call)}{given}{place},"attempts":[{{"number":{number},"started":{began},'
            f'"ended":{"%.6f" % (stopped_at - start).total_seconds()},"outcome":"{outcome}"}}],'  # noqa: UP031
            f'"happened":"executed","status":"{status}","ended":{"%.6f" % (at - start).total_seconds()},'  # noqa: UP031
            f'"attempt":{attempt},"result_size":{len(result)},"result_digest":"{self._digest_of(result)}"}}\n'
        )

    def _end_text(self, ended: End) -> str:
        at, status, attempt, result, error = ended
        number = f',"attempt":{attempt}' if attempt is not None else ""
        answer = self._payload("result", result) if result is not None else ""
        if error is not None:
            answer += member_text("error_type", error.type)
        return f',"status":"{status}","ended":{self._offset(at)}{number}{answer}'

    def _attempt_text(self, made: Attempt) -> str:
        attempt, started_at, at, outcome, error, delay = made
        found = f'{{"number":{attempt},"started":{self._offset(started_at)},"ended":{self._offset(at)},"outcome":"{outcome}"'
        if error is not None:
            found += member_text("error_type", error.type)
        return f"{found}}}" if delay is None else f'{found},"next_attempt_delay_seconds":{int(delay)}}}'

    def _offset(self, at: datetime) -> str:
        if at is self._last_moment:
            return self._last_offset
        offset = self._last_offset = "%.6f" % (at - self._started_at).total_seconds()  # noqa: UP031  # faster
        self._last_moment = at
        return offset

    def _static_of(self, call: AnyCall) -> str:
        """Return the members that every call from the same place shares."""
        if isinstance(call, OperationCall):
            return self._described(call)
        site, function, file = call.site, call.function, self._source_file
        place = id(site), call.name, call.subtype
        known = self._statics.by_place.get(place)
        if known is not None and known[0] is site and known[1] is function and known[2] is file:
            return known[4]
        facts = site, call.code_and_name, call.type, call.subtype, file
        if known is None or known[3] != facts:
            known = self._statics.by_place[place] = site, kept(function), file, facts, self._described(call.info())
        return known[4]

    def _described(self, call: OperationCall) -> str:
        key = call.type, call.subtype, call.name, call.call_site, call.body, call.function, self._source_file
        return self._statics.texts.get(key) or self._describe(key)

    def _describe(self, key: StaticKey) -> str:
        """Render the members that every call from the same call site shares."""
        type_, subtype, name, site, body, function, source_file = key
        members = (
            f',"type":"{type_}"{member_text("subtype", subtype)}{member_text("name", name)}{member_text("body", body)}'
        )
        members += member_text("function", function)
        if site is not None:
            file = f'"file":{text(site.file)},' if site.file != source_file else ""
            members += f',"call_site":{{{file}"line":{site.line},"function":{text(site.function)}}}'
        self._statics.add(key, members)
        return members

    def _given_to(self, call: AnyCall) -> str:
        """Describe the arguments that a function is bound to, the items of a map, and the local variables."""
        bound = call.bound if isinstance(call, OperationCall) else call.function
        found = (
            self._given_digests.arguments(bound) if bound is not None and bound.__class__ is not FunctionType else ""
        )
        if found:
            found = f',"arguments":{found}'
        if bound is not None and call.items:
            found += member_text("items", self._given_digests.items(call.items))
        if self._has_locals:
            site = call.call_site if isinstance(call, OperationCall) else call.site
            found += f',"locals":{dumps(locals_at(site, self._redaction))}' if site is not None else ""
        return found

    def _given(self, value: Any) -> dict[str, Any]:
        """Describe the execution's input."""
        given = dumps(value, separators=(",", ":"))
        shown = self._redaction.payload(given) if self._payloads else None
        return {"input_digest": digest_of(given), "input": shown}

    def _answer(self, details: Mapping[str, Any]) -> str:
        result, error, attempt = details.get("Result"), details.get("Error"), details.get("Attempt")
        answer = self._payload("result", result) if result.__class__ is str else ""  # pyright: ignore[reportArgumentType]  # faster than isinstance
        if attempt is not None:
            answer += f',"attempt":{int(attempt)}'
        return answer + member_text("error_type", error.get("ErrorType")) if error else answer

    def _payload(self, member: str, payload: str) -> str:
        digest = self._digest_of(payload)
        described = f',"{member}_size":{len(payload)},"{member}_digest":"{digest}"'
        return f"{described}{member_text(member, self._redaction.payload(payload))}" if self._payloads else described

    def _digest_of(self, payload: str) -> str:
        found = self._digests.get(payload)
        if found is None:
            found = digest_of(payload)
            if len(payload) <= DIGEST_CACHED_UP_TO:
                if len(self._digests) >= MAX_DIGESTS:
                    self._digests.clear()
                self._digests[payload] = found
        return found
