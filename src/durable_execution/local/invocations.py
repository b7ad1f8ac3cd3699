"""Invocations: the input a handler receives, and how its answer changes the execution.

Validates the value a durable handler returns, as strictly as the service does.
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from durable_execution.errors import ServiceError
from durable_execution.local.clocks import moment
from durable_execution.local.function_registry import Function
from durable_execution.local.hosts import Answer, Failure, LambdaContext, Missing, Outcome, exit_error
from durable_execution.local.queries import state_page
from durable_execution.local.rules.control import become_paused
from durable_execution.local.rules.executions import (
    encode_error,
    end_execution,
    fail_execution,
    keep_outcome,
    largest_result,
    release_children,
)
from durable_execution.local.rules.forks import Fork, end_next
from durable_execution.local.rules.tokens import current_token
from durable_execution.local.rules.updates import read_error
from durable_execution.local.store.journal import Journal
from durable_execution.local.store.rows import ExecutionRow
from durable_execution.local.transaction import Backend, Transaction
from durable_execution.local.wire import operation_wire
from durable_execution.protocol import ErrorObject, ExecutionArn


@dataclass(frozen=True, slots=True)
class Assignment:
    """An invocation that is recorded as started and must now run.

    Attributes:
        key: Key of the execution.
        arn: ARN of the execution.
        request_id: Id of the invocation.
        number: Number of the invocation within the execution, from 1.
        function: The function to run.
        event: Its event.
        context: Lambda's context object.
        trace_header: `_X_AMZN_TRACE_ID`.
        is_durable: Whether the function is durable.
        fork: What a forked execution knows of its origin; None for any other execution.
    """

    key: int
    arn: str
    request_id: str
    number: int
    function: Function
    event: Any
    context: LambdaContext
    trace_header: str | None
    is_durable: bool
    fork: Fork | None = None


class Invocations:
    """Records the start and end of invocations in the store. The scheduler runs them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def begin(self, transaction: Transaction, journal: Journal) -> Assignment | None:
        """Record the start of an invocation.

        Returns:
            The invocation. None if the function is not registered on this engine, which fails the execution.
        """
        backend = self._backend
        function = backend.functions.get(journal.row.function)
        if function is None:
            fail_execution(transaction, journal, missing_function(journal.row.function))
            return None
        request_id = backend.ids.new()
        journal.set(
            request_id=request_id,
            invocation=journal.row.invocation + 1,
            invocation_ms=journal.now_ms,
            token_sequence=0,
            is_changed=False,
            is_held=False,
            invoke_ms=None,
        )
        row = journal.row
        return Assignment(
            key=row.key,
            arn=row.arn,
            request_id=request_id,
            number=row.invocation,
            function=function,
            event=self._envelope(journal) if row.is_durable else _payload(journal),
            context=_context(backend, row, function, request_id, journal.now_ms),
            trace_header=row.trace_header,
            is_durable=bool(row.is_durable),
            fork=backend.forks.of(row.key),
        )

    def end(self, key: int, request_id: str, outcome: Outcome) -> None:
        """Record the end of an invocation, and decide how the execution continues."""
        with self._backend.transaction() as transaction:
            journal = transaction.journal_of(key)
            if journal is not None and journal.row.request_id == request_id:
                self._end(transaction, journal, outcome)

    def recover(self, transaction: Transaction, journal: Journal) -> None:
        """Record that an invocation died with its process, and retry it at once."""
        self._complete(
            transaction, journal, exit_error("the process that ran the invocation ended before the invocation did")
        )
        if not self._is_over(transaction, journal):
            journal.set(invoke_ms=journal.now_ms)
            self._pause_if_asked(journal)

    def _end(self, transaction: Transaction, journal: Journal, outcome: Outcome) -> None:
        if not journal.row.is_durable:
            self._end_plain(transaction, journal, outcome)
            return
        match outcome:
            case Answer(value=value):
                self._complete(transaction, journal, None)
                if not self._is_over(transaction, journal):
                    self._answered(transaction, journal, value)
            case Failure(error=error):
                self._complete(transaction, journal, error)
                if not self._is_over(transaction, journal):
                    self._failed(transaction, journal, error)
            case Missing(message):
                error = ErrorObject(message, "ResourceNotFoundException")
                self._complete(transaction, journal, error)
                if not self._is_over(transaction, journal):
                    fail_execution(transaction, journal, error)

    def _complete(self, transaction: Transaction, journal: Journal, error: ErrorObject | None) -> None:
        row = journal.row
        details = {
            "StartTimestamp": row.invocation_ms,
            "EndTimestamp": journal.now_ms,
            "RequestId": row.request_id,
        }
        if row.is_durable:
            journal.happen("InvocationCompleted", None, details=details, data=encode_error(error) if error else None)
        journal.set(request_id=None, invocation_ms=None)
        release_children(transaction, journal)

    def _is_over(self, transaction: Transaction, journal: Journal) -> bool:
        """Whether the execution has ended in the meantime, or ends with this invocation."""
        if journal.row.ended_ms is not None:
            return True
        if journal.row.ending is not None:
            end_execution(transaction, journal, journal.row.ending)
            return True
        return False

    def _answered(self, transaction: Transaction, journal: Journal, value: Any) -> None:
        row = journal.row
        answer = read_answer(value, *largest_result(self._backend.limits, row))
        journal.set(failures=0)
        match answer:
            case Ended() if row.status == "PAUSED":
                journal.set(invoke_ms=journal.now_ms)
            case Ended(status, result, error):
                keep_outcome(journal, result=result, error=error)
                end_execution(transaction, journal, status)
            case Waiting():
                self._wait(transaction, journal)

    def _wait(self, transaction: Transaction, journal: Journal) -> None:
        if journal.row.status == "PAUSED":
            return
        self._end_recorded(journal)
        row = journal.row
        has_news = bool(journal.store.outbox.pending(row.key)) or row.invoke_ms is not None
        if has_news or journal.pending_count:
            journal.set(idle_answers=0, invoke_ms=journal.now_ms if has_news else None)
        elif row.is_changed:
            journal.set(idle_answers=0, invoke_ms=journal.now_ms)
        else:
            journal.set(idle_answers=row.idle_answers + 1, invoke_ms=journal.now_ms)
            if journal.row.idle_answers >= self._backend.limits.idle_answers:
                fail_execution(transaction, journal, Idle.error)
                return
        self._pause_if_asked(journal)

    def _end_recorded(self, journal: Journal) -> None:
        """End the next call that the handler of a fork waits for, if its outcome is known."""
        backend = self._backend
        fork = backend.forks.of(journal.row.key)
        if fork is not None and not backend.store.outbox.pending(journal.row.key):
            end_next(backend.forks, backend.clock, journal, fork)

    def _failed(self, transaction: Transaction, journal: Journal, error: ErrorObject) -> None:
        limits = self._backend.limits
        journal.set(failures=journal.row.failures + 1)
        if journal.row.failures >= limits.failed_invocations:
            fail_execution(transaction, journal, error)
            return
        journal.set(invoke_ms=journal.now_ms + int(limits.retry_delay / timedelta(milliseconds=1)))
        self._pause_if_asked(journal)

    def _pause_if_asked(self, journal: Journal) -> None:
        if journal.row.status == "PAUSING":
            become_paused(journal)

    def _end_plain(self, transaction: Transaction, journal: Journal, outcome: Outcome) -> None:
        self._complete(transaction, journal, None)
        if journal.row.ended_ms is not None:
            return
        match outcome:
            case Failure(error=error):
                fail_execution(transaction, journal, error)
            case Missing(message):
                fail_execution(transaction, journal, ErrorObject(message, "ResourceNotFoundException"))
            case Answer(value=value):
                self._end_plain_with(transaction, journal, value)

    def _end_plain_with(self, transaction: Transaction, journal: Journal, value: Any) -> None:
        try:
            result = json.dumps(value)
        except (TypeError, ValueError) as error:
            unserializable = ErrorObject(f"Unable to marshal response: {error}", "Runtime.MarshalError")
            fail_execution(transaction, journal, unserializable)
            return
        most, _ = largest_result(self._backend.limits, journal.row)
        if len(result.encode()) > most:
            too_large = ErrorObject(
                f"Response payload size exceeded the maximum of {most} bytes.", "Function.ResponseSizeTooLarge"
            )
            fail_execution(transaction, journal, too_large)
            return
        keep_outcome(journal, result=result)
        end_execution(transaction, journal, "SUCCEEDED")

    def _envelope(self, journal: Journal) -> dict[str, Any]:
        store, row = journal.store, journal.row
        limits = self._backend.limits
        journal.flush()
        changed = store.outbox.pending(row.key)
        names = [found.id for sequence in changed if (found := store.operations.at(row.key, sequence)) is not None]
        store.outbox.clear(row.key)
        page, next_marker = state_page(store, row.key, 0, limits, max_items=2**62)
        return {
            "DurableExecutionArn": row.arn,
            "CheckpointToken": current_token(row),
            "InitialExecutionState": {
                "Operations": [operation_wire(operation) for operation in page],
                "NextMarker": next_marker or "",
            },
            "UpdatedOperationIds": names,
        }


def missing_function(name: str) -> ErrorObject:
    """The error of an execution whose function no longer exists."""
    return ErrorObject(f"Function not found: {name}", "ResourceNotFoundException")


def _payload(journal: Journal) -> Any:
    text = journal.root().input
    return json.loads(text) if text else {}


def _context(backend: Backend, row: ExecutionRow, function: Function, request_id: str, now_ms: int) -> LambdaContext:
    identity = ExecutionArn.parse(row.arn)
    decoded = json.loads(b64decode(row.client_context)) if row.client_context else None
    return LambdaContext(
        aws_request_id=request_id,
        function_name=row.function,
        function_version=row.version,
        invoked_function_arn=identity.function_arn,
        tenant_id=row.tenant_id,
        client_context=decoded,
        deadline=moment(now_ms) + function.timeout,
        clock=backend.clock,
        trace_header=row.trace_header,
        memory_limit_in_mb=function.profile.memory_mb,
    )


INVALID = "InvalidParameterValueException"


@dataclass(frozen=True, slots=True)
class Ended:
    """The execution ends.

    Attributes:
        status: SUCCEEDED or FAILED.
        result: Serialized result.
        error: Error object as JSON.
    """

    status: str
    result: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The handler returned PENDING: it waits for an external event."""


class Idle:
    """A handler returned PENDING although no operation is pending."""

    error: ClassVar[ErrorObject] = ErrorObject("Cannot return PENDING status with no pending operations.", INVALID)


def read_answer(value: Any, max_bytes: int, kind: str = "an") -> Ended | Waiting:
    """Validate what a handler returned. An invalid value ends the execution as FAILED.

    Args:
        value: The returned value.
        max_bytes: Maximum size of a result, in bytes.
        kind: How the execution was started, with its article, for the error.
    """
    if not isinstance(value, Mapping):
        return _broken(f"a durable function must return an object with a Status, not {type(value).__name__}")
    status, result, error = value.get("Status"), value.get("Result"), value.get("Error")
    if status == "PENDING":
        return Waiting()
    if status == "SUCCEEDED":
        return _succeeded(result, error, max_bytes, kind)
    if status == "FAILED":
        return _failed(result, error)
    return _broken(f"Status must be SUCCEEDED, FAILED or PENDING, not {status!r:.80}")


def _succeeded(result: Any, error: Any, max_bytes: int, kind: str) -> Ended:
    if error is not None:
        return _broken("Error cannot be returned with Status SUCCEEDED")
    if result is not None and not isinstance(result, str):
        return _broken(f"Result must be a string of serialized JSON, not {type(result).__name__}")
    try:
        size = len(result.encode()) if result else 0
    except UnicodeEncodeError:
        return _broken("Result contains an unpaired surrogate, which is not valid Unicode")
    if size > max_bytes:
        return _broken(f"Result of {kind} execution must be at most {max_bytes} bytes, but is {size}")
    return Ended("SUCCEEDED", result=result)


def _failed(result: Any, error: Any) -> Ended:
    if result is not None:
        return _broken("Result cannot be returned with Status FAILED")
    try:
        return Ended("FAILED", error=read_error(error) or "{}")
    except ServiceError as refused:
        return _broken(refused.message)


def _broken(reason: str) -> Ended:
    return Ended("FAILED", error=encode_error(ErrorObject(f"Invalid output of the handler: {reason}.", INVALID)))
