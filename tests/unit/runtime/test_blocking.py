"""Threads of blocking handlers: waiting does not keep an invocation alive, and the end of one unwinds its threads."""

import asyncio
import linecache
import threading
import time as real_time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

import pytest

from durable_execution import BlockingContext, DurableContext, StepContext, durable_execution
from durable_execution.call_site import caller
from durable_execution.errors import ExecutionError, SuspendExecution
from durable_execution.runtime import blocking as blocking_module
from durable_execution.runtime.blocking import BlockingThread
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


class TestThread:
    """One thread of blocking code, by itself."""

    @pytest.mark.parametrize("is_awaited", [True, False])
    def test_the_invocation_is_busy_while_its_code_runs_and_not_while_it_waits(self, is_awaited: bool) -> None:
        async def scenario() -> None:
            state, busy = State(), list[int]()
            thread = BlockingThread(cast("Any", state))
            may_end, has_answered = threading.Event(), asyncio.Event()

            async def operation() -> str:
                busy.append(state.busy)
                has_answered.set()
                return "done"

            def code() -> str:
                found = thread.call(operation) if is_awaited else "done"
                may_end.wait(30)
                return found

            running = asyncio.ensure_future(thread.run(code))
            if is_awaited:
                await has_answered.wait()
            for _ in range(3):
                await asyncio.sleep(0)
            assert state.busy == 1
            assert len(state.threads) == 1
            may_end.set()
            assert await running == "done"
            await asyncio.sleep(0)
            assert busy == ([0] if is_awaited else [])
            assert (state.busy, len(state.threads)) == (0, 0)

        asyncio.run(scenario())

    def test_what_a_thread_of_the_users_own_calls_leaves_the_invocation_busy(self) -> None:
        """The code itself runs on: it waits for its thread, which the runtime cannot see."""

        async def scenario() -> None:
            state, busy = State(), list[int]()
            thread = BlockingThread(cast("Any", state))

            async def operation() -> int:
                busy.append(state.busy)
                return 7

            def code() -> int:
                found: list[int] = []
                other = threading.Thread(target=lambda: found.append(thread.call(operation)))
                other.start()
                other.join()
                return found[0]

            assert await thread.run(code) == 7
            assert busy == [1]
            assert state.busy == 0

        asyncio.run(scenario())

    @pytest.mark.parametrize("by", ["code", "thread", "pool"])
    def test_a_call_knows_the_line_of_the_users_code(self, by: str) -> None:
        async def scenario() -> None:
            thread = BlockingThread(cast("Any", State()))

            async def operation() -> Any:
                return caller.get()

            def calls() -> Any:
                return thread.call(operation)

            def code() -> Any:
                if by == "code":
                    return threading.get_ident(), calls()
                if by == "thread":
                    made: list[Any] = []
                    other = threading.Thread(target=lambda: made.append((threading.get_ident(), calls())))
                    other.start()
                    other.join()
                    return made[0]
                with ThreadPoolExecutor(1) as pool:  # only the pool is on the stack of the thread that calls
                    return threading.get_ident(), pool.submit(thread.call, operation).result()

            own, (made_by, line, at) = await thread.run(code)
            assert made_by.co_name == ("code" if by == "pool" else "calls")
            assert "thread.call" in linecache.getline(made_by.co_filename, line)
            assert at == own

        asyncio.run(scenario())

    @pytest.mark.parametrize("when", ["before", "during", "without a turn of the loop"])
    def test_an_invocation_that_ends_unwinds_its_threads(self, when: str) -> None:
        async def scenario() -> None:
            state, ended = State(), threading.Event()
            thread = BlockingThread(cast("Any", state))
            is_waiting, may_call = asyncio.Event(), threading.Event()

            async def operation() -> None:
                is_waiting.set()
                await asyncio.Event().wait()

            def code() -> None:
                if when == "before":
                    may_call.wait(30)
                try:
                    thread.call(operation)
                except SuspendExecution:
                    ended.set()
                    raise

            running = asyncio.ensure_future(thread.run(code))
            if when == "before":
                await asyncio.sleep(0)
            else:
                await is_waiting.wait()
            if when == "without a turn of the loop":
                thread._unwind()
                assert ended.wait(30)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert state.busy == 0
            may_call.set()
            assert ended.wait(30)

        asyncio.run(scenario())

    @pytest.mark.parametrize(
        ("has_ended", "is_elsewhere", "is_forked", "is_told"),
        [
            (True, False, False, True),
            (False, True, False, True),
            (False, False, True, True),
            (False, False, False, False),
        ],
    )
    def test_cleaning_up_is_unwound_quietly_and_whoever_comes_later_is_told(
        self, has_ended: bool, is_elsewhere: bool, is_forked: bool, is_told: bool
    ) -> None:
        async def scenario() -> None:
            state = State()
            state.is_forked = is_forked
            thread = BlockingThread(cast("Any", state))
            found: list[type[BaseException]] = []

            async def operation() -> None: ...

            def late() -> None:
                try:
                    thread.call(operation)
                except BaseException as error:  # noqa: BLE001  # SuspendExecution is one
                    found.append(type(error))

            def code() -> None:
                state.is_over = True
                thread._unwind()
                if is_elsewhere:
                    other = threading.Thread(target=late)
                    other.start()
                    other.join()
                elif not has_ended:
                    late()

            running = asyncio.ensure_future(thread.run(code))
            await running
            if has_ended:  # on the same thread: one that ends is the first to be used again
                await blocking_module._threads.run(late)
            assert found == [ExecutionError if is_told else SuspendExecution]

        asyncio.run(scenario())


class State:
    """What a thread asks of the invocation."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.busy = 0
        self.threads: set[Any] = set()
        self.watch = None
        self.is_over = self.is_forked = False

    def check_usable(self, what: str) -> None:
        raise ExecutionError(f"{what} came too late")


def test_nothing_here_takes_real_time() -> None:
    began = real_time.monotonic()
    test_a_blocking_handler_suspends_like_any_other()
    assert real_time.monotonic() - began < 30, "the workflow waits for hours"
