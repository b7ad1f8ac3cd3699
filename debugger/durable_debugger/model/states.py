"""The state of an operation as people see it: one glyph, one word, one role."""

from enum import Enum

from durable_execution.protocol import OperationStatus, OperationType


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
        """One cell."""
        return self.value[0]

    @property
    def word(self) -> str:
        """For sentences and for search."""
        return self.value[1]

    @property
    def role(self) -> str:
        """How it is drawn."""
        return self.value[2]

    @property
    def is_failure(self) -> bool:
        """Whether someone looking for what went wrong wants to see it."""
        return self in (State.FAILED, State.TIMED_OUT)


WAITING_TYPES = frozenset({OperationType.WAIT, OperationType.CALLBACK, OperationType.CHAINED_INVOKE})
"""Operations that the outside world finishes: while they are started, they wait."""

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
    """The state behind a status of the protocol.

    Args:
        status: An operation's or execution's status; None for an operation that was never reached.
        operation_type: Decides what STARTED means: a step runs, a callback waits.
    """
    if status is None:
        return State.NOT_REACHED
    if status == OperationStatus.STARTED:
        return State.WAITING if operation_type in WAITING_TYPES else State.RUNNING
    return BY_STATUS.get(str(status), State.RUNNING)
