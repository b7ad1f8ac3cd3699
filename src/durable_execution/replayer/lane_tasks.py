"""Which tasks of a replayed handler were cut off: what the recording knows of them is not held against the code.

A task that loses a race which is already decided is cancelled, in a replay often before it has begun.
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


class LaneTasks:
    """Takes note of the tasks that number their calls on their own, by wrapping a loop's task factory."""

    def __init__(self) -> None:
        self._tasks: list[tuple[TaskLane, asyncio.Task[Any]]] = []
        self._given_up: set[asyncio.Task[Any]] = set()

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
                task.add_done_callback(partial(self._note, lane.context.state))
            return task

        loop.set_task_factory(cast("Any", make_task))  # typeshed also wants generators

    def cut_off(self) -> frozenset[str]:
        """What prefixes the ids of calls that tasks would have made which the code itself has cancelled."""
        return frozenset(_prefix(lane) for lane, task in self._tasks if task in self._given_up)

    def unfinished(self) -> frozenset[str]:
        """The same of tasks that were under way when the invocation ended."""
        left = ((lane, task) for lane, task in self._tasks if not task.done() or task.cancelled())
        return frozenset(_prefix(lane) for lane, task in left if task not in self._given_up)

    def came_to_end(self) -> frozenset[str]:
        """The same of tasks that have made every call they make."""
        done = ((lane, task) for lane, task in self._tasks if task.done() and not task.cancelled())
        return frozenset(_prefix(lane) for lane, task in done if task.exception() is None)

    def _note(self, state: ExecutionState, task: asyncio.Task[Any]) -> None:
        """A task is done; once the end of the invocation is decided, those that are left are cancelled."""
        if task.cancelled() and not state.is_decided:
            self._given_up.add(task)


def _prefix(lane: TaskLane) -> str:
    """What prefixes the ids of a lane's calls, also where it has made none."""
    if lane._scope is not None and lane._scope.ids.prefix is not None:  # noqa: SLF001
        return lane._scope.ids.prefix  # noqa: SLF001
    outer = lane._outer  # noqa: SLF001  # a lane is numbered only once it makes a call
    around = _prefix(outer) if isinstance(outer, TaskLane) else outer.ids.prefix
    return task_prefix(around, lane._number)  # noqa: SLF001
