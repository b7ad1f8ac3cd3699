"""Contexts as the runtime sees them: which calls may be made, under which name, and when."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from durable_execution import (
    BlockingContext,
    ChildConfig,
    DurableContext,
    MapConfig,
    ParallelBranch,
    StepContext,
    durable_execution,
)
from durable_execution.errors import ConfigurationError, DurableError, ExecutionError, NestedOperationError
from durable_execution.protocol import operation_id
from durable_execution.protocol.ids import branch_id, task_prefix
from durable_execution.runtime.loop import IN_STEP, TaskOwner
from durable_execution.runtime.loop import scope as running_scope
from durable_execution.runtime.scope import ContextScope
from tests.unit.fake_service import FakeService, invoke, step_operation

Call = Callable[[DurableContext, Any], Any]

CALLS: dict[str, Call] = {
    "step": lambda ctx, name: ctx.step(lambda step: 1, name),
    "wait": lambda ctx, name: ctx.wait(timedelta(hours=1), name),
    "create_callback": lambda ctx, name: ctx.create_callback(name),
    "invoke": lambda ctx, name: ctx.invoke("f", name=name),
    "map": lambda ctx, name: ctx.map([1], _item, name),
    "parallel": lambda ctx, name: ctx.parallel([], name),
    "run_in_child_context": lambda ctx, name: ctx.run_in_child_context(_nothing, name),
    "race": lambda ctx, name: ctx.race(asyncio.get_running_loop().create_future(), name=name),
}


async def _nothing(ctx: DurableContext) -> None: ...
async def _item(ctx: DurableContext, item: int) -> None: ...


def error_of(handler: Any) -> dict[str, Any]:
    answer = invoke(durable_execution(handler), FakeService())
    assert answer["Status"] == "FAILED", answer
    error: dict[str, Any] = answer["Error"]
    return error


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("name", ["", "x" * 257, "größe", "tab\there", "line\nbreak", "nul\0", 5, b"bytes"])
def test_a_name_the_service_would_not_take_is_refused(operation: str, name: Any) -> None:
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        await CALLS[operation](ctx, name)

    answer = invoke(handler, service)
    assert answer["Error"]["ErrorType"] == "durable_execution.errors.ConfigurationError"
    assert "must be 1 to 256 printable ASCII characters" in answer["Error"]["ErrorMessage"]
    assert service.calls == []


@pytest.mark.parametrize("name", ["x", "x" * 256, "with blanks, (brackets) & ~tilde/slash"])
def test_any_other_name_is_taken(name: str) -> None:
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda step: 1, name)

    assert invoke(handler, service)["Status"] == "SUCCEEDED"
    assert service.calls[0][0]["Name"] == name


@pytest.mark.parametrize("name", ["", "größe", 5, b"x"])
def test_a_name_of_a_branch_or_item_is_checked_too(name: Any) -> None:
    async def in_parallel(_: Any, ctx: DurableContext) -> None:
        await ctx.parallel([_nothing, ParallelBranch(_nothing, name or "tab\t")])

    async def in_map(_: Any, ctx: DurableContext) -> None:
        await ctx.map([1], _item, config=MapConfig(item_namer=lambda item, index: name))

    for handler in (in_parallel, in_map):
        assert "must be 1 to 256 printable ASCII characters" in error_of(handler)["ErrorMessage"]


@pytest.mark.parametrize("operation", CALLS)
def test_nothing_durable_can_be_called_in_a_step(operation: str) -> None:
    async def handler(_: Any, ctx: DurableContext) -> None:
        async def body(step: StepContext) -> None:
            await CALLS[operation](ctx, "inner")

        await ctx.step(body, "outer")

    error = error_of(handler)
    assert error["ErrorType"] == "durable_execution.errors.NestedOperationError"
    assert "inside a step" in error["ErrorMessage"]
    assert "run_in_child_context" in error["ErrorMessage"]


def test_nor_in_a_step_that_runs_in_a_thread() -> None:
    async def handler(_: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda step: ctx.step(lambda inner: 1), "outer")

    assert error_of(handler)["ErrorType"] == "durable_execution.errors.NestedOperationError"


def test_nor_in_a_step_of_a_blocking_handler() -> None:
    def handler(_: Any, ctx: BlockingContext) -> None:
        ctx.step(lambda step: ctx.step(lambda inner: 1), "outer")

    assert error_of(handler)["ErrorType"] == "durable_execution.errors.NestedOperationError"


def test_a_refused_call_takes_no_number() -> None:
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        with pytest.raises(ValueError, match="printable ASCII"):
            ctx.step(lambda step: 1, "größe")  # type: ignore[unused-coroutine]
        await ctx.step(lambda step: 1)

    invoke(handler, service)
    assert service.calls[0][0]["Id"] == operation_id(None, 1)


def test_ids_follow_the_calls_and_not_the_awaits() -> None:
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        first, second = ctx.step(lambda step: 1, "first"), ctx.step(lambda step: 2, "second")
        await second
        await first

    invoke(handler, service)
    ids = {update["Name"]: update["Id"] for call in service.calls for update in call}
    assert ids == {"first": operation_id(None, 1), "second": operation_id(None, 2)}


def test_tasks_of_tasks_are_numbered_where_they_are_created() -> None:
    """A nested task counts in the task that creates it, so its ids do not depend on which task runs first."""
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        async def leaf(name: str) -> None:
            await ctx.step(lambda step: 1, name)

        async def middle(name: str) -> None:
            first = asyncio.ensure_future(leaf(f"{name}.1"))
            second = asyncio.ensure_future(leaf(f"{name}.2"))
            await ctx.step(lambda step: 1, name)
            await asyncio.gather(first, second)

        await asyncio.gather(asyncio.ensure_future(middle("1")), asyncio.ensure_future(middle("2")))
        await ctx.step(lambda step: 1, "main")

    invoke(handler, service)
    ids = {update["Name"]: update["Id"] for call in service.calls for update in call}
    assert ids == {
        "main": operation_id(None, 1),
        "1": operation_id(task_prefix(None, 1), 1),
        "1.1": operation_id(task_prefix(task_prefix(None, 1), 1), 1),
        "1.2": operation_id(task_prefix(task_prefix(None, 1), 2), 1),
        "2": operation_id(task_prefix(None, 2), 1),
        "2.1": operation_id(task_prefix(task_prefix(None, 2), 1), 1),
        "2.2": operation_id(task_prefix(task_prefix(None, 2), 2), 1),
    }


def test_tasks_of_awaitables_are_numbered_in_their_awaitable() -> None:
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        async def leaf() -> None:
            await ctx.step(lambda step: 1, "inner")

        async def awaitable() -> None:
            await asyncio.ensure_future(leaf())

        await ctx.all(awaitable(), awaitable(), name="both")

    invoke(handler, service)
    ids = {update["Id"] for call in service.calls for update in call if update.get("Name") == "inner"}
    both = operation_id(None, 1)
    assert ids == {operation_id(task_prefix(branch_id(both, index), 1), 1) for index in (0, 1)}


def test_an_orphan_of_a_finished_context_cannot_checkpoint() -> None:
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> str:
        left: list[asyncio.Task[int]] = []
        may_go_on = asyncio.Event()

        async def body(child: DurableContext) -> str:
            async def orphan() -> int:
                await may_go_on.wait()
                return await child.step(lambda step: 1, "late")

            left.append(asyncio.ensure_future(orphan()))
            return "done"

        await ctx.run_in_child_context(body, "context")
        may_go_on.set()
        (result,) = await asyncio.gather(*left, return_exceptions=True)
        return str(result)

    answer = invoke(handler, service)
    assert "continued after its context" in answer["Result"]
    assert all(update.get("Name") != "late" for call in service.calls for update in call)


def test_replaying_ends_with_the_first_new_call() -> None:
    seen: list[bool] = []

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        seen.append(ctx.is_replaying)
        await ctx.step(lambda step: 1)
        seen.append(ctx.is_replaying)
        await ctx.step(lambda step: 2)
        seen.append(ctx.is_replaying)

    invoke(handler, FakeService())
    assert seen == [False, False, False]
    seen.clear()
    invoke(handler, FakeService(), operations=[step_operation(operation_id(None, 1), 1)])
    assert seen == [True, False, False]


@pytest.mark.parametrize("is_virtual", [True, False])
def test_calls_are_stored_under_the_nearest_context_that_is_recorded(is_virtual: bool) -> None:
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        async def body(child: DurableContext) -> None:
            await child.step(lambda step: 1, "inside")

        async def outer(child: DurableContext) -> None:
            await child.run_in_child_context(body, "inner", config=ChildConfig(is_virtual=is_virtual))

        await ctx.run_in_child_context(outer, "outer")

    invoke(handler, service)
    parents = {update["Name"]: update.get("ParentId") for call in service.calls for update in call}
    first = operation_id(None, 1)
    inner = operation_id(first, 1)
    recorded = {"outer": None, "inner": first, "inside": inner}
    assert parents == ({"outer": None, "inside": first} if is_virtual else recorded)


def context(*recorded: str, **members: Any) -> ContextScope:
    """The root context of an execution with these recorded calls, used by this thread."""

    def refuse(what: str) -> None:
        raise ExecutionError(f"{what} cannot be called")

    state: Any = SimpleNamespace(
        operations=dict.fromkeys(recorded),
        recorded_count=len(recorded),
        recorded_children=lambda parent: len(recorded),
        may_have_inner_scopes=lambda parent: True,
        inner_scopes=lambda parent: {},
        is_over=False,
        thread=threading.get_ident(),
        check_usable=refuse,
        announcer=None,
    )
    vars(state).update(members)
    return ContextScope(state, prefix=None, parent_id=None, path="flow")


@pytest.mark.parametrize(
    ("running", "is_over", "is_elsewhere", "error"),
    [
        (None, False, False, None),
        ("itself", False, False, None),
        ("its task", False, False, None),
        ("another context", False, False, ConfigurationError),
        ("a task of another context", False, False, ConfigurationError),
        ("a step", False, False, NestedOperationError),
        ("a step", False, True, NestedOperationError),
        ("a step", True, True, ExecutionError),
        ("a step", True, False, ExecutionError),
        (None, True, False, ExecutionError),
        ("itself", False, True, ExecutionError),
    ],
)
def test_a_call_is_made_by_the_code_of_its_context_in_its_thread_and_in_its_time(
    running: str | None, is_over: bool, is_elsewhere: bool, error: type[DurableError] | None
) -> None:
    scope = context(is_over=is_over)
    if is_elsewhere:
        scope.state.thread += 1
    owners: dict[str | None, TaskOwner | None] = {
        None: None,
        "itself": scope,
        "its task": scope.for_task(),
        "another context": context(),
        "a task of another context": context().for_task(),
        "a step": IN_STEP,
    }
    token = running_scope.set(owners[running])
    try:
        if error is None:
            assert scope.reserve("STEP", "Step", "a").name == "a"
        else:
            with pytest.raises(error) as raised:
                scope.reserve("STEP", "Step", "a")
            assert type(raised.value) is error
    finally:
        running_scope.reset(token)


TASK = task_prefix(None, 1)


@pytest.mark.parametrize(
    ("recorded", "members", "is_watched"),
    [
        ([operation_id(TASK, 1)], {}, True),
        ([operation_id(TASK, 2)], {"inner_scopes": lambda parent: {TASK: None}}, True),
        ([operation_id(TASK, 2)], {}, False),
        ([operation_id(TASK, 0)], {}, False),
        ([operation_id(None, 1)], {}, False),
        ([operation_id(TASK, 1)], {"may_have_inner_scopes": lambda parent: False}, False),
        ([operation_id(TASK, 1)], {"recorded_children": lambda parent: 0}, False),
    ],
)
def test_a_task_with_recorded_calls_is_watched_even_if_it_makes_none(
    recorded: list[str], members: dict[str, Any], is_watched: bool
) -> None:
    scope = context(*recorded, **members)
    task, later = cast("Any", FakeTask()), cast("Any", FakeTask())
    owner = scope.for_task()
    owner.belongs_to(task)
    owner.belongs_to(later)
    assert [one for _, one in scope.task_scopes or ()] == ([task] if is_watched else [])


def test_a_task_that_makes_calls_is_watched_once() -> None:
    scope = context()
    task = cast("Any", FakeTask())
    owner = scope.for_task()
    owner.belongs_to(task)
    numbering = owner.scope
    assert owner.scope is numbering
    assert scope.task_scopes == [(numbering, task)]


class FakeTask:
    """In place of a task."""


def test_the_tasks_of_a_task_are_numbered_on_however_late_its_calls_begin() -> None:
    owner = context().for_task()
    owner.for_task()
    assert owner.scope.created_tasks == 1
    owner.for_task()
    assert owner.scope.created_tasks == 2
