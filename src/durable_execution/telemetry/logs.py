"""Adds the execution, operation, attempt, trace and span to log records.

Nothing is installed by default: put `CorrelationFilter` on a handler, or call `correlate_logs()` to put it on every handler
of a logger. It only adds attributes to standard records, so Powertools, structlog and JSON formatters keep working, and
fields passed with `extra=` win.
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
    """An attribute that log records get."""

    name: str
    meaning: str


FIELDS = (
    LogField("executionArn", "The execution."),
    LogField("requestId", "Lambda's request id of the invocation."),
    LogField("operationId", "The operation whose code wrote the record."),
    LogField("operationName", "The operation's name."),
    LogField("operationPath", "The operation's path in the workflow, for example `process_order/notify#3/email`."),
    LogField("parentId", "The operation's context."),
    LogField("attempt", "The attempt, counted from 1."),
    LogField("traceId", "The trace, if one is recorded."),
    LogField("spanId", "The span."),
    LogField("otelTraceSampled", "Whether the trace is sampled."),
)


class LogPlace(NamedTuple):
    """The code that is running: an invocation, operation and attempt."""

    execution_arn: str
    request_id: str | None = None
    call: OperationCall | None = None
    attempt: int | None = None


_place: ContextVar[LogPlace | None] = ContextVar("durable_execution_log_place", default=None)
_filters: "WeakSet[CorrelationFilter]" = WeakSet()  # while one exists, executions track which code runs


_correlations: "list[_Correlation]" = []


class LogPlaces(Observer):
    """Tracks which operation's code runs, in a context variable. One object per invocation."""

    def __init__(self) -> None:
        self._tokens: dict[object, Any] = {}

    def on_invocation_started(self, notification: InvocationStarted) -> None:
        """Enter the handler's own code."""
        for correlation in _correlations:
            correlation.attach()
        self._enter("", LogPlace(notification.execution_arn, notification.request_id))

    def on_context_entered(self, notification: ContextEntered) -> None:
        """Enter a context's body."""
        self._enter_call(notification.call.id, notification.call, None)

    def on_context_left(self, notification: ContextLeft) -> None:
        """Return to the enclosing code."""
        self._leave(notification.call.id)

    def on_attempt_started(self, notification: AttemptStarted) -> None:
        """Enter a step's body."""
        self._enter_call((notification.call.id, notification.attempt), notification.call, notification.attempt)

    def on_attempt_ended(self, notification: AttemptEnded) -> None:
        """Return to the enclosing code."""
        self._leave((notification.call.id, notification.attempt))

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        """Leave the handler's code."""
        for key in reversed(list(self._tokens)):
            self._leave(key)

    def _enter_call(self, key: object, call: OperationCall, attempt: int | None) -> None:
        around = _place.get()
        if around is not None:
            self._enter(key, around._replace(call=call, attempt=attempt))

    def _enter(self, key: object, place: LogPlace) -> None:
        if _place.get() != place:  # a second observer of the same invocation has already set it
            self._tokens[key] = _place.set(place)

    def _leave(self, key: object) -> None:
        token = self._tokens.pop(key, None)
        if token is None:
            return
        try:
            _place.reset(token)
        except ValueError:
            return  # left in a different task than it was entered in: that task's context is gone anyway


class CorrelationFilter(logging.Filter):
    """Adds the fields to every record. It drops none."""

    def __init__(self) -> None:
        super().__init__()
        _filters.add(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the known fields that are not set yet."""
        add_fields(record)
        return True


def correlate_logs(logger: logging.Logger | None = None) -> Callable[[], None]:
    """Add the fields to every record that a logger's handlers write.

    Args:
        logger: The logger; by default all loggers: the root logger, and those with handlers of their own, such as AWS
            Powertools' loggers. Loggers that are created later are included when the next invocation starts.

    Returns:
        A function that undoes it.
    """
    correlation = _Correlation(logger)
    _correlations.append(correlation)
    return correlation.undo


class _Correlation:
    """Keeps a filter on the handlers of one logger, or of all."""

    def __init__(self, logger: logging.Logger | None) -> None:
        self._logger = logger
        self._filter = CorrelationFilter()
        self._handlers: WeakSet[logging.Handler] = WeakSet()
        self._known_loggers = -1
        self.attach()

    def attach(self) -> None:
        """Add the filter to handlers that do not have it, if loggers were created."""
        known = logging.root.manager.loggerDict
        if self._known_loggers == len(known):
            return
        self._known_loggers = len(known)
        every = (self._logger,) if self._logger is not None else (logging.root, *list(known.values()))
        for logger in every:
            for handler in getattr(logger, "handlers", ()):
                if handler not in self._handlers:
                    handler.addFilter(self._filter)
                    self._handlers.add(handler)

    def undo(self) -> None:
        """Remove the filter."""
        for handler in self._handlers:
            handler.removeFilter(self._filter)
        _filters.discard(self._filter)
        if self in _correlations:
            _correlations.remove(self)


def add_fields(record: logging.LogRecord) -> None:
    """Add the fields of the running code to a record; outside of an execution, nothing."""
    place = _place.get()
    if place is None:
        return
    for name, value in fields_of(place).items():
        if value is not None and not hasattr(record, name):
            setattr(record, name, value)


def fields_of(place: LogPlace) -> dict[str, Any]:
    """Return the fields and their values; None for an absent value."""
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
    """Tell whether this process correlates logs."""
    return bool(_filters)


def _span_fields() -> dict[str, Any]:
    """Return the current span; uses OpenTelemetry only if it is already imported."""
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
