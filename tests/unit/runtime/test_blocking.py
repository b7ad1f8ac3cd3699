"""Threads of blocking handlers: waiting does not keep an invocation alive, and the end of one unwinds its threads."""

import threading
import time as real_time
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import BlockingContext, DurableContext, StepContext, durable_execution
from durable_execution.errors import ExecutionError
from durable_execution.runtime import blocking as blocking_module
from tests.unit.fake_service import FakeService, invoke

HOUR = timedelta(hours=1)


def test_a_blocking_handler_suspends_like_any_other() -> None:
    cleaned: list[str] = []

    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> None:
        try:
            ctx.wait(HOUR)
        finally:
            cleaned.append("handler")

    assert invoke(handler, FakeService()) == {"Status": "PENDING"}
    assert cleaned == ["handler"]


def test_except_exception_does_not_swallow_the_suspension() -> None:
    reached: list[str] = []

    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> str:
        try:
            ctx.wait(HOUR)
        except Exception:  # noqa: BLE001
            reached.append("except")
        return "swallowed"

    assert invoke(handler, FakeService()) == {"Status": "PENDING"}
    assert reached == []


def test_cleaning_up_cannot_checkpoint() -> None:
    service = FakeService()

    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> None:
        try:
            ctx.wait(HOUR, "pause")
        finally:
            ctx.step(lambda step: 1, "clean up")

    assert invoke(handler, service) == {"Status": "PENDING"}
    assert service.actions == [["START pause"]]


def test_threads_are_used_again_by_the_next_invocations() -> None:
    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> int:
        return ctx.run_in_child_context(lambda child: 1)

    invoke(handler, FakeService())
    started = blocking_module._threads._threads
    for _ in range(20):
        invoke(handler, FakeService())
    assert blocking_module._threads._threads == started


def test_user_code_runs_off_the_event_loop() -> None:
    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> list[int]:
        inner = ctx.step(lambda step: threading.get_ident())
        return [threading.get_ident(), inner]

    own, step = __import__("json").loads(invoke(handler, FakeService())["Result"])
    assert threading.get_ident() not in (own, step)


def test_branches_run_at_once() -> None:
    together = threading.Barrier(3, timeout=30)

    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> int:
        def branch(child: BlockingContext) -> int:
            child.step(lambda step: together.wait())
            return 1

        return sum(ctx.parallel([branch] * 3).get_results())

    assert invoke(handler, FakeService())["Result"] == "3"


def test_a_blocking_handler_may_have_coroutine_branches_and_steps() -> None:
    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> list[str]:
        async def body(child: DurableContext) -> str:
            return await child.step(_async_step)

        child: Any = ctx.run_in_child_context(body)  # type: ignore[arg-type]  # the context it is given is an async one
        return [child, ctx.step(_async_step)]

    assert invoke(handler, FakeService())["Result"] == '["async","async"]'


async def _async_step(step: StepContext) -> str:
    return "async"


def test_what_user_code_raises_passes_through_unchanged() -> None:
    error = LookupError("no such card")

    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> None:
        raise error

    answer = invoke(handler, FakeService())
    assert (answer["Error"]["ErrorType"], answer["Error"]["ErrorMessage"]) == ("LookupError", "no such card")


def test_a_thread_of_the_users_own_may_call_operations() -> None:
    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> int:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(ctx.step(lambda step: 7)))
        thread.start()
        thread.join()
        return found[0]

    assert invoke(handler, FakeService())["Result"] == "7"


def test_two_threads_may_not_call_operations_at_the_same_time() -> None:
    said: list[str] = []

    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> int:
        def outer(step: StepContext) -> int:
            def other() -> None:
                with pytest.raises(ExecutionError) as raised:
                    ctx.step(lambda step: 8)
                said.append(str(raised.value))

            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            return 7

        return ctx.step(outer)

    assert invoke(handler, FakeService())["Result"] == "7"
    assert "at the same time" in said[0]
    assert "ctx.parallel" in said[0]


def test_a_thread_that_comes_too_late_is_refused() -> None:
    contexts: list[BlockingContext] = []

    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> None:
        contexts.append(ctx)

    invoke(handler, FakeService())
    with pytest.raises(ExecutionError, match="an invocation that has ended"):
        contexts[0].step(lambda step: 1)


def test_nothing_here_takes_real_time() -> None:
    began = real_time.monotonic()
    test_a_blocking_handler_suspends_like_any_other()
    assert real_time.monotonic() - began < 1
