"""Tracks tasks of a replayed handler that were cancelled: their missing calls are not differences.

A task that loses an already decided race is cancelled, in a replay often before it starts.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any, cast

from durable_execution.protocol.ids import task_prefix
from durable_execution.runtime.lanes import TaskLane
from durable_execution.runtime.loop import scope as running_scope
from durable_execution.runtime.scope import ContextScope
from durable_execution.runtime.state import ExecutionState

TaskFactory = Callable[..., asyncio.Task[Any]]


class TaskTracker:
    """Tracks the tasks that have their own task scope, by wrapping the event loop's task factory."""

    def __init__(self) -> None:
        self._tasks: list[tuple[TaskLane, asyncio.Task[Any]]] = []
        self._cancelled: set[asyncio.Task[Any]] = set()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Track every such task that the loop creates from now on."""
        make: Any = loop.get_task_factory()

        def make_task(
            loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
        ) -> asyncio.Task[Any]:
            owner = running_scope.get()
            if options.get("context") is None and isinstance(owner, (ContextScope, TaskLane)):
                options["context"] = copy_context()
                options["context"].run(running_scope.set, owner.for_task())
            task: asyncio.Task[Any] = make(loop, coroutine, **options)
            lane = options["context"].get(running_scope) if options.get("context") is not None else None
            if isinstance(lane, TaskLane):
                self._tasks.append((lane, task))
                task.add_done_callback(partial(self._note, lane.context.state))
            return task

        loop.set_task_factory(cast("Any", make_task))  # typeshed also wants generators

    def cut_off(self) -> frozenset[str]:
        """Return the id prefixes of tasks that the handler cancelled."""
        return frozenset(_prefix(lane) for lane, task in self._tasks if task in self._cancelled)

    def unfinished(self) -> frozenset[str]:
        """Return the id prefixes of tasks that were still running when the invocation ended."""
        left = ((lane, task) for lane, task in self._tasks if not task.done() or task.cancelled())
        return frozenset(_prefix(lane) for lane, task in left if task not in self._cancelled)

    def came_to_end(self) -> frozenset[str]:
        """Return the id prefixes of tasks that finished."""
        done = ((lane, task) for lane, task in self._tasks if task.done() and not task.cancelled())
        return frozenset(_prefix(lane) for lane, task in done if task.exception() is None)

    def _note(self, state: ExecutionState, task: asyncio.Task[Any]) -> None:
        """Remember a cancelled task, unless the end of the invocation cancelled it."""
        if task.cancelled() and not state.is_decided:
            self._cancelled.add(task)


def _prefix(lane: TaskLane) -> str:
    """Return the prefix of a task scope's ids, even when the task made no call."""
    if lane._scope is not None and lane._scope.ids.prefix is not None:  # noqa: SLF001
        return lane._scope.ids.prefix  # noqa: SLF001
    outer = lane._outer  # noqa: SLF001  # a task scope gets its number with its first call
    around = _prefix(outer) if isinstance(outer, TaskLane) else outer.ids.prefix
    return task_prefix(around, lane._number)  # noqa: SLF001
