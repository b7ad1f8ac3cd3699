"""Which tasks of a replayed handler were cut off: what the recording knows of them is not held against the code.

A task that loses a race which is already decided is cancelled, in a replay often before it has begun.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, cast

from durable_execution.protocol.ids import task_prefix
from durable_execution.runtime.lanes import TaskLane
from durable_execution.runtime.loop import scope as running_scope
from durable_execution.runtime.scope import ContextScope

TaskFactory = Callable[..., asyncio.Task[Any]]


class LaneTasks:
    """Takes note of the tasks that number their calls on their own, by wrapping a loop's task factory."""

    def __init__(self) -> None:
        self._tasks: list[tuple[TaskLane, asyncio.Task[Any]]] = []

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note of every such task that the loop makes from here on."""
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
            return task

        loop.set_task_factory(cast("Any", make_task))  # typeshed also wants generators

    def cut_off(self) -> frozenset[str]:
        """What prefixes the ids of calls that tasks would have made which did not come to their end."""
        return frozenset(_prefix(lane) for lane, task in self._tasks if not task.done() or task.cancelled())


def _prefix(lane: TaskLane) -> str:
    """What prefixes the ids of a lane's calls, also where it has made none."""
    if lane._scope is not None and lane._scope.ids.prefix is not None:  # noqa: SLF001
        return lane._scope.ids.prefix  # noqa: SLF001
    outer = lane._outer  # noqa: SLF001  # a lane is numbered only once it makes a call
    around = _prefix(outer) if isinstance(outer, TaskLane) else outer.ids.prefix
    return task_prefix(around, lane._number)  # noqa: SLF001
