"""The state of an operation as shown: one glyph, one word, one role."""

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
