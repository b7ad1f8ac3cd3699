"""Chained invokes: operations that run another function."""

from durable_execution.local.backend import Backend, Transaction
from durable_execution.local.functions import read_target
from durable_execution.local.journal import Journal
from durable_execution.local.lifecycle import Start, begin_execution, encode_error
from durable_execution.local.transitions import Transition
from durable_execution.protocol import ErrorObject


def start_chained_invoke(backend: Backend, transaction: Transaction, journal: Journal, outcome: Transition) -> None:
    """Start the function a CHAINED_INVOKE names, or fail the operation at once if the function is not registered.

    Raises:
        ServiceError: The name is malformed, or names a different account or region.
    """
    operation = outcome.operation
    target = read_target(operation.function)
    function = backend.functions.get(target.name)
    if function is None:
        error = encode_error(ErrorObject(f"Function not found: {operation.function}", "ResourceNotFoundException"))
        failed = operation._replace(status="FAILED", ended_ms=journal.now_ms, input=None, error=error)
        journal.put(failed)
        journal.happen("ChainedInvokeStarted", failed, details=outcome.details)
        journal.happen("ChainedInvokeFailed", failed, data=error)
        return
    start = Start(
        function,
        target,
        operation.input if operation.input is not None else "",
        tenant_id=operation.tenant_id,
        trace_header=operation.trace_header,
        parent=(journal.row.key, operation.id),
    )
    child, _ = begin_execution(backend, transaction, start)
    details = {**(outcome.details or {}), "ExecutedVersion": child.version}
    if function.is_durable:
        operation = operation._replace(child_arn=child.arn)
        details["DurableExecutionArn"] = child.arn
    journal.put(operation)
    journal.happen(outcome.event, operation, details=details, data=outcome.data)
