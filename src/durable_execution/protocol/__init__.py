"""The durable execution service's protocol as values and pure functions: no IO, no state.

Both sides use it: the runtime is the client, `durable_execution.local` is a service. On the wire, every value is a JSON
object with the member names of the Lambda API. `Wire` is such an object as received; `Operation` reads one without copying
it.
"""

from typing import TYPE_CHECKING

from durable_execution.lazy_names import lazy_names
from durable_execution.protocol.enums import (
    InvocationStatus,
    OperationStatus,
    OperationSubType,
    OperationType,
)
from durable_execution.protocol.envelope import InvocationInput
from durable_execution.protocol.ids import branch_id, operation_id
from durable_execution.protocol.operation import ErrorObject, Operation, Wire

if TYPE_CHECKING:
    from durable_execution.protocol.service_side import ExecutionArn, ExecutionStatus, OperationAction
else:
    __getattr__ = lazy_names(
        __name__,
        {"ExecutionArn": "service_side", "ExecutionStatus": "service_side", "OperationAction": "service_side"},
    )

__all__ = [
    "ErrorObject",
    "ExecutionArn",
    "ExecutionStatus",
    "InvocationInput",
    "InvocationStatus",
    "Operation",
    "OperationAction",
    "OperationStatus",
    "OperationSubType",
    "OperationType",
    "Wire",
    "branch_id",
    "operation_id",
]
