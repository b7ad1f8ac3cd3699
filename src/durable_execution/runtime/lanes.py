"""Numbers the calls that are made by tasks of a context."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from durable_execution.protocol.ids import branch_id, task_prefix
from durable_execution.protocol.paths import branch_path, task_path

if TYPE_CHECKING:
    from durable_execution.runtime.call import Call
    from durable_execution.runtime.scope import ContextScope


class TaskLane:
    """The scope of a task: its calls belong to the context whose code created the task, and have their own numbering.

    Which of several tasks makes its next call first depends on what each waits for, and in a replay none of them waits. So
    calls are numbered per task, and tasks are numbered in the order in which code creates them.

    Attributes:
        context: The context.
    """

    __slots__ = ("_created_tasks", "_number", "_outer", "_scope", "context")

    def __init__(self, context: ContextScope, outer: ContextScope | TaskLane, number: int) -> None:
        self.context = context
        self._outer = outer
        self._number = number
        self._scope: ContextScope | None = None
        self._created_tasks = 0

    @classmethod
    def of_operation(cls, call: Call, index: int) -> TaskLane:
        """The scope of awaitable `index` (from 0) of an operation that runs several."""
        task_scope = cls(call.scope.context, call.scope, index)
        task_scope._scope = task_scope.context.numbered_as(branch_id(call.id, index), branch_path(call.path, index))
        return task_scope

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Register a task that this task's code has created."""
        self.context.adopt(task)

    def for_task(self) -> TaskLane:
        """The scope for the next task that this task's code creates."""
        self._created_tasks += 1
        return TaskLane(self.context, self, self._created_tasks)

    @property
    def scope(self) -> ContextScope:
        """The context with the numbering of this task, created on first use."""
        if self._scope is None:
            outer = self._outer.scope if isinstance(self._outer, TaskLane) else self._outer
            self._scope = self.context.numbered_as(
                task_prefix(outer.ids.prefix, self._number), task_path(outer.path, self._number)
            )
        return self._scope
