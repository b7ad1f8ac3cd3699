"""Log records that say which execution, operation, attempt, trace and span they belong to.

Nothing is installed unless asked for: `CorrelationFilter` goes on a handler, `correlate_logs()` puts it on all that a logger
has. It only adds attributes to standard records, so Powertools, structlog and JSON formatters keep working, and fields given
with `extra=` win.
"""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple
from weakref import WeakSet

from durable_execution.observers import (
    AttemptEnded,
    AttemptStarted,
    ContextEntered,
    ContextLeft,
    InvocationEnded,
    InvocationStarted,
    Observer,
    OperationCall,
)


class LogField(NamedTuple):
    """An attribute of a log record."""

    name: str
    meaning: str


FIELDS = (
    LogField("executionArn", "The execution."),
    LogField("requestId", "Lambda's id of the invocation."),
    LogField("operationId", "The operation whose code logged."),
    LogField("operationName", "Its name."),
    LogField("operationPath", "Its place in the workflow, for example `process_order/notify#3/email`."),
    LogField("parentId", "The context it is in."),
    LogField("attempt", "The attempt, from 1."),
    LogField("traceId", "The trace, where one is recorded."),
    LogField("spanId", "The span."),
    LogField("otelTraceSampled", "Whether the trace is sampled."),
)


class LogPlace(NamedTuple):
    """Whose code is running."""

    execution_arn: str
    request_id: str | None = None
    call: OperationCall | None = None
    attempt: int | None = None


_place: ContextVar[LogPlace | None] = ContextVar("durable_execution_log_place", default=None)
_filters: "WeakSet[CorrelationFilter]" = WeakSet()  # while one lives, executions keep track of whose code runs


class LogPlaces(Observer):
    """Keeps track of whose code runs, in a context variable. One object per invocation."""

    def __init__(self) -> None:
        self._tokens: dict[object, Any] = {}

    def on_invocation_started(self, happening: InvocationStarted) -> None:
        """The handler's own code."""
        self._enter("", LogPlace(happening.execution_arn, happening.request_id))

    def on_context_entered(self, happening: ContextEntered) -> None:
        """A context's body."""
        self._enter_call(happening.call.id, happening.call, None)

    def on_context_left(self, happening: ContextLeft) -> None:
        """Back to the code around it."""
        self._leave(happening.call.id)

    def on_attempt_started(self, happening: AttemptStarted) -> None:
        """A step's body."""
        self._enter_call((happening.call.id, happening.attempt), happening.call, happening.attempt)

    def on_attempt_ended(self, happening: AttemptEnded) -> None:
        """Back to the code around it."""
        self._leave((happening.call.id, happening.attempt))

    def on_invocation_ended(self, happening: InvocationEnded) -> None:
        """Back to nobody's."""
        for key in reversed(list(self._tokens)):
            self._leave(key)

    def _enter_call(self, key: object, call: OperationCall, attempt: int | None) -> None:
        around = _place.get()
        if around is not None:
            self._enter(key, around._replace(call=call, attempt=attempt))

    def _enter(self, key: object, place: LogPlace) -> None:
        if _place.get() != place:  # another observer of the same invocation has said so already
            self._tokens[key] = _place.set(place)

    def _leave(self, key: object) -> None:
        token = self._tokens.pop(key, None)
        if token is None:
            return
        try:
            _place.reset(token)
        except ValueError:
            return  # left in another task than it was entered in: that task's context is gone anyway


class CorrelationFilter(logging.Filter):
    """Adds the fields to every record that passes; drops none."""

    def __init__(self) -> None:
        super().__init__()
        _filters.add(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Add what is known here and not set already."""
        add_fields(record)
        return True


def correlate_logs(logger: logging.Logger | None = None) -> Callable[[], None]:
    """Add the fields to every record that reaches the handlers a logger has now.

    Args:
        logger: The logger; by default the root logger, whose handlers see everything that propagates. On Lambda it has
            its handler before the function's module is imported.

    Returns:
        What to call to undo it.
    """
    handlers = list((logger or logging.getLogger()).handlers)
    added = CorrelationFilter()
    for handler in handlers:
        handler.addFilter(added)

    def undo() -> None:
        for handler in handlers:
            handler.removeFilter(added)
        _filters.discard(added)

    return undo


def add_fields(record: logging.LogRecord) -> None:
    """Add to a record what is known of whose code runs; outside of an execution, nothing."""
    place = _place.get()
    if place is None:
        return
    for name, value in fields_of(place).items():
        if value is not None and not hasattr(record, name):
            setattr(record, name, value)


def fields_of(place: LogPlace) -> dict[str, Any]:
    """The fields and their values; None where there is none."""
    call = place.call
    return {
        "executionArn": place.execution_arn,
        "requestId": place.request_id,
        "operationId": call.id if call is not None else None,
        "operationName": call.name if call is not None else None,
        "operationPath": call.path if call is not None else None,
        "parentId": call.parent_id if call is not None else None,
        "attempt": place.attempt,
        **_span_fields(),
    }


def is_asked_for() -> bool:
    """Whether anybody correlates logs in this process."""
    return bool(_filters)


def _span_fields() -> dict[str, Any]:
    """The current span; OpenTelemetry is asked only where it is loaded already."""
    import sys

    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "otelTraceSampled": bool(context.trace_flags.sampled),
    }
