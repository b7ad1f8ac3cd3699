"""The headline of an execution: one sentence that says how it stands, and the row that explains it.

The first screen shows this sentence and selects this row, so that the answer is visible before any key is pressed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from durable_debugger.model import facts
from durable_debugger.model.differences import Differences
from durable_debugger.model.facts import State
from durable_debugger.model.marks import Marks
from durable_debugger.model.outline import ROOT
from durable_debugger.text import durations, glyphs
from durable_debugger.text.cells import safe
from durable_debugger.text.source_path import near
from durable_execution.call_site import CallSite
from durable_execution.counts import counted
from durable_execution.divergence import Divergence
from durable_execution.explain import STUCK, StateKind, explain_execution
from durable_execution.explain.facts import failure_chain
from durable_execution.explain.user_code import own_files, site_of_error
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.protocol import OperationType

GLYPHS = {
    "divergence": glyphs.ROOT,
    "fail": State.FAILED.glyph,
    "off": State.CANCELLED.glyph,
    "wait": State.WAITING.glyph,
    "run": State.RUNNING.glyph,
    "ok": State.SUCCEEDED.glyph,
}


@dataclass(frozen=True, slots=True)
class Headline:
    """How an execution stands.

    Attributes:
        text: One sentence, safe to show.
        role: Role to draw it with.
        row: The row that explains it.
        site: The code that explains it, where it differs from the row's call site.
        short: The sentence for a window in which `text` does not fit; empty where there is none.
    """

    text: str
    role: str
    row: int = ROOT
    site: CallSite | None = None
    short: str = ""

    @property
    def glyph(self) -> str:
        """A sign for the kind of headline, so that no meaning depends on colour."""
        return GLYPHS[self.role]


class Subject(Protocol):
    """What a headline reads of a session."""

    @property
    def execution(self) -> RecordedExecution:
        """The execution, as it may be shown."""
        ...

    @property
    def raw(self) -> RecordedExecution:
        """The execution as recorded, with its secrets."""
        ...

    @property
    def recorded(self) -> Sequence[RecordedOperation]:
        """Its operations, as they are recorded."""
        ...

    @property
    def operations(self) -> Sequence[RecordedOperation]:
        """Its operations, as they may be shown."""
        ...

    @property
    def rows(self) -> Mapping[str, int]:
        """The row of each operation, by id."""
        ...

    @property
    def as_of(self) -> datetime | None:
        """The time for which the execution is shown."""
        ...

    @property
    def status(self) -> State:
        """State of the execution."""
        ...

    @property
    def differences(self) -> Differences | None:
        """How it differs from a replay."""
        ...

    @property
    def marks(self) -> Marks:
        """The rows that differ."""
        ...

    def latest(self) -> int:
        """The row that changed last."""
        ...


def headline(session: Subject) -> Headline:
    """Return the headline of a session, most urgent first: a difference, a failure, what it waits for."""
    differences = session.differences
    if differences is not None and differences.first is not None:
        return _diverged(session, differences.first)
    if differences is not None and differences.remark:
        return Headline(safe(differences.remark), "fail" if differences.is_failure else "ok", _last_row(session))
    state = session.status
    if state.is_failure or state is State.CANCELLED:
        return _failed(session)
    if state is State.SUCCEEDED:
        lacks = session.execution.events and session.execution.started_at is None
        return Headline(f"Succeeded{_summary(session)}{'; its first events are missing' if lacks else ''}", "ok")
    return _open(session)


def failed_row(session: Subject) -> int | None:
    """Return the row whose error ended the execution; None when code outside any operation raised it."""
    chain = failure_chain(session.raw)
    return session.rows.get(chain[-1].id) if chain else None


def _diverged(session: Subject, divergence: Divergence) -> Headline:
    differences = session.differences
    within = f" in invocation {differences.invocation}" if differences is not None and differences.invocation else ""
    text = safe(f"Diverged{within}{divergence.where}: {divergence.sentence}")
    row = session.marks.row_of(divergence)
    short = safe(f"Diverged{within}{divergence.where.partition(' of ')[0]}: {divergence.sentence}")
    return Headline(text, "divergence", ROOT if row is None else row, short=short)


def _failed(session: Subject) -> Headline:
    execution = session.execution
    word = {"STOPPED": "Stopped", "TIMED_OUT": "Timed out"}.get(execution.status, "Failed")
    role = "off" if execution.status == "STOPPED" else "fail"
    row = failed_row(session)
    if row is None:
        site = site_of_error(execution.error, own_files(execution))
        if execution.error is None:
            return Headline(
                f"{word}{_summary(session).replace(' in ', ' after ', 1)}", role, _rested_at(session, site), site
            )
        what = safe(str(execution.error))
        where = f" {_place(site)}, outside any step" if site is not None else ""
        rested = _rested_at(session, site)
        if rested != ROOT:
            operation = session.operations[rested]
            where = f', while {facts.kind(operation)} "{name_of(operation, _parent(session, operation))}" had not ended'
            what = what.rstrip(".")
        return Headline(f"{word}: {what}{where}", role, rested, site)
    operation = session.operations[row]
    site = site_of_error(operation.error, own_files(execution)) or operation.call_site
    where = f" {_place(site)}" if site is not None else ""
    return Headline(f"{word}: {_gave_up(session, operation)}{where}", role, row, site)


def _rested_at(session: Subject, site: CallSite | None) -> int:
    """The row at which an execution that was stopped or timed out was waiting."""
    if site is not None or session.execution.status not in ("STOPPED", "TIMED_OUT"):
        return ROOT
    place = explain_execution(session.execution, as_of=session.as_of).place
    return session.rows.get(place.id, ROOT) if place is not None and place.id is not None else ROOT


def name_of(operation: RecordedOperation, parent: RecordedOperation | None) -> str:
    """The name of a call for a sentence: the SDK's own names for parts of a call say less than the call around them."""
    if parent is None or not GIVEN_NAME.search(operation.name or ""):
        return facts.label(operation)
    if parent.subtype == "WaitForCallback":
        return facts.label(parent)
    return (
        f"{facts.kind(operation)} {operation.details.get('branch_index', operation.position)} of {facts.label(parent)}"
    )


def _parent(session: Subject, operation: RecordedOperation) -> RecordedOperation | None:
    row = session.rows.get(operation.parent_id or "")
    return session.operations[row] if row is not None else None


def _gave_up(session: Subject, operation: RecordedOperation) -> str:
    label, count = name_of(operation, _parent(session, operation)), len(operation.attempts)
    error = operation.error
    kind = safe((error.type or "error").rpartition(".")[2]) if error else "error"
    message = safe(error.message or "") if error else ""
    reason = f"{kind}: {message}" if message else kind
    if facts.state(operation) is State.TIMED_OUT:
        return f"{facts.kind(operation)} {label} timed out"
    return (
        f"{label} gave up after {counted(count, 'attempt')} ({reason})" if count > 1 else f"{label} failed ({reason})"
    )


GIVEN_NAME = re.compile(r"^(map-item|parallel-branch)-\d+$| create callback id$| submitter$")
"""Names that the SDKs give to map items, branches, and the calls inside `wait_for_callback`."""

RESTING = frozenset({StateKind.RETRY_STORM, StateKind.QUOTA_NEAR, StateKind.PAUSED, StateKind.PAUSING})
"""Stuck states that are no failure."""

WAITED_FOR = frozenset({OperationType.CALLBACK, OperationType.CHAINED_INVOKE, OperationType.WAIT})
"""Calls that something outside the function ends."""

WAITING = frozenset(
    {StateKind.WAITING_FOR_TIMER, StateKind.WAITING_FOR_CALLBACK, StateKind.WAITING_FOR_INVOKE, StateKind.RETRY_PENDING}
)


def _open(session: Subject) -> Headline:
    found = explain_execution(session.execution, as_of=session.as_of)
    place = found.place
    row = session.rows.get(place.id) if place is not None and place.id is not None else None
    if found.state in STUCK or found.state is StateKind.HISTORY_UNAVAILABLE:
        role = "wait" if found.state in RESTING else "fail"
        return Headline(
            safe(found.headline.rstrip(".")), role, ROOT if row is None else row, place.call_site if place else None
        )
    if found.state in WAITING and row is not None:
        operation = session.operations[row]
        return Headline(f"{_waiting(session, operation)}{_others(session, operation)}", "wait", row)
    row = session.latest()
    if row == ROOT:
        return Headline("Running: its code has made no durable calls yet", "run")
    operation = session.operations[row]
    since = durations.between(operation.started_at, session.as_of)
    ago = f" since {durations.short(since)}" if since is not None else ""
    if facts.state(operation) is not State.RUNNING:
        return Headline(f"Running, last ended: {facts.label(operation)}", "run", row)
    also = sum(
        one.id != operation.id and one.type is not OperationType.CONTEXT and facts.state(one) is State.RUNNING
        for one in session.operations
    )
    others = f", and {counted(also, 'more call')}" if also else ""
    return Headline(f"Running {facts.label(operation)}{ago}{others}", "run", row)


def _others(session: Subject, waiting: RecordedOperation) -> str:
    """How many other calls it waits for at the same time."""
    count = sum(
        one.type in WAITED_FOR and one.id != waiting.id and not one.status.is_terminal for one in session.operations
    )
    return f", and for {counted(count, 'more call')}" if count else ""


def _waiting(session: Subject, operation: RecordedOperation) -> str:
    label = f'"{name_of(operation, _parent(session, operation))}"' if operation.name else ""
    since = durations.between(operation.started_at, session.as_of)
    ago = f" since {durations.short(since)}" if since is not None and since >= 1 else ""  # a file ends with its start
    due = facts.due_at(operation)
    left = durations.between(session.as_of, due)
    if facts.is_polling(operation):
        next_one = facts.note(operation, None, session.as_of)
        return f"Waiting for condition {label}{ago}: {counted(len(operation.attempts), 'poll')} so far, {next_one}"
    if facts.state(operation) is State.RETRYING:
        error = next((one.error for one in reversed(operation.attempts) if one.error is not None), None)
        reason = f"; the last one raised {safe((error.type or 'an error').rpartition('.')[2])}" if error else ""
        return f"Retrying {label or facts.kind(operation)}: {facts.note(operation, None, session.as_of)}{reason}"
    if operation.type is OperationType.CALLBACK:
        ends = _timeout(session, operation)
        return f"Waiting for callback {label}{ago}{ends}"
    if operation.type is OperationType.CHAINED_INVOKE:
        target = facts.target(operation)
        return f"Waiting for invoke {label}{f' of {target}' if target else ''}{ago}"
    ends = (
        f", ends in {durations.short(left)}"
        if left is not None and left > 0
        else ", overdue"
        if left is not None
        else ""
    )
    timer = "for the timer " if operation.type is OperationType.WAIT else ""
    return f"Waiting {timer}{label}{ago}{ends}".replace("  ", " ").replace(" ,", ",")


def _timeout(session: Subject, operation: RecordedOperation) -> str:
    seconds, beat = operation.details.get("timeout_seconds"), operation.details.get("heartbeat_timeout_seconds")
    passed = durations.between(operation.started_at, session.as_of)
    silent = f"{durations.short(float(beat))} without a heartbeat" if isinstance(beat, (int, float)) and beat else ""
    if not isinstance(seconds, (int, float)) or not seconds or passed is None:
        return f", times out after {silent}" if silent else ", without a timeout"
    left = float(seconds) - passed
    if left <= 0:
        return f", timed out {durations.short(-left)} ago"
    return f", times out in {durations.short(left)}" + (f", or after {silent}" if silent else "")


def _summary(session: Subject) -> str:
    execution = session.execution
    seconds = durations.between(execution.started_at, execution.ended_at)
    words = [f" in {durations.short(seconds)}"] if seconds is not None else [""]
    count = len(execution.invocations)
    words += [counted(count, "invocation")] if count else []
    retries = _retries(execution)
    words += [counted(retries, "retry", "retries")] if retries else []
    return ", ".join(words)


def _retries(execution: RecordedExecution) -> int:
    return sum(max(len(operation.attempts) - 1, 0) for operation in execution.operations)


def _last_row(session: Subject) -> int:
    return session.latest()


def _place(site: CallSite) -> str:
    return f"{safe(near(site.file))}:{site.line}"
