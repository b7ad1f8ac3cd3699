"""What a fleet needs to know of each execution, read from its events in one pass, without its payloads.

Ten thousand histories are read for one table, so nothing is built that the table does not show. The shape of an execution
is computed once for each set of calls: executions of one workflow make the same calls with the same ids.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from durable_debugger.model.cost import Usage, payload_bytes, usage_of_invocation
from durable_execution.divergence import NONDETERMINISM, shortened
from durable_execution.explain import STUCK, StateKind, explain_execution
from durable_execution.explain.facts import (
    NEAR_QUOTA,
    STORM_ATTEMPTS,
    around,
    backoff_of,
    failing_invocations,
    short_error,
)
from durable_execution.history.event_fold import OPERATION_EVENTS, SERVICE_TYPES, details, error_of, mapping
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.protocol import ErrorObject, ExecutionArn, OperationStatus, OperationType
from durable_execution.protocol.enums import BRANCHES, MAX_OPERATIONS
from durable_execution.protocol.operation import to_datetime

FOLDED = "#"
IDENTIFIER = re.compile(r"\b[A-Za-z]*[-_.:]?[\w.:-]*\d(?:[\w.:-]*\w)?")
"""A word with a digit in it: a number, an id, a date, an address."""

MONTHS = "Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec"
DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
DATED = re.compile(rf"(?:\b(?:{DAYS})[a-z]*,? )?(?:# ?(?:{MONTHS})[a-z]*\b,? ?|\b(?:{MONTHS})[a-z]* )#(?:,? #)*")
"""A date in words, after its numbers are folded: `Sun, 29 Nov 2026`, `Nov 29, 2026`."""

LISTED = re.compile(r"(?<!\w)[-+]?#(?:, ?[-+]?#)*(?!\w)")
"""Numbers with signs and thousands separators, and lists of numbers of any length."""

NAMED = "|".join(f"{status.value}(?=[ ,:]+(?:message=)?[\"']?{re.escape(status.phrase)}\\b)" for status in HTTPStatus)
CODE = re.compile(
    r"(?:\bhttp(?:/\d(?:\.\d)?)?|\bhttp[ _]?(?:error|status)|status[ _]?code|\bstatus|(?:error|exit|return|response|with)"
    r"[ _-]?(?:code|status)|\bsqlstate|\berrno|\bwinerror|\bORA-?|\bsignal)[\s\"'=:(\[]{0,4}(?:of |is |was )?"
    r"(?P<code>-?\d{1,5})(?![\w.-]*\w)"
    rf"|(?<![\w.#-])(?P<named>{NAMED}|[45]\d\d(?= (?:client|server) error\b))"
    r"|\b(?:returned|answered|responded|replied|said|got|received|failed|failure|error|occurred|refused)(?: with| by)?"
    r"(?: an?)?[ :]*[(\[]?(?P<told>[45]\d\d)(?=[)\].,;:]*(?:$| (?:for|from|on|when|while|after|to|at|in|calling)\b|[)\]]))",
    re.IGNORECASE,
)
"""A code of an error that says what failed: an HTTP status, an exit code, an `errno`, an SQL state."""

KEPT_DIGITS = {ord("0") + digit: 0xE000 + digit for digit in range(10)}
FOLDED_BACK = {kept: digit for digit, kept in KEPT_DIGITS.items()}
"""Digits of a code are written with private characters while the numbers around it are folded."""

NAME_IDENTIFIER = re.compile(
    r"\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b|(?<![A-Za-z0-9])(?=[a-f]*\d)[0-9a-f]{6,}(?![A-Za-z0-9])|\d[A-Za-z0-9]*"
)
"""What numbers a name: a UUID, a hexadecimal id, or a number with what follows it."""

BRANCH = re.compile(r"[#~]\d+")
MAX_MESSAGE = 200
MAX_SHAPES = 5_000
OPEN = frozenset({"RUNNING", "PAUSED", "PAUSING"})
WAITS = {
    OperationType.WAIT: "timer",
    OperationType.CALLBACK: "callback",
    OperationType.CHAINED_INVOKE: "invoke",
    OperationType.STEP: "step",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """One execution of a fleet.

    Attributes:
        reference: What opens it: its ARN, or the path of its file.
        name: Execution name.
        status: An `ExecutionStatus`.
        version: Version of its function; empty where unknown.
        started_at: When it started.
        ended_at: When it ended.
        shape: The calls it made, one label per call, with branches and repetitions folded.
        failure: Error type, call and message with ids folded; empty unless it failed.
        waits: Where it waits, or why it does not continue; empty once it has ended.
        usage: What it used.
    """

    reference: str
    name: str
    status: str
    version: str
    started_at: datetime | None
    ended_at: datetime | None
    shape: tuple[str, ...]
    failure: tuple[str, str, str] = ("", "", "")
    waits: str = ""
    usage: Usage = field(default_factory=Usage)

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    def without_secrets(self, redact: Callable[[str], str]) -> "Facts":
        """The same with its messages redacted."""
        kind, place, message = self.failure
        if not message and "(" not in self.waits:
            return self
        return replace(self, failure=(kind, place, redact(message)), waits=redact(self.waits))


@lru_cache(maxsize=8192)
def folded(text: str) -> str:
    """A message on one line and without the numbers and ids in it, so that the same failure of two executions has one text.

    Codes of errors stay: 503 and 404 are different failures, and orders 503 and 404 are not.
    """
    kept = CODE.sub(_kept, " ".join(text.split()))
    shown = LISTED.sub(FOLDED, DATED.sub(FOLDED, IDENTIFIER.sub(FOLDED, kept)))
    return shown.translate(FOLDED_BACK)[:MAX_MESSAGE]


def _kept(found: re.Match[str]) -> str:
    group = found.lastgroup or "code"
    start, end = found.start(group) - found.start(), found.end(group) - found.start()
    return f"{found[0][:start]}{found[group].translate(KEPT_DIGITS)}{found[0][end:]}"


@lru_cache(maxsize=8192)
def folded_name(name: str) -> str:
    """A name of a call without the numbers and ids in it: `line-7` and `line-8` are calls of one kind."""
    return NAME_IDENTIFIER.sub(FOLDED, name)[:MAX_MESSAGE]


@dataclass(slots=True)
class _Call:
    type: OperationType
    name: str | None
    parent: str | None
    subtype: str | None
    status: OperationStatus
    is_retrying: bool = False
    error: ErrorObject | None = None
    last: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class _Form:
    """What executions with the same calls share.

    Attributes:
        shape: The calls as labels.
        paths: The path of each call, by id.
        around: The contexts and combinators around each call, by id.
    """

    shape: tuple[str, ...]
    paths: Mapping[str, str]
    around: Mapping[str, tuple[str, ...]]


class FactReader:
    """Reads facts, and remembers the shapes of executions with the same calls."""

    def __init__(self) -> None:
        self._shapes: dict[Any, _Form] = {}

    def read(self, events: Sequence[Mapping[str, Any]], *, reference: str, arn: str | None, status: str = "") -> Facts:
        """Read the facts of one execution.

        Args:
            events: Its history, in order.
            reference: What opens it.
            arn: Its ARN, where known.
            status: Its status, where the service told; else it is derived from the events.
        """
        calls: dict[str, _Call] = {}
        usage = Usage()
        ending: tuple[str, Any, ErrorObject | None] = ("", None, None)
        started: Any = None
        name = ""
        ended_before = 0
        is_failing = False
        for number, event in enumerate(events):
            kind = event.get("EventType")
            usage.bytes_written += payload_bytes(event, kind)
            known = OPERATION_EVENTS.get(kind) if isinstance(kind, str) else None
            if known is not None:
                _apply(calls, event, known, number)
            elif kind == "InvocationCompleted":
                usage_of_invocation(usage, event, ended_before)
                is_failing = details(event).get("Error") is not None
                ended_before = sum(call.status.is_terminal and not call.is_retrying for call in calls.values())
            elif kind == "ExecutionStarted":
                started, name = event.get("EventTimestamp"), str(event.get("Name") or "")
            elif isinstance(kind, str) and kind.startswith("Execution"):
                ending = _ending(ending, kind, event)
        usage.operations, usage.executions = len(calls), 1
        began, until = _moment(started), _moment(ending[1] or (events[-1].get("EventTimestamp") if events else None))
        usage.keep(began, until)
        parts = _parsed(arn)
        form = self._form(calls, events, arn)
        found = status if status and status not in OPEN else ending[0] or status or "RUNNING"
        waits = _waiting(calls, form) if found in OPEN else ""
        if found in OPEN and (found != "RUNNING" or is_failing or _may_be_stuck(calls, events)):
            waits = _stuck(read_history(list(events), arn=arn, execution={"Status": found})) or waits
        return Facts(
            reference=reference,
            name=(parts.name if parts else name) or name or reference,
            status=found,
            version=parts.version if parts else "",
            started_at=began,
            ended_at=_moment(ending[1]) if found not in OPEN else None,
            shape=form.shape,
            failure=_failure(calls, ending[2], form.paths) if found not in ("SUCCEEDED", *OPEN) else ("", "", ""),
            waits=waits if found in OPEN else "",
            usage=usage,
        )

    def _form(self, calls: Mapping[str, _Call], events: Sequence[Mapping[str, Any]], arn: str | None) -> "_Form":
        key = frozenset((id_, call.type, folded_name(call.name or ""), call.parent) for id_, call in calls.items())
        found = self._shapes.get(key)
        if found is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            execution = read_history(list(events), arn=arn)
            known = execution.by_id()
            inside = {one.id: around(one, known) for one in execution.operations}
            found = self._shapes[key] = _Form(shape_of(execution), paths_of(execution), inside)
        return found


def shape_of(execution: RecordedExecution) -> tuple[str, ...]:
    """The calls of an execution as labels, depth first, with the branches of maps and repeated calls folded."""
    children: dict[str | None, list[RecordedOperation]] = {}
    known = execution.by_id()
    for operation in execution.operations:
        parent = operation.parent_id if operation.parent_id in known else None
        children.setdefault(parent, []).append(operation)
    return tuple(_labels(children, None, ()))


def _labels(
    children: Mapping[str | None, Sequence[RecordedOperation]], parent: str | None, above: tuple[str, ...]
) -> list[str]:
    blocks: list[list[str]] = []
    for operation in children.get(parent, ()):
        path = (*above, _label(operation))
        if len(path) > 64:
            break
        block = ["/".join(path), *_labels(children, operation.id, path)]
        is_branch = operation.subtype in BRANCHES
        if block != (blocks[-1] if blocks else None) and not (is_branch and block in blocks):
            blocks.append(block)
    return [label for block in blocks for label in block]


def _label(operation: RecordedOperation) -> str:
    if operation.subtype in BRANCHES:
        return FOLDED
    return folded_name(operation.name or (operation.subtype or operation.type.value).lower())


def paths_of(execution: RecordedExecution) -> dict[str, str]:
    """The path of each call without the handler's name, with branches folded, by id."""
    return {one.id: folded_path(one.path) for one in execution.operations}


def folded_path(path: str) -> str:
    """A path without the handler's name, with the numbers of branches and ids folded."""
    return "/".join(folded_name(part) for part in BRANCH.sub("", path.partition("/")[2] or path).split("/"))


def _apply(
    calls: dict[str, _Call], event: Mapping[str, Any], known: tuple[OperationType, OperationStatus], number: int
) -> None:
    id_ = event.get("Id")
    if not isinstance(id_, str):
        return
    type_, status = known
    call = calls.get(id_)
    if call is None:
        name, parent, subtype = event.get("Name"), event.get("ParentId"), event.get("SubType")
        call = calls[id_] = _Call(type_, name, parent, subtype, status)
    call.status, call.is_retrying, call.last = status, False, number
    if type_ is OperationType.STEP and status is not OperationStatus.STARTED:
        retry = mapping(details(event).get("RetryDetails"))
        call.is_retrying = retry.get("NextAttemptDelaySeconds") is not None
        call.failures += call.is_retrying
    if status is OperationStatus.FAILED or (status.is_terminal and type_ in SERVICE_TYPES):
        call.error = error_of(details(event).get("Error"))


def _ending(
    before: tuple[str, Any, ErrorObject | None], kind: str, event: Mapping[str, Any]
) -> tuple[str, Any, ErrorObject | None]:
    word = kind.removeprefix("Execution")
    if word in ("Paused", "Resumed"):
        return ("PAUSED" if word == "Paused" else "RUNNING", None, None)
    if word in ("Succeeded", "Failed", "TimedOut", "Stopped"):
        status = "TIMED_OUT" if word == "TimedOut" else word.upper()
        return status, event.get("EventTimestamp"), error_of(details(event).get("Error"))
    return before


def _failure(calls: Mapping[str, _Call], error: ErrorObject | None, paths: Mapping[str, str]) -> tuple[str, str, str]:
    """Type, call and message of a failure. The call is the innermost one with the error of the execution."""
    if error is None:
        return ("unknown", "", "")
    same = [id_ for id_, call in calls.items() if call.error is not None and call.error.message == error.message]
    innermost = max(same, key=lambda id_: _depth(calls, id_), default=None)
    place = paths.get(innermost, "") if innermost is not None else ""
    kind, message = (error.type or "Error").rpartition(".")[2], error.message or ""
    return (kind, place, folded(shortened(message) if kind == NONDETERMINISM else message))


def _depth(calls: Mapping[str, _Call], id_: str) -> int:
    depth, here = 0, calls[id_].parent
    while here is not None and here in calls and depth < 1000:
        depth, here = depth + 1, calls[here].parent
    return depth


def _waiting(calls: Mapping[str, _Call], form: _Form) -> str:
    """Where an open execution waits: its open calls, without the contexts around them and without those left behind."""
    places: list[str] = []
    for id_, call in calls.items():
        if call.type not in WAITS or (call.status.is_terminal and not call.is_retrying):
            continue
        if any(outer in calls and calls[outer].status.is_terminal for outer in form.around.get(id_, ())):
            continue
        kind, place = "retry" if call.is_retrying else WAITS[call.type], id_
        parent = calls.get(call.parent or "")
        if call.parent is not None and parent is not None and backoff_of(call.name, parent.name) is not None:
            kind, place = "retry", call.parent
        places.append(f"{kind} {form.paths.get(place, call.name or id_[:8])}")
    return ", ".join(sorted(set(places))) or "between calls"


def _may_be_stuck(calls: Mapping[str, _Call], events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the rules of an explanation can find more than an open call: reading them all would take too long."""
    retried = [
        call.failures for call in calls.values() if (call.failures and not call.status.is_terminal) or call.is_retrying
    ]
    is_storm = len(retried) >= STORM_ATTEMPTS or max(retried, default=0) >= STORM_ATTEMPTS
    last = events[-1].get("EventId") if events else None
    is_whole = not isinstance(last, int) or last == len(events)
    return is_storm or not is_whole or len(calls) >= MAX_OPERATIONS * NEAR_QUOTA


def _stuck(execution: RecordedExecution) -> str:
    """Why an open execution does not continue, in the words of `durable-debug explain`; empty if it only waits."""
    found = explain_execution(execution, as_of=None)
    if found.state not in STUCK and found.state is not StateKind.DIVERGED:
        return ""
    failing = failing_invocations(execution)
    reason = short_error(failing[-1].error) if failing else ""
    place = folded_path(found.place.path) if found.place is not None and found.place.id is not None else ""
    words = [
        found.state.value.replace("_", " "),
        f"at {place}" if place else "",
        f"({folded(reason)})" if reason else "",
    ]
    return " ".join(word for word in words if word)


def _parsed(arn: str | None) -> ExecutionArn | None:
    try:
        return ExecutionArn.parse(arn) if arn else None
    except ValueError:
        return None


def _moment(value: Any) -> datetime | None:
    try:
        return to_datetime(value)
    except (ValueError, OverflowError):
        return None
