"""Creates the error that a failed operation raises, the same in the first run and on replay.

On replay, the original exception no longer exists, but the name of its class is recorded. If that class is imported, the
error is an instance of it as well, so that `except ValueError` catches a step that raised `ValueError` in every run.
"""

from __future__ import annotations

from typing import TypeVar, cast

from durable_execution.errors import OperationError, resolve_type
from durable_execution.protocol.error_object import ErrorObject

E = TypeVar("E", bound=OperationError)

_classes: dict[tuple[type[OperationError], type[Exception]], type[OperationError]] = {}


def make_failure(
    base: type[E],
    error: ErrorObject | None,
    *,
    operation: str | None = None,
    operation_id: str | None = None,
) -> E:
    """Return the error for a recorded failure.

    Args:
        base: The error class for this kind of operation.
        error: The recorded error.
        operation: Readable path of the operation.
        operation_id: Id of the operation.
    """
    recorded = error or ErrorObject()
    cls = cast("type[E]", _class_for(base, resolve_type(recorded.type)))
    try:
        raised = cls.__new__(cls, recorded.message)
    except TypeError:  # the original class needs more than a message
        raised = base.__new__(base, recorded.message)
    OperationError.__init__(
        raised,
        recorded.message,
        recorded.type,
        recorded.data,
        recorded.stack_trace,
        operation=operation,
        operation_id=operation_id,
    )
    return raised


def _class_for(base: type[OperationError], original: type[Exception] | None) -> type[OperationError]:
    if original is None or issubclass(base, original):
        return base
    if issubclass(original, base):
        return original
    found = _classes.get((base, original))
    if found is None:
        try:
            found = type(base.__name__, (base, original), {"__module__": base.__module__, "__doc__": base.__doc__})
        except TypeError:  # the memory layouts of the two classes conflict
            found = base
        _classes[base, original] = found
    return found
