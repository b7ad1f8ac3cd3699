"""Invocations: the input a handler receives, and how its answer changes the execution."""

import json
from base64 import b64decode
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from durable_execution.local.answers import Ended, Idle, Waiting, read_answer
from durable_execution.local.backend import Backend, Transaction
from durable_execution.local.clocks import moment
from durable_execution.local.functions import Function
from durable_execution.local.hosts import Answer, Failure, Missing, Outcome, exit_error
from durable_execution.local.journal import Journal
from durable_execution.local.lambda_context import LambdaContext
from durable_execution.local.lifecycle import (
    encode_error,
    end_execution,
    fail_execution,
    keep_outcome,
    release_children,
)
from durable_execution.local.pages import state_page
from durable_execution.local.pauses import become_paused
from durable_execution.local.rows import ExecutionRow
from durable_execution.local.tokens import current_token
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
            is_changed=0,
            is_held=0,
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
            case Answer(value):
                self._complete(transaction, journal, None)
                if not self._is_over(transaction, journal):
                    self._answered(transaction, journal, value)
            case Failure(error):
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
        limits, row = self._backend.limits, journal.row
        is_child = row.parent_key is not None
        answer = read_answer(value, limits.invoke_bytes if is_child else limits.response_bytes)
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
        row = journal.row
        if row.status == "PAUSED":
            return
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
            case Failure(error):
                fail_execution(transaction, journal, error)
            case Missing(message):
                fail_execution(transaction, journal, ErrorObject(message, "ResourceNotFoundException"))
            case Answer(value):
                self._end_plain_with(transaction, journal, value)

    def _end_plain_with(self, transaction: Transaction, journal: Journal, value: Any) -> None:
        limits = self._backend.limits
        try:
            result = json.dumps(value)
        except (TypeError, ValueError) as error:
            unserializable = ErrorObject(f"Unable to marshal response: {error}", "Runtime.MarshalError")
            fail_execution(transaction, journal, unserializable)
            return
        most = limits.invoke_bytes if journal.row.parent_key is not None else limits.response_bytes
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
    )
