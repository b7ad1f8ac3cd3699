"""Reads traces from the lines of a trace file, and writes them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Optional

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from durable_execution.call_site import CallSite
from durable_execution.counts import counted
from durable_execution.divergence import Divergence
from durable_execution.protocol.operation import to_datetime
from durable_execution.trace.lazy_calls import OLD_VERSION, TraceCalls, TraceIndex, kin
from durable_execution.trace.runs import CUT_DIGITS, ReplayRun
from durable_execution.trace.schema import (
    SCHEMA,
    VERSION,
    InvocationTrace,
    TraceAttempt,
    TraceEntry,
    UnreadableTraceError,
)
from durable_execution.trace.siblings import MAX_LEVELS, SiblingRuns

MAX_NOTES = 20


class Line(BaseModel):
    """Base of all lines. Unknown members are kept, because a newer version may have written them."""

    model_config = ConfigDict(extra="allow")


Offset = Annotated[float, Field(ge=-1e10, le=1e10)]
"""Seconds from the start of an invocation. Not a number, and numbers that no clock can show, are refused."""

Position = Annotated[int, Field(ge=0, le=100_000_000)]
"""Number of a call in its context, from 1; of a branch, from 0."""


class HeaderLine(Line):
    """First line of an invocation."""

    record: Literal["invocation"] = "invocation"
    schema_name: str = Field(alias="schema", default=SCHEMA)
    version: int = VERSION
    execution_arn: str
    request_id: str | None = None
    handler: str | None = None
    source_file: str | None = None
    source_digest: str | None = None
    sdk: str | None = None
    python: str | None = None
    started_at: datetime | None = None
    input: str | None = None
    input_digest: str | None = None


class SiteLine(BaseModel):
    """The place in the code that made a call. Without a file, it is in the handler's file, which the header names."""

    file: str | None = None
    line: int
    function: str


class CallLine(Line):
    """A call, with everything that was known about it when the line was written: the fields of `TraceEntry`.

    `happened` is `replayed`, `diverged` or `executed` if that is already known, else `pending` until an end line says
    `executed`.
    """

    record: Literal["call"] = "call"
    seq: int
    call_site: SiteLine | None = None
    attempts: tuple[TraceAttempt, ...] = ()


class RunLine(Line):
    """Consecutive calls of one context that the invocation repeated without a change.

    `replayed` calls were answered from the record; `open` ones had not ended. The calls themselves are in the lines of
    earlier invocations, by context and position.
    """

    record: Literal["replayed", "open"] = "replayed"
    context_id: str | None = None
    first: Position
    last: Position
    cuts: str = ""
    at: Offset | None = None


class SiblingsLine(Line):
    """Runs at the same positions of several contexts, or tasks, that the context `context_id` created."""

    record: Literal["siblings"] = "siblings"
    context_id: str | None = None
    siblings: tuple[tuple[Position, Position], ...]
    first: Position
    last: Position
    cuts: str = ""
    is_open: bool = False
    of_tasks: bool = False
    inner: tuple[tuple[tuple[tuple[Position, Position], ...], bool], ...] = Field(default=(), max_length=MAX_LEVELS)
    at: Offset | None = None


class EndLine(Line):
    """The end of a call, completing the call line with the same `seq`."""

    record: Literal["ended"] = "ended"
    seq: int
    status: str | None = None
    ended: Offset | None = None
    attempt: int | None = None
    result_size: int | None = None
    result_digest: str | None = None
    error_type: str | None = None
    result: str | None = None


class AttemptLine(Line):
    """One run of a step's body, with the fields of `TraceAttempt`: it ended after the line of its call was written."""

    record: Literal["attempt"] = "attempt"
    seq: int


class DivergenceLine(Line):
    """A difference from the recording."""

    record: Literal["diverged"] = "diverged"
    seq: int | None = None
    divergence: dict[str, Any]


class OutcomeLine(Line):
    """Last line of an invocation."""

    record: Literal["end"] = "end"
    ended_at: datetime | None = None
    outcome: str | None = None
    error_type: str | None = None
    result_size: int | None = None
    result_digest: str | None = None
    result: str | None = None


BOUNDED: dict[str, Any] = {
    "started": Optional[Offset],  # noqa: UP045  # type checkers know no operator of Annotated
    "ended": Optional[Offset],  # noqa: UP045
    "at": Optional[Offset],  # noqa: UP045
    "position": Optional[Position],  # noqa: UP045
}
"""Fields whose numbers are bounded, by name."""


def _with_fields(model: type[Line], source: type) -> type[Line]:
    """A line that also has those fields of a dataclass that its model does not declare itself."""
    missing: dict[str, Any] = {
        field.name: (field.type, Field(default_factory=field.default_factory))
        if field.default_factory is not MISSING
        else (BOUNDED.get(field.name, field.type), ... if field.default is MISSING else field.default)
        for field in fields(source)
        if field.name not in model.model_fields and field.name != "extra"
    }
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, __module__=__name__, **missing)


LINES: dict[str, type[Line]] = {
    "invocation": HeaderLine,
    "call": _with_fields(CallLine, TraceEntry),
    "replayed": RunLine,
    "open": RunLine,
    "siblings": SiblingsLine,
    "ended": EndLine,
    "attempt": _with_fields(AttemptLine, TraceAttempt),
    "diverged": DivergenceLine,
    "end": OutcomeLine,
}


_OF_ENTRIES = tuple(field.name for field in fields(TraceEntry) if field.name not in ("call_site", "attempts", "extra"))
_OF_TRACES = {field.name for field in fields(InvocationTrace)}
_OF_HEADERS = tuple(name for name in HeaderLine.model_fields if name in _OF_TRACES and name != "version")
_OF_ENDS = tuple(name for name in OutcomeLine.model_fields if name in _OF_TRACES)


_OF_SIBLINGS = tuple(field.name for field in fields(SiblingRuns))


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a line of a trace file."""
    kinds = dict.fromkeys(LINES.values())
    schema: dict[str, Any] = TypeAdapter(reduce(or_, kinds)).json_schema(by_alias=True)
    return schema


def _run_of(line: RunLine | SiblingsLine) -> ReplayRun | SiblingRuns:
    """The calls of a run, or of runs.

    Raises:
        ValueError: It has more or fewer digests than calls. A damaged position could otherwise stand for any number of calls.
    """
    run: ReplayRun | SiblingRuns
    if isinstance(line, SiblingsLine):
        run = SiblingRuns(**{name: getattr(line, name) for name in _OF_SIBLINGS})
        if not run.cut_count:
            raise ValueError("it names no calls of siblings")
    else:
        run = ReplayRun(line.context_id, line.first, line.last, line.cuts, line.record == "open", line.at)
    if len(line.cuts) != CUT_DIGITS * run.cut_count:
        raise ValueError(f"it names calls {line.first} to {line.last}, and has digests of other calls")
    return run


class TraceReader:
    """Reads a trace file line by line. After the first header, unreadable lines are noted and ignored."""

    def __init__(self) -> None:
        self.traces: list[InvocationTrace] = []
        self._header: HeaderLine | None = None
        self._entries: dict[int, TraceEntry] = {}
        self._parts: list[int | ReplayRun | SiblingRuns] = []
        self._index = TraceIndex()
        self._divergences: list[Divergence] = []
        self._end: Line | None = None
        self._notes: list[str] = []
        self._unknown: list[Mapping[str, Any]] = []
        self._sources: list[Mapping[str, Any]] = []
        self._number = 0

    def feed(self, line: str) -> None:
        """Read the next line.

        Raises:
            UnreadableTraceError: The first line is not a header.
        """
        self._number += 1
        if not line.strip():
            return
        found = self._decode(line)
        if found is None:
            return
        model = LINES.get(str(found.get("record")))
        if model is HeaderLine:
            self._finish_invocation()
        if self._header is None and model is not HeaderLine:
            raise _not_a_trace(f"its first line has the record kind {found.get('record')!r:.40}")
        self._take(found, model)

    def finish(self) -> list[InvocationTrace]:
        """Return the traces read so far.

        Raises:
            UnreadableTraceError: There is no header.
        """
        self._finish_invocation()
        if not self.traces:
            raise _not_a_trace("it is empty")
        return self.traces

    def _decode(self, line: str) -> dict[str, Any] | None:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
        if self._header is None:
            raise _not_a_trace(f"its first line is {line.strip()!r:.60}")
        self._note(f"line {self._number} is cut off or malformed and is ignored")
        return None

    def _take(self, found: dict[str, Any], model: type[Line] | None) -> None:
        if model is None:
            (self._sources if found.get("record") == "source" else self._unknown).append(found)
            return
        try:
            line = model.model_validate(found)
            self._apply(line)
        except (ValidationError, KeyError, ValueError, TypeError, AttributeError) as error:  # pydantic raises the last
            if model is HeaderLine:
                raise _not_a_trace(f"its header cannot be read ({_brief(error)})") from None
            self._note(f"line {self._number} cannot be read and is ignored ({_brief(error)})")

    def _apply(self, line: Line) -> None:
        extra = line.model_extra or {}
        match line:
            case HeaderLine():
                self._header = _checked(line)
                if line.version > VERSION:
                    self._note(
                        f"written in schema version {line.version}; this SDK reads version {VERSION}: "
                        "unknown members are kept unchanged"
                    )
            case CallLine():
                self._take_call(line)
            case RunLine() | SiblingsLine():
                self._parts.append(_run_of(line))
            case _ if line.record == "end":  # type: ignore[attr-defined]  # every line has a record kind
                self._end = line
            case _ if line.record == "diverged":  # type: ignore[attr-defined]
                self._apply_divergence(line)
            case _:
                self._amend(line, extra)

    def _take_call(self, line: CallLine) -> None:
        if line.seq not in self._entries:
            self._parts.append(line.seq)
        file = self._header.source_file if self._header is not None else None
        self._entries[line.seq] = _entry(line, file)

    def _apply_divergence(self, line: Any) -> None:
        self._divergences.append(Divergence.from_wire(line.divergence))
        if line.seq is None:
            return
        entry = self._entries.get(line.seq)
        if entry is not None and self._divergences[-1].severity == "error":
            self._entries[line.seq] = replace(entry, happened="diverged")

    def _amend(self, line: Any, extra: Mapping[str, Any]) -> None:
        entry = self._entries.get(line.seq)
        if entry is None:
            self._note(f"line {self._number} belongs to call {line.seq}, which is missing")
            return
        if line.record == "attempt":
            known = line.model_dump(exclude={"record", "seq", *extra})
            self._entries[line.seq] = replace(entry, attempts=(*entry.attempts, TraceAttempt(**known)))
            return
        known = line.model_dump(exclude={"record", "seq", *extra}, exclude_none=True)
        happened = "diverged" if entry.happened == "diverged" else "executed"
        self._entries[line.seq] = replace(entry, **known, happened=happened, extra={**entry.extra, **extra})

    def _finish_invocation(self) -> None:
        header, end = self._header, self._end
        if header is None:
            return
        if end is None:
            calls = len(self._entries)
            self._note(f"the trace stops after {counted(calls, 'call')}, before the invocation's end")
        extra = {**(header.model_extra or {}), **((end.model_extra or {}) if end else {})}
        self.traces.append(
            InvocationTrace(
                invocation=len(self.traces) + 1,
                **{name: getattr(header, name) for name in _OF_HEADERS if name != "started_at"},
                started_at=self._start(header),
                **{name: getattr(end, name) for name in _OF_ENDS if end is not None},
                entries=self._calls(header),
                divergences=tuple(self._divergences),
                is_complete=end is not None,
                version=header.version,
                notes=tuple(self._notes),
                extra=extra,
                unknown=tuple(self._unknown),
                sources=tuple(self._sources),
            )
        )
        self._index.add(len(self.traces), header.version, header.python, self._entries.values())
        self._header, self._end, self._entries, self._parts = None, None, {}, []
        self._divergences, self._notes, self._unknown, self._sources = [], [], [], []

    def _start(self, header: HeaderLine) -> datetime | None:
        try:
            return to_datetime(header.started_at)
        except ValueError as error:
            self._note(f"the start of the invocation cannot be read: {error}")
            return None

    def _calls(self, header: HeaderLine) -> Sequence[TraceEntry]:
        if header.version <= OLD_VERSION and len(self._parts) == len(self._entries):
            return tuple(self._entries[seq] for seq in sorted(self._entries))
        parts = [self._entries[part] if isinstance(part, int) else part for part in self._parts]
        return TraceCalls(parts, self._index, len(self.traces) + 1, kin(header.version, header.python))

    def _note(self, line: str) -> None:
        if len(self._notes) < MAX_NOTES:
            self._notes.append(line)


def lines_of(trace: InvocationTrace) -> Iterator[dict[str, Any]]:
    """Yield the lines of a trace, with one line for each call and its end."""
    header = {name: getattr(trace, name) for name in _OF_HEADERS}
    end = {name: getattr(trace, name) for name in _OF_ENDS}
    yield _set({"record": "invocation", "schema": SCHEMA, "version": trace.version, **_iso(header), **trace.extra})
    for entry in trace.entries.parts if isinstance(trace.entries, TraceCalls) else trace.entries:
        if isinstance(entry, ReplayRun | SiblingRuns):
            yield _run(entry)
            continue
        site = entry.call_site._asdict() if entry.call_site else None
        fields = {name: getattr(entry, name) for name in _OF_ENTRIES}
        yield _set({"record": "call", **fields, "call_site": site, **entry.extra})
        for attempt in entry.attempts:
            parts = {name: getattr(attempt, name) for name in attempt.__slots__}
            yield _set({"record": "attempt", "seq": entry.seq, **parts})
    for divergence in trace.divergences:
        yield {"record": "diverged", "divergence": divergence.to_wire()}
    yield from map(dict, trace.sources)
    yield from map(dict, trace.unknown)
    if trace.is_complete:
        yield _set({"record": "end", **_iso(end)})


def _checked(header: HeaderLine) -> HeaderLine:
    if header.schema_name != SCHEMA:
        raise ValueError(f"its schema is {header.schema_name!r:.60}, not {SCHEMA!r}")
    return header


def _run(run: ReplayRun | SiblingRuns) -> dict[str, Any]:
    if isinstance(run, SiblingRuns):
        return _set({"record": "siblings", **{name: getattr(run, name) for name in _OF_SIBLINGS}})
    kind = "open" if run.is_open else "replayed"
    line = {"record": kind, "context_id": run.context_id, "first": run.first, "last": run.last, "cuts": run.cuts}
    return _set({**line, "at": run.at})


def _entry(line: CallLine, source_file: str | None) -> TraceEntry:
    site = line.call_site
    return TraceEntry(
        **{name: getattr(line, name) for name in _OF_ENTRIES},
        call_site=CallSite(site.file or source_file or "", site.line, site.function) if site else None,
        attempts=line.attempts,
        extra=line.model_extra or {},
    )


def _set(line: dict[str, Any]) -> dict[str, Any]:
    empty: tuple[Any, ...] = ({}, ())
    return {
        key: value for key, value in line.items() if value is not None and value is not False and value not in empty
    }


def _iso(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in fields.items()}


def _brief(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}"[:120]


def _not_a_trace(why: str) -> UnreadableTraceError:
    return UnreadableTraceError(
        f"This is not a replay trace: {why}. A replay trace is a file of JSON lines that starts with "
        f'{{"record":"invocation","schema":"{SCHEMA}",...}}. Set DURABLE_REPLAY_TRACE=dir:PATH to record one.'
    )
