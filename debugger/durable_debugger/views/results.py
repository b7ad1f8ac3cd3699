"""The result of a call in words, where what is stored is not the value that the call returned.

The previous value of a call: from its previous attempt, or from the previous call with the same name.
"""

from itertools import takewhile
from typing import NamedTuple

from durable_debugger.model.session import Session
from durable_debugger.text import payloads, stored_values
from durable_debugger.text.cells import cut
from durable_debugger.text.stored_values import Batch
from durable_execution.history.recorded import RecordedOperation, is_rebuilt
from durable_execution.protocol import OperationStatus, OperationType
from durable_execution.protocol.enums import BATCHES, COMBINATORS


def result_summary(operation: RecordedOperation, cells: int, *, absent: str = "not recorded") -> str:
    """Format what a call returned on one line.

    Args:
        operation: The call.
        cells: Available width.
        absent: Text to show when no result is recorded.
    """
    words = result_words(operation)
    return cut(words, cells) if words else payloads.summary(operation.result, cells, absent=absent)


def result_words(operation: RecordedOperation) -> str:
    """Say what a call returned whose record does not contain its value; empty for any other call.

    A combinator records a decision, and a context whose result is larger than a checkpoint records nothing: its calls do.
    """
    if operation.status is not OperationStatus.SUCCEEDED:
        return ""
    if operation.subtype in COMBINATORS:
        return _combined(operation)
    is_kept = bool(operation.result) or operation.details.get("result_truncated")
    if operation.type is OperationType.CONTEXT and not is_kept and is_rebuilt(operation):
        return "too large to store: a replay makes it again from the calls inside"
    return ""


def early_end(operation: RecordedOperation) -> str:
    """Say why a map or parallel ended before all of its branches.

    Empty if it did not, and for results that are too long to be read on the way to the screen.
    """
    is_readable = operation.subtype in BATCHES and operation.result and len(operation.result) <= payloads.PARSE_LIMIT
    value = stored_values.read(operation.result or "") if is_readable else None
    return value.end if isinstance(value, Batch) else ""


def _combined(operation: RecordedOperation) -> str:
    """A combinator records which of its awaitables decided, and none of their values."""
    if operation.subtype == "All":
        return "the values of all its awaitables"
    if operation.result is None or not operation.result.isdecimal():
        return ""
    number = int(operation.result) + 1
    how = "ended" if operation.subtype == "Race" else "succeeded"
    return f"the value of awaitable {number}, counted from 1, which {how} first"


class Previous(NamedTuple):
    """An earlier value.

    Attributes:
        whose: Description of where the value comes from.
        payload: The value, serialized.
    """

    whose: str
    payload: str


def previous_result(session: Session, row: int) -> Previous | None:
    """The previous attempt's result, or that of the previous call with the same name in the same context."""
    operation = session.operations[row]
    for attempt in reversed(operation.attempts[:-1]):
        if attempt.result is not None:
            return Previous(f"attempt {attempt.number}", attempt.result)
    if not operation.name:
        return None
    found: Previous | None = None
    for other in takewhile(row.__gt__, session.outline.children(session.outline.parent(row))):
        before = session.operations[other]
        if before.name == operation.name and before.result is not None:
            found = Previous(f"the {operation.name} before", before.result)
    return found
