"""Results of executions, and the errors of waiting for them."""

import json
from dataclasses import dataclass
from typing import Any

from durable_execution.errors import EngineError
from durable_execution.local.store.database import Store
from durable_execution.local.store.rows import ExecutionRow, OperationRow
from durable_execution.protocol import ErrorObject, ExecutionStatus


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How an execution ended.

    Attributes:
        arn: ARN of the execution.
        status: SUCCEEDED, FAILED, TIMED_OUT or STOPPED.
        result: The returned value, decoded if it is JSON; None unless the status is SUCCEEDED.
        error: The error; None if the status is SUCCEEDED.
    """

    arn: str
    status: ExecutionStatus
    result: Any
    error: ErrorObject | None


class Outcomes:
    """Reads the results of executions from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def row(self, arn: str) -> ExecutionRow:
        """The execution with an ARN.

        Raises:
            EngineError: The store has no such execution.
        """
        with self._store.snapshot():
            row = self._store.executions.by_arn(arn)
        if row is None:
            place = self._store.path or "the store in memory"
            raise EngineError(f"no execution {arn} in {place}. Run `durable-debug list` to see its executions.")
        return row

    def is_over(self, key: int) -> bool:
        """Whether an execution has ended or was deleted."""
        with self._store.snapshot():
            row = self._store.executions.by_key(key)
        return row is None or row.ended_ms is not None

    def result(self, key: int) -> ExecutionResult | None:
        """The result of an execution; None while it is unfinished.

        Raises:
            EngineError: The execution was deleted.
        """
        with self._store.snapshot():
            row = self._store.executions.by_key(key)
            root = self._store.operations.root(key) if row is not None else None
        if row is None or root is None:
            raise EngineError("the execution was deleted while this call waited for it.")
        return _result(row, root) if row.ended_ms is not None else None

    def callback_id(self, key: int, name: str | None) -> str | None:
        """The id of an open callback, by its own name or its `wait_for_callback`'s, once no invocation runs."""
        with self._store.snapshot():
            row = self._store.executions.by_key(key)
            if row is None or row.is_running:
                return None
            for operation in self._store.operations.open_callbacks(key):
                if name is None or operation.name == name or self._is_inside(operation, name):
                    return operation.callback_id
        return None

    def no_callback(self, arn: str, name: str | None) -> EngineError:
        """The error for a callback that the execution never opens."""
        wanted = f"a callback named {name!r}" if name else "a callback"
        return EngineError(
            f"the execution {arn} is {self.row(arn).status} and does not wait for {wanted}. Check the name in create_callback "
            "or wait_for_callback, and that the code reaches it with this input."
        )

    def unfinished(self, arn: str) -> EngineError:
        """The error for an execution that does not end in time."""
        row = self.row(arn)
        with self._store.snapshot():
            waiting = [found.name or found.id for found in self._store.operations.open_callbacks(row.key)]
        cause = (
            f"it waits for the callback {', '.join(waiting)}"
            if waiting
            else "a different engine runs it, or it is paused"
        )
        return EngineError(
            f"the execution {arn} is {row.status} and did not end in time: {cause}. Complete a callback with "
            "engine.client.send_durable_execution_callback_success(CallbackId=engine.wait_for_callback_id(arn), Result=b'...'), "
            "resume a paused execution, or wait longer."
        )

    def _is_inside(self, operation: OperationRow, name: str) -> bool:
        if operation.parent_id is None:
            return False
        parent = self._store.operations.by_id(operation.execution, operation.parent_id)
        return parent is not None and parent.subtype == "WaitForCallback" and parent.name == name


def _result(row: ExecutionRow, root: OperationRow) -> ExecutionResult:
    decoded = _decoded(root.result) if root.result and row.status == "SUCCEEDED" else None
    error = ErrorObject.from_wire(json.loads(root.error)) if root.error else None
    return ExecutionResult(row.arn, ExecutionStatus(row.status), decoded, error)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # a custom serializer wrote it
