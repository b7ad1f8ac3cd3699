"""The start and end of executions, and their effect on the execution that invoked them.

Timers: the change of an operation when its timer fires.
"""

from dataclasses import dataclass
from datetime import timedelta

from durable_execution.local.function_registry import Function, Target
from durable_execution.local.rules.api_errors import fault, invalid
from durable_execution.local.rules.limits import EngineLimits
from durable_execution.local.store.journal import Journal
from durable_execution.local.store.rows import ExecutionRow, OperationRow, compact
from durable_execution.local.transaction import Backend, Transaction
from durable_execution.protocol import ErrorObject, ExecutionArn
from durable_execution.protocol.enums import MAX_DELAY_SECONDS, MIN_DELAY_SECONDS

END_EVENTS = {
    "SUCCEEDED": "ExecutionSucceeded",
    "FAILED": "ExecutionFailed",
    "TIMED_OUT": "ExecutionTimedOut",
    "STOPPED": "ExecutionStopped",
}
INVOKE_EVENTS = {
    "SUCCEEDED": "ChainedInvokeSucceeded",
    "FAILED": "ChainedInvokeFailed",
    "TIMED_OUT": "ChainedInvokeTimedOut",
    "STOPPED": "ChainedInvokeStopped",
}
HOLD_MS = 250
"""How long a chained invoke waits for its parent's invocation to end, in real milliseconds. A parent that suspends at once
then always sees the same order of events, and a parent that keeps running is not delayed."""


@dataclass(frozen=True, slots=True)
class Start:
    """The arguments of a new execution.

    Attributes:
        function: The function.
        target: The name and qualifier the caller passed.
        payload: Serialized payload.
        name: Execution name; None for a generated one.
        tenant_id: Tenant id.
        timeout: Maximum duration; None for the function's setting.
        trace_header: `XAmznTraceId`.
        client_context: Base64 client context.
        parent: Key of the invoking execution and id of the invoking operation; None for a direct start.
        arn: The ARN, to record an execution again; None for a new one.
        is_asynchronous: Whether the request that starts it does not wait for its result.
    """

    function: Function
    target: Target
    payload: str
    name: str | None = None
    tenant_id: str | None = None
    timeout: timedelta | None = None
    trace_header: str | None = None
    client_context: str | None = None
    parent: tuple[int, str] | None = None
    arn: str | None = None
    is_asynchronous: bool = False


def encode_error(error: ErrorObject) -> str:
    """Encode an error object as the store keeps it."""
    return compact(error.to_wire())


def begin_execution(backend: Backend, transaction: Transaction, start: Start) -> tuple[ExecutionRow, bool]:
    """Start an execution, or return the existing execution with the same name and payload.

    Returns:
        The execution, and whether it is new.

    Raises:
        ServiceError: An execution with this name and a different payload exists, or the tenant id is missing.
    """
    function = start.function
    if function.is_tenant_isolated and start.tenant_id is None:
        raise invalid(
            f"The invoked function is enabled with tenancy configuration: {function.name} needs a TenantId in every invocation."
        )
    if start.name is not None and function.is_durable:
        existing = backend.store.executions.by_name(function.name, start.name)
        if existing is not None:
            return _same_start(backend, existing, start), False
    row = _new_row(backend, transaction.now_ms, start)
    key = backend.store.executions.insert(row)
    row = row._replace(key=key)
    journal = transaction.journal(row)
    root = OperationRow(
        key,
        0,
        ExecutionArn.parse(row.arn).id,
        None,
        row.name,
        "EXECUTION",
        None,
        "STARTED",
        row.started_ms,
        input=start.payload,
    )
    journal.put(root)
    if function.is_durable:
        journal.happen("ExecutionStarted", root, details={"ExecutionTimeout": row.timeout_seconds}, data=start.payload)
    return journal.row, True


def end_execution(transaction: Transaction, journal: Journal, status: str) -> None:
    """End an execution whose EXECUTION operation already holds the result or the error."""
    row, root = journal.row, journal.root()
    journal.put(root._replace(status=status, ended_ms=journal.now_ms))
    if row.is_durable:
        data = root.result if status == "SUCCEEDED" else root.error
        journal.happen(END_EVENTS[status], root, data=data)
    journal.set(
        status=status,
        ended_ms=journal.now_ms,
        expires_ms=journal.now_ms + row.retention_days * 86_400_000,
        timeout_ms=None,
        invoke_ms=None,
        ending=None,
        pause_request_ms=None,
        paused_ms=None,
    )
    if row.parent_key is not None:
        _tell_parent(transaction, journal)


def keep_outcome(journal: Journal, *, result: str | None = None, error: str | None = None) -> None:
    """Record the result or error with which an execution is about to end."""
    journal.put(journal.root()._replace(result=result, error=error))


def fail_execution(transaction: Transaction, journal: Journal, error: ErrorObject) -> None:
    """End an execution as FAILED."""
    keep_outcome(journal, error=encode_error(error))
    end_execution(transaction, journal, "FAILED")


def release_children(transaction: Transaction, journal: Journal) -> None:
    """Release the chained executions that wait for their parent's invocation to end."""
    for row in transaction.store.executions.children(journal.row.key):
        child = transaction.journal(row)
        if child.row.is_held:
            child.set(is_held=False, invoke_ms=journal.now_ms)


def _same_start(backend: Backend, existing: ExecutionRow, start: Start) -> ExecutionRow:
    if backend.store.operations.root(existing.key).input != start.payload:
        raise fault(
            "DurableExecutionAlreadyStartedException",
            f"An execution named {start.name} of the function {start.function.name} exists with a different payload. "
            "Use a different name, or pass the same payload to get the existing execution.",
        )
    return existing


def _new_row(backend: Backend, now_ms: int, start: Start) -> ExecutionRow:
    function, identity = start.function, backend.ids.new()
    chosen = start.timeout or function.execution_timeout
    timeout = int((chosen or backend.limits.execution_timeout).total_seconds())
    if not MIN_DELAY_SECONDS <= timeout <= MAX_DELAY_SECONDS:
        raise invalid(
            f"ExecutionTimeout must be from {MIN_DELAY_SECONDS} to {MAX_DELAY_SECONDS} seconds, not {timeout}."
        )
    is_held = start.parent is not None
    # A skipping clock must not jump to a default time-out.
    times_out = function.is_durable and (chosen is not None or not backend.clock.is_skipping)
    held_until = None if backend.holds_children else now_ms + HOLD_MS
    given = ExecutionArn.parse(start.arn) if start.arn else None
    name = given.name if given else start.name or identity
    return ExecutionRow(
        key=0,
        arn=start.arn or str(ExecutionArn(function.name, name, identity, start.target.version)),
        name=name,
        function=function.name,
        version=start.target.version,
        is_durable=function.is_durable,
        status="RUNNING",
        started_ms=now_ms,
        ended_ms=None,
        timeout_seconds=timeout,
        timeout_ms=now_ms + timeout * 1000 if times_out else None,
        retention_days=max(1, function.retention.days),
        expires_ms=None,
        tenant_id=start.tenant_id,
        trace_header=start.trace_header,
        client_context=start.client_context,
        parent_key=start.parent[0] if start.parent else None,
        parent_operation=start.parent[1] if start.parent else None,
        is_held=is_held,
        owner=backend.owner,
        wake_ms=None,
        turn=0,
        event_count=0,
        operation_count=0,
        written_bytes=0,
        pending_count=0,
        invocation=0,
        request_id=None,
        invocation_ms=None,
        token_sequence=0,
        is_changed=False,
        invoke_ms=held_until if is_held else now_ms,
        failures=0,
        idle_answers=0,
        ending=None,
        pause_request_ms=None,
        pause_reason=None,
        pauses_timeout=False,
        paused_ms=None,
        frozen_timeout_ms=None,
        is_asynchronous=start.is_asynchronous,
    )


def largest_result(limits: EngineLimits, row: ExecutionRow) -> tuple[int, str]:
    """The most bytes that the result of an execution may have, and how it was started, as words with an article for an error."""
    if row.parent_key is not None:
        return limits.invoke_bytes, "a chained"
    if row.is_asynchronous and row.is_durable:
        return limits.async_payload_bytes, "an asynchronous"
    return limits.response_bytes, "an"


def _tell_parent(transaction: Transaction, child: Journal) -> None:
    row = child.row
    parent = transaction.journal_of(row.parent_key or 0)
    operation = parent.operation(row.parent_operation or "") if parent else None
    if parent is None or operation is None or parent.row.ended_ms is not None or operation.status != "STARTED":
        return
    root, status = child.root(), row.status
    error = root.error
    if status == "TIMED_OUT":
        error = encode_error(
            ErrorObject(f"CHAINED_INVOKE timed out after {row.timeout_seconds} seconds.", "ChainedInvoke.Timeout")
        )
    settled = operation._replace(status=status, ended_ms=child.now_ms, result=root.result, error=error)
    parent.settle(settled)
    parent.happen(INVOKE_EVENTS[status], settled, data=root.result if status == "SUCCEEDED" else error)


CALLBACK_TIMEOUT = ErrorObject("Callback timed out", "Callback.Timeout")
HEARTBEAT_TIMEOUT = ErrorObject("Callback timed out on heartbeat", "Callback.Heartbeat")


def fire_due(journal: Journal, *types: str) -> None:
    """Fire the timers of every operation that is due.

    Args:
        journal: The execution.
        types: Operation types to include; none for all types.
    """
    if not journal.pending_count:
        return
    for recorded in journal.store.operations.due(journal.row.key, journal.now_ms):
        operation = journal.operation(recorded.id)
        if operation is not None and operation.due_ms is not None and (not types or operation.type in types):
            _FIRE[operation.type](journal, operation)


def _step(journal: Journal, operation: OperationRow) -> None:
    journal.settle(operation._replace(status="READY", due_ms=None))


def _wait(journal: Journal, operation: OperationRow) -> None:
    ended = operation._replace(status="SUCCEEDED", ended_ms=journal.now_ms, due_ms=None)
    journal.settle(ended)
    journal.happen("WaitSucceeded", ended, details={"Duration": operation.seconds})


def _callback(journal: Journal, operation: OperationRow) -> None:
    has_lapsed = operation.due_ms == operation.heartbeat_ms and operation.due_ms != operation.scheduled_ms
    error = encode_error(HEARTBEAT_TIMEOUT if has_lapsed else CALLBACK_TIMEOUT)
    ended = operation._replace(status="TIMED_OUT", ended_ms=journal.now_ms, due_ms=None, error=error)
    journal.settle(ended)
    journal.happen("CallbackTimedOut", ended, data=error)


_FIRE = {"STEP": _step, "WAIT": _wait, "CALLBACK": _callback}
