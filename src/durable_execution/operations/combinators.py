"""`ctx.all`, `ctx.any`, `ctx.race`, `ctx.all_settled`: concurrency with a recorded outcome, so that a replay repeats it.

Which of several operations ends first depends on timing. A combinator is therefore a step of its own, and its stored
result is the index of the awaitable that decided. A replay awaits that one and does not start the others.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Iterable, Sequence
from contextvars import copy_context
from typing import Any, Generic, Self, TypeVar

from durable_execution.errors import ConfigurationError, ExecutionError, InvocationError, OperationError
from durable_execution.operations.lifecycle import (
    announce_completed,
    announce_replayed,
    announce_started,
    recorded_state,
    store,
)
from durable_execution.protocol import OperationStatus
from durable_execution.runtime.call import Call
from durable_execution.runtime.loop import scope as running_scope
from durable_execution.runtime.scope import TaskScope
from durable_execution.value_classes import value_class

T = TypeVar("T")


@value_class(frozen=True, slots=True)
class Settled(Generic[T]):
    """How one awaitable of `ctx.all_settled` ended.

    Attributes:
        value: The value it returned, if it succeeded.
        error: The exception it raised; None if it succeeded.
    """

    value: T | None = None
    error: Exception | None = None

    @property
    def is_success(self) -> bool:
        """Whether it returned a value."""
        return self.error is None


def check_awaitables(operation: str, awaitables: Sequence[Any]) -> None:
    """Refuse arguments of a combinator that are not the calls it runs.

    Raises:
        ConfigurationError: An argument is a list of calls, is not awaitable, or is given twice.
    """
    error = _problem(operation, awaitables)
    if error is not None:
        for each in awaitables:
            for call in each if isinstance(each, (list, tuple, set)) else (each,):
                if asyncio.iscoroutine(call):
                    _drop(call)
        raise ConfigurationError(error)


def _problem(operation: str, awaitables: Sequence[Any]) -> str | None:
    for each in awaitables:
        if isinstance(each, (list, tuple, set)) or inspect.isgenerator(each):
            return f"{operation} takes the calls as separate arguments: write {operation}(*calls)"
        if not inspect.isawaitable(each):
            return f"{operation} takes calls such as ctx.step(...), without `await`, and not the value {each!r:.60}"
    if len({id(each) for each in awaitables}) < len(awaitables):
        return (
            f"{operation} was given the same call twice: a call runs once. Call the operation again, or keep its result"
        )
    return None


async def run_all(call: Call, awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
    """Return every value in order, or raise the first error as soon as it occurs."""
    with _Contest(call, awaitables) as contest:
        return await contest.first_failure_or_all()


async def run_race(call: Call, awaitables: Sequence[Awaitable[Any]]) -> Any:
    """Return the value, or raise the error, of the awaitable that ends first."""
    with _Contest(call, awaitables) as contest:
        return await contest.first_to_end()


async def run_any(call: Call, awaitables: Sequence[Awaitable[Any]]) -> Any:
    """Return the first value; raise an ExceptionGroup of all errors if every awaitable fails."""
    with _Contest(call, awaitables) as contest:
        return await contest.first_success()


async def run_all_settled(awaitables: Sequence[Awaitable[Any]]) -> list[Settled[Any]]:
    """Return how each awaitable ended, in order. Nothing is recorded here: each operation records its own end."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        if tasks:
            await asyncio.wait(tasks)
    finally:
        for awaitable in awaitables:
            _release_operands(awaitable)
    return [_settled(task) for task in tasks]


class _Contest:
    """Several awaitables, and the record of which one decided the outcome.

    Each runs as a task that numbers its own calls, so that a replay can run one without the others.
    """

    def __init__(self, call: Call, awaitables: Sequence[Awaitable[Any]]) -> None:
        self._call = call
        self._awaitables = list(awaitables)
        self._is_recorded = False
        self._decided: int | None = None
        self._started: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the awaitables that never started, so that Python does not warn that they were never awaited."""
        for index, awaitable in enumerate(self._awaitables):
            if index in self._started:
                _release_operands(awaitable)
            elif asyncio.iscoroutine(awaitable):
                _drop(awaitable)

    async def first_failure_or_all(self) -> list[Any]:
        await self._look()
        if self._decided is not None:
            await self._only(self._decided)
            raise ExecutionError(f"{self._call.path}: the recorded failure did not occur again on replay")
        tasks = self._start()
        index = await self._until(tasks, lambda task: task.exception() is not None)
        await self._record(index)
        if index is not None:
            self._cancel(tasks)
            tasks[index].result()
        return [task.result() for task in tasks]

    async def first_to_end(self) -> Any:
        await self._look()
        if self._decided is not None:
            return await self._only(self._decided)
        tasks = self._start()
        index = await self._until(tasks, lambda _: True)
        await self._record(index)
        self._cancel(tasks)
        return tasks[index or 0].result()

    async def first_success(self) -> Any:
        await self._look()
        if self._decided is not None:
            return await self._only(self._decided)
        tasks = self._start()
        index = await self._until(tasks, lambda task: task.exception() is None)
        await self._record(index)
        if index is None:
            raise ExceptionGroup(
                f"{self._call.path}: none of {len(tasks)} succeeded",
                [error for task in tasks if isinstance(error := task.exception(), Exception)],
            )
        self._cancel(tasks)
        return tasks[index].result()

    async def _look(self) -> None:
        """Read which awaitable decided, if that is recorded. The record can also say that none did."""
        recorded = await recorded_state(self._call)
        if recorded is None or recorded["Status"] != "SUCCEEDED":
            announce_started(self._call, recorded)
            return
        announce_replayed(self._call, recorded)
        self._is_recorded = True
        self._decided = json.loads(recorded["StepDetails"].get("Result") or "null")

    async def _record(self, index: int | None) -> None:
        if self._is_recorded:
            return
        call = self._call
        state = call.scope.state
        started_at = state.clock.now() if state.announcer is not None else None
        if call.id not in state.operations:
            state.batcher.add(call.update("START"))
        update = call.update("SUCCEED")
        update["Payload"] = json.dumps(index)
        await store(call, update)
        announce_completed(
            call, OperationStatus.SUCCEEDED, started_at=started_at, is_replayed=False, result=update["Payload"]
        )

    def _start(self) -> list[asyncio.Future[Any]]:
        return [self._run(index) for index in range(len(self._awaitables))]

    def _run(self, index: int) -> asyncio.Future[Any]:
        awaitable = self._awaitables[index]
        self._started.add(index)
        if isinstance(awaitable, asyncio.Future):
            return awaitable
        context = copy_context()
        context.run(running_scope.set, TaskScope.of_operation(self._call, index))
        coroutine = awaitable if asyncio.iscoroutine(awaitable) else _awaited(awaitable)
        return self._call.scope.state.loop.create_task(coroutine, context=context)

    async def _only(self, index: int) -> Any:
        for other, awaitable in enumerate(self._awaitables):
            if other != index:
                _drop(awaitable)
        return await self._run(index)

    async def _until(self, tasks: Sequence[asyncio.Future[Any]], decides: Any) -> int | None:
        """Return the index of the first task to end that decides; None if all end and none decides.

        Raises:
            Exception: A task raised an error that ends the execution or the invocation.
        """
        waiting = set(tasks)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            _raise_fatal(done)
            index = next((position for position, task in enumerate(tasks) if task in done and decides(task)), None)
            if index is not None:
                return index
        return None

    def _cancel(self, tasks: Iterable[asyncio.Future[Any]]) -> None:
        for task in tasks:
            if not task.done():
                task.cancel()
            elif not task.cancelled():
                task.exception()  # retrieved, so that asyncio does not warn about it


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _raise_fatal(done: Iterable[asyncio.Future[Any]]) -> None:
    for task in done:
        error = task.exception()
        if isinstance(error, (ExecutionError, InvocationError)) and not isinstance(error, OperationError):
            raise error


def _drop(awaitable: Awaitable[Any]) -> None:
    """Close or cancel an awaitable that is not needed."""
    if asyncio.iscoroutine(awaitable):
        _release_operands(awaitable)
        awaitable.close()
    elif isinstance(awaitable, asyncio.Future):
        awaitable.cancel()


def _release_operands(awaitable: Awaitable[Any]) -> None:
    """Drop the awaitables that were passed to a combinator which never starts."""
    if not inspect.iscoroutine(awaitable) or awaitable.cr_code not in COMBINATORS:
        return
    if awaitable.cr_frame is not None and inspect.getcoroutinestate(awaitable) == inspect.CORO_CREATED:
        for operand in awaitable.cr_frame.f_locals["awaitables"]:
            _drop(operand)


COMBINATORS = frozenset(function.__code__ for function in (run_all, run_race, run_any, run_all_settled))


def _settled(task: asyncio.Future[Any]) -> Settled[Any]:
    error = task.exception()
    if error is None:
        return Settled(task.result())
    if not isinstance(error, Exception):
        raise error
    _raise_fatal([task])
    return Settled(error=error)
