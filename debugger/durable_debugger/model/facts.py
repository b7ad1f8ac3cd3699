"""Short texts about an operation: its label, kind, duration and note.

The state of an operation as shown: one glyph, one word, one role.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from durable_debugger.text import durations
from durable_debugger.text.cells import safe
from durable_execution.counts import counted
from durable_execution.history.recorded import RecordedOperation
from durable_execution.protocol import OperationStatus, OperationType

KINDS = {
    OperationType.STEP: "step",
    OperationType.WAIT: "wait",
    OperationType.CALLBACK: "callback",
    OperationType.CONTEXT: "context",
    OperationType.CHAINED_INVOKE: "invoke",
    OperationType.EXECUTION: "execution",
}
SUBTYPE_KINDS = {
    "Map": "map",
    "MapIteration": "item",
    "Parallel": "parallel",
    "ParallelBranch": "branch",
    "WaitForCondition": "condition",
    "WaitForCallback": "callback",
    "RunInChildContext": "context",
    "All": "all",
    "Any": "any",
    "Race": "race",
}
WELL_KNOWN = frozenset({"Step", "Wait", "Callback", "ChainedInvoke", "Context", *SUBTYPE_KINDS})


def kind(operation: RecordedOperation) -> str:
    """Kind of the operation in one lower-case word; a user-defined subtype is returned unchanged."""
    subtype = operation.subtype
    if subtype in SUBTYPE_KINDS:
        return SUBTYPE_KINDS[subtype]
    if subtype and subtype not in WELL_KNOWN:
        return safe(subtype)
    return KINDS[operation.type]


def label(operation: RecordedOperation) -> str:
    """Name of the operation, or its kind and position when it has no name."""
    if operation.name:
        return safe(operation.name)
    where = operation.details.get("branch_index") if operation.is_branch else operation.position
    return f"{kind(operation)} {where}" if where is not None else f"{kind(operation)} {operation.id[:8]}"


class State(Enum):
    """A state. Its value is `(glyph, word, role)`."""

    SUCCEEDED = ("✓", "ok", "ok")
    FAILED = ("✗", "failed", "fail")
    RUNNING = ("▸", "running", "run")
    WAITING = ("⧗", "waiting", "wait")
    RETRYING = ("↻", "retrying", "wait")
    CANCELLED = ("⊘", "cancelled", "off")
    TIMED_OUT = ("⊗", "timed out", "fail")
    NOT_REACHED = ("◌", "not reached", "off")

    @property
    def glyph(self) -> str:
        """The state as one character, one cell wide."""
        return self.value[0]

    @property
    def word(self) -> str:
        """The state in one word, for sentences and search."""
        return self.value[1]

    @property
    def role(self) -> str:
        """The role it is drawn with."""
        return self.value[2]

    @property
    def is_failure(self) -> bool:
        """Whether the state is a failure."""
        return self in (State.FAILED, State.TIMED_OUT)


def state(operation: RecordedOperation) -> State:
    """State of the operation at the end of the recording."""
    return state_of(operation.status, operation.type)


def duration(operation: RecordedOperation) -> float | None:
    """Seconds from start to end; None while the operation is unfinished."""
    return durations.between(operation.started_at, operation.ended_at)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a context's children by state.

    Attributes:
        total: Number of children.
        succeeded: Those that succeeded.
        failed: Those that failed or timed out.
        is_map: Whether they are the items of a map.
    """

    total: int
    succeeded: int
    failed: int
    is_map: bool

    @property
    def text(self) -> str:
        """Text for a note. Failures come first because a narrow column cuts the end."""
        if self.failed:
            open_count = self.total - self.succeeded - self.failed
            rest = f" · {open_count} open" if open_count else ""
            noun = ("item", "items") if self.is_map else ("branch", "branches")
            return f"{self.failed} failed of {counted(self.total, *noun)}{rest}"
        if self.is_map and self.succeeded == self.total:
            return counted(self.total, "item")
        return f"{self.succeeded} of {self.total}"


def note(operation: RecordedOperation, tally: Tally | None, as_of: datetime | None) -> str:
    """Return the remark shown beside the name, beyond state and duration.

    Args:
        operation: The operation.
        tally: Counts of its children, when it is a map or parallel.
        as_of: The time up to which running durations are counted.
    """
    shown = state(operation)
    if tally is not None:
        return tally.text
    if shown is State.RETRYING:
        return _retry_note(operation)
    if shown is State.WAITING:
        waited = durations.between(operation.started_at, as_of)
        return _waiting_note(operation, waited)
    attempts = f"↻{counted(len(operation.attempts), 'attempt')}" if len(operation.attempts) > 1 else ""
    if shown.is_failure and operation.error is not None:
        kind, message = (operation.error.type or "error").rpartition(".")[2], operation.error.message
        error = safe(f"{kind}: {message}" if message else kind)
        return f"{attempts} · {error}" if attempts else error
    if shown is State.RUNNING and operation.started_at is not None and operation.type is not OperationType.CONTEXT:
        return f"running {durations.short(durations.between(operation.started_at, as_of))}"
    return attempts or target(operation)


def _retry_note(operation: RecordedOperation) -> str:
    last = operation.attempts[-1] if operation.attempts else None
    delay = last.next_attempt_delay_seconds if last else None
    what = f"{'poll' if is_polling(operation) else 'attempt'} {(last.number if last else 1) + 1}"
    return f"{what} after {durations.short(float(delay))}" if delay is not None else f"{what} next"


def is_polling(operation: RecordedOperation) -> bool:
    """Whether it is between two polls of a condition, none of which failed."""
    return (
        operation.subtype == "WaitForCondition"
        and state(operation) is State.RETRYING
        and all(each.error is None for each in operation.attempts)
    )


def _waiting_note(operation: RecordedOperation, waited: float | None) -> str:
    called = target(operation)
    text = f"waiting {durations.short(waited)}" if waited is not None else "waiting"
    return f"{text} · {called}" if called else text


def target(operation: RecordedOperation) -> str:
    """Return the short name of the function that an invoke calls; empty for other operations."""
    if operation.type is OperationType.CHAINED_INVOKE and operation.details.get("function_name"):
        name = str(operation.details["function_name"])
        return safe(name.rpartition(":function:")[2] or name)
    return ""


def due_at(operation: RecordedOperation) -> datetime | None:
    """When the service acts on the operation next: the end of a wait, or the next attempt."""
    scheduled = operation.details.get("scheduled_end_at")
    if isinstance(scheduled, datetime):
        return scheduled
    last = operation.attempts[-1] if operation.attempts else None
    if last is not None and last.ended_at is not None and last.next_attempt_delay_seconds is not None:
        return last.ended_at + timedelta(seconds=last.next_attempt_delay_seconds)
    return None


WAITING_TYPES = frozenset({OperationType.WAIT, OperationType.CALLBACK, OperationType.CHAINED_INVOKE})
"""Operations that end outside the function: while they are STARTED, they wait."""
BY_STATUS = {
    "SUCCEEDED": State.SUCCEEDED,
    "FAILED": State.FAILED,
    "CANCELLED": State.CANCELLED,
    "STOPPED": State.CANCELLED,
    "TIMED_OUT": State.TIMED_OUT,
    "PENDING": State.RETRYING,
    "READY": State.RETRYING,
    "RUNNING": State.RUNNING,
    "PAUSED": State.WAITING,
    "PAUSING": State.WAITING,
    "DELETING": State.CANCELLED,
}


def state_of(status: str | None, operation_type: str | None = None) -> State:
    """Return the state for a status of the protocol.

    Args:
        status: An operation's or execution's status; None for an operation that the code never reached.
        operation_type: Decides what STARTED means: a step runs, a callback waits.
    """
    if status is None:
        return State.NOT_REACHED
    if status == OperationStatus.STARTED:
        return State.WAITING if operation_type in WAITING_TYPES else State.RUNNING
    return BY_STATUS.get(str(status), State.RUNNING)
