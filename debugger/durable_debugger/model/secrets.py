"""Redaction of histories, by the same rules as for replay traces.

A history holds payloads as the code wrote them. Everything shown, copied or exported passes through here first. A replay
reads the original values, because the code needs the values it recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from durable_execution.history.recorded import RecordedAttempt, RecordedExecution, RecordedOperation
from durable_execution.protocol import ErrorObject
from durable_execution.redaction import Redaction, redacted_source
from durable_execution.trace.schema import InvocationTrace
from durable_execution.trace.sources import without_secrets

DEFAULT = Redaction()


class Secrets:
    """Hides secrets in recorded values.

    Args:
        redaction: The rules.
    """

    def __init__(self, redaction: Redaction = DEFAULT) -> None:
        self._redaction = redaction

    def payload(self, payload: str | None) -> str | None:
        """Redact a serialized value."""
        return self._redaction.payload(payload) if payload is not None else None

    def error(self, error: ErrorObject | None) -> ErrorObject | None:
        """Redact an error."""
        if error is None:
            return None
        return ErrorObject(
            self._text(error.message),
            error.type,
            self.payload(error.data),
            tuple(map(self._redaction.text, error.stack_trace)) if error.stack_trace else error.stack_trace,
        )

    def text(self, text: str) -> str:
        """Redact text that may quote values."""
        return self._redaction.text(text)

    def source(self, text: str) -> str:
        """Redact the text of a source file. Its lines keep their numbers."""
        return redacted_source(text, self._redaction)

    def execution(self, execution: RecordedExecution) -> RecordedExecution:
        """Redact an execution. Its events stay unredacted; see `event`."""
        return replace(
            execution,
            input=self.payload(execution.input),
            result=self.payload(execution.result),
            error=self.error(execution.error),
            operations=tuple(map(self.operation, execution.operations)),
            traces=tuple(map(_without_secrets, execution.traces)),
        )

    def shown(self, execution: RecordedExecution) -> RecordedExecution:
        """Redact an execution's own values; the values of its operations are redacted by `ShownOperations`."""
        return replace(
            execution,
            input=self.payload(execution.input),
            result=self.payload(execution.result),
            error=self.error(execution.error),
        )

    def event(self, event: Any) -> Any:
        """Redact a history event and everything inside it."""
        if isinstance(event, Mapping):
            return {key: self._member(key, value) for key, value in event.items()}
        return event

    def _member(self, key: str, value: Any) -> Any:
        if isinstance(value, str) and key in ("Payload", "ErrorData"):
            return self.payload(value)
        if isinstance(value, str) and key in ("ErrorMessage", "Reason"):
            return self._text(value)
        if key == "StackTrace" and isinstance(value, (list, tuple)):
            return [self._text(line) if isinstance(line, str) else line for line in value]
        return self.event(value)

    def operation(self, operation: RecordedOperation) -> RecordedOperation:
        """Redact an operation."""
        values = (self.payload(operation.input), self.payload(operation.result), self.error(operation.error))
        attempts = tuple(map(self._attempt, operation.attempts))
        is_clean = values == (operation.input, operation.result, operation.error) and attempts == operation.attempts
        if is_clean:
            return operation
        return replace(operation, input=values[0], result=values[1], error=values[2], attempts=attempts)

    def _attempt(self, attempt: RecordedAttempt) -> RecordedAttempt:
        if attempt.result is None and attempt.error is None:
            return attempt
        return replace(attempt, result=self.payload(attempt.result), error=self.error(attempt.error))

    def _text(self, text: str | None) -> str | None:
        return self._redaction.text(text) if text is not None else None


def _without_secrets(trace: InvocationTrace) -> InvocationTrace:
    """A replay trace without secrets in the source it holds: earlier versions recorded that as it was."""
    return replace(trace, sources=without_secrets(trace.sources)) if trace.sources else trace


class ShownOperations(Sequence[RecordedOperation]):
    """The operations of an execution as they may be shown, each redacted when it is first looked at.

    Args:
        operations: The operations as recorded.
        secrets: Redacts them; None shows everything.
    """

    def __init__(self, operations: Sequence[RecordedOperation], secrets: Secrets | None) -> None:
        self._operations = operations
        self._secrets = secrets
        self._shown: dict[int, RecordedOperation] = {}

    def __len__(self) -> int:
        return len(self._operations)

    @overload
    def __getitem__(self, row: int) -> RecordedOperation: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[RecordedOperation]: ...
    def __getitem__(self, row: int | slice) -> RecordedOperation | Sequence[RecordedOperation]:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        if self._secrets is None:
            return self._operations[row]
        if row not in self._shown:
            self._shown[row] = self._secrets.operation(self._operations[row])
        return self._shown[row]
