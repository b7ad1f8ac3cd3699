"""Puts a failure on a span: its type, and an `exception` event with message and stack."""

import traceback
from dataclasses import dataclass

from durable_execution.errors import OperationError, type_name
from durable_execution.protocol import ErrorObject
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.bounded import MAX_TEXT, bounded, bounded_trace
from durable_execution.telemetry.open_span import OpenSpan
from durable_execution.telemetry.spans import AttributeValue, SpanEvent

UNKNOWN = "Error"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, with everything known about it."""

    type: str
    message: str
    stack: str | None

    @classmethod
    def of(cls, error: ErrorObject | None, exception: BaseException | None) -> "Failure | None":
        """Build the failure. The recorded error wins over the raised exception, which may only wrap it."""
        if error is None and exception is None:
            return None
        kind = (error.type if error else None) or (type_name(type(exception)) if exception is not None else UNKNOWN)
        message = (error.message if error else None) or (str(exception) if exception is not None else "")
        return cls(bounded(kind, 256), bounded(message, MAX_TEXT), _stack(error, exception))

    def mark(self, span: OpenSpan, at_ns: int, late: dict[str, AttributeValue]) -> None:
        """Mark the span as failed. `late` are the attributes it gets when it ends."""
        late[names.ERROR_TYPE] = self.type
        span.fail(self.message)
        span.events.append(self.event(at_ns))

    def event(self, at_ns: int) -> SpanEvent:
        """Build the event defined by OpenTelemetry's conventions for exceptions."""
        known: dict[str, AttributeValue] = {
            names.EXCEPTION_TYPE: self.type,
            names.EXCEPTION_MESSAGE: self.message,
        }
        if self.stack:
            known[names.EXCEPTION_STACK] = self.stack
        return SpanEvent(names.EXCEPTION.title, at_ns, known)


def _stack(error: ErrorObject | None, exception: BaseException | None) -> str | None:
    """Render where the error was raised: in the operation's body, not where its wrapper was raised."""
    recorded = exception.stack_trace if isinstance(exception, OperationError) else None
    if recorded is None and exception is not None and exception.__traceback__ is not None:
        return bounded_trace("".join(traceback.format_exception(exception)))
    lines = recorded or (error.stack_trace if error is not None else None)
    return bounded_trace("".join(line if line.endswith("\n") else f"{line}\n" for line in lines)) if lines else None
