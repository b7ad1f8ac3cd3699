"""The event loop of an environment: suspension by quiescence, and what lives on from one invocation to the next."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import BlockingContext, DurableContext, StepContext, durable_execution
from durable_execution.runtime.loop import (
    EnvironmentLoop,
    IdleSelector,
    environment_loop,
    run_in_environment,
    unfinished_tasks,
)
from tests.unit.fake_service import FakeService, invoke

HOUR = timedelta(hours=1)


@pytest.fixture
def environment() -> Iterator[EnvironmentLoop]:
    made = EnvironmentLoop()
    yield made
    made.close()


def never(timeout: float | None) -> bool:
    return False


class TestIdleness:
    def test_the_hook_is_called_when_everything_waits(self, environment: EnvironmentLoop) -> None:
        asked: list[float | None] = []
        future = environment.loop.create_future()

        def on_idle(timeout: float | None) -> bool:
            asked.append(timeout)
            future.set_result("woken")
            return True

        async def main() -> Any:
            return await future

        assert environment.run(main(), on_idle) == "woken"
        assert asked == [None]

    def test_the_hook_is_told_of_the_next_timer(self, environment: EnvironmentLoop) -> None:
        asked: list[float | None] = []
        future = environment.loop.create_future()

        def on_idle(timeout: float | None) -> bool:
            asked.append(timeout)
            future.set_result("woken")
            return True

        async def main() -> Any:
            return await asyncio.wait_for(future, 3600)  # the timer; a short one could be due before the loop is idle

        assert environment.run(main(), on_idle) == "woken"
        assert len(asked) == 1
        assert asked[0] is not None
        assert 0 < asked[0] <= 3600

    def test_the_hook_is_called_before_a_short_sleep_too(self) -> None:
        asked: list[float | None] = []

        def on_idle(timeout: float | None) -> bool:
            asked.append(timeout)
            return True

        with IdleSelector() as selector:
            selector.on_idle = on_idle
            for timeout in (0, 0.5, None):
                assert selector.select(timeout) == []
        assert asked == [0.5, None]

    def test_the_hook_is_not_called_while_something_can_run(self, environment: EnvironmentLoop) -> None:
        def on_idle(timeout: float | None) -> bool:
            raise AssertionError("the loop was busy")

        async def main() -> int:
            for _ in range(100):
                await asyncio.sleep(0)
            return 5

        assert environment.run(main(), on_idle) == 5

    def test_the_hook_is_gone_afterwards(self, environment: EnvironmentLoop) -> None:
        environment.run(asyncio.sleep(0), never)
        assert environment.selector.on_idle is None

    def test_the_hook_is_gone_after_an_error_too(self, environment: EnvironmentLoop) -> None:
        async def fail() -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            environment.run(fail(), never)
        assert environment.selector.on_idle is None


class TestTasks:
    """How many tasks have not ended: a step that calls on the loop's thread asks whether one would wait for the loop."""

    def test_asyncio_is_asked_once_in_a_turn(
        self, environment: EnvironmentLoop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[object] = []
        all_tasks = asyncio.all_tasks

        def counted(loop: Any) -> set[asyncio.Task[Any]]:
            asked.append(loop)
            return all_tasks(loop)

        monkeypatch.setattr(asyncio, "all_tasks", counted)

        async def main() -> tuple[int, int]:
            first = [unfinished_tasks(environment.loop) for _ in range(3)]
            await asyncio.sleep(0)
            then = [unfinished_tasks(environment.loop) for _ in range(3)]
            assert set(first + then) == {1}
            return 2, len(asked)

        expected, made = environment.run(main(), never)
        assert made == expected

    def test_a_task_counts_from_the_moment_it_is_created(self, environment: EnvironmentLoop) -> None:
        async def main() -> list[int]:
            counts = [unfinished_tasks(environment.loop)]
            task = asyncio.create_task(asyncio.sleep(0))
            counts.append(unfinished_tasks(environment.loop))
            await task
            return [*counts, unfinished_tasks(environment.loop)]

        assert environment.run(main(), never) == [1, 2, 1]

    def test_a_loop_of_other_code_is_asked_each_time(self) -> None:
        async def main() -> list[int]:
            loop = asyncio.get_running_loop()
            counts = [unfinished_tasks(loop)]
            task = asyncio.Task(asyncio.sleep(0), loop=loop)
            counts.append(unfinished_tasks(loop))
            await task
            return counts

        assert asyncio.run(main()) == [1, 2]

    def test_a_task_of_a_context_may_run_in_a_context_of_the_users_own(self) -> None:
        """Which has no owner: such a task belongs to the invocation that made it."""

        async def flow(_: Any, ctx: DurableContext) -> int:
            own = asyncio.create_task(asyncio.sleep(0, 7), context=contextvars.Context())
            return await own + await ctx.step(lambda _: 1, name="a")

        assert invoke(durable_execution(flow), FakeService())["Result"] == "8"

    def test_an_error_that_no_code_awaits_is_logged_and_an_exit_is_not(
        self, environment: EnvironmentLoop, caplog: pytest.LogCaptureFixture
    ) -> None:
        for error in (ValueError("lost"), SystemExit(3), KeyboardInterrupt()):
            environment.loop.call_exception_handler({"message": f"{error!r} in a task", "exception": error})
        assert [record.message.partition("\n")[0] for record in caplog.records] == ["ValueError('lost') in a task"]


class TestKeeping:
    def test_a_thread_has_one_loop_and_keeps_it(self) -> None:
        assert environment_loop() is environment_loop()

    def test_a_loop_that_was_closed_is_replaced(self) -> None:
        found = environment_loop()
        found.close()
        assert environment_loop() is not found

    def test_threads_do_not_share_loops(self) -> None:
        found: list[EnvironmentLoop] = []
        thread = threading.Thread(target=lambda: found.append(environment_loop()))
        thread.start()
        thread.join()
        assert found[0] is not environment_loop()

    def test_where_a_loop_runs_already_another_thread_is_used(self) -> None:
        async def main() -> int:
            return run_in_environment(lambda environment: environment.run(own_thread(), never))

        async def own_thread() -> int:
            return threading.get_ident()

        assert asyncio.run(main()) != threading.get_ident()

    @pytest.mark.parametrize("exit_", [SystemExit(1), KeyboardInterrupt()], ids=repr)
    def test_an_exit_leaves_nothing_for_the_next_invocation(self, exit_: BaseException) -> None:
        ended: list[str] = []

        async def left_behind() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cleaned up")

        async def main() -> None:
            task = asyncio.ensure_future(left_behind())
            await asyncio.sleep(0)
            assert not task.done()
            raise exit_

        environment = EnvironmentLoop()
        with pytest.raises(type(exit_)):
            environment.run(main(), never)
        assert ended == ["cleaned up"]
        assert environment.loop.is_closed()

    def test_an_error_in_the_middle_of_the_loop_leaves_nothing_either(self) -> None:
        ended: list[str] = []

        async def main() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cleaned up")

        def interrupted(timeout: float | None) -> bool:
            raise TimeoutError("a test has taken too long")

        environment = EnvironmentLoop()
        with pytest.raises(TimeoutError):
            environment.run(main(), interrupted)
        assert ended == ["cleaned up"]
        assert environment.loop.is_closed()

    def test_an_error_of_the_code_that_runs_leaves_the_loop_alone(self) -> None:
        async def fail() -> None:
            raise ValueError("no")

        environment = EnvironmentLoop()
        with pytest.raises(ValueError, match="no"):
            environment.run(fail(), never)
        assert environment.run(asyncio.sleep(0, "still here"), never) == "still here"
        environment.close()


class VerdictError(BaseException):
    """Like what `pytest.fail()` raises."""


def condemn(*arguments: Any) -> Any:
    raise VerdictError("the test has failed")


async def condemn_later(*arguments: Any) -> Any:
    raise VerdictError("the test has failed")


async def branch(ctx: DurableContext, *arguments: Any) -> Any:
    await ctx.step(condemn_later)


PLACES: dict[str, Any] = {
    "handler": lambda ctx: condemn_later(),
    "step": lambda ctx: ctx.step(condemn_later),
    "step in a thread": lambda ctx: ctx.step(condemn),
    "child": lambda ctx: ctx.run_in_child_context(condemn_later),
    "item": lambda ctx: ctx.map([1, 2], branch),
    "branch": lambda ctx: ctx.parallel([condemn_later, condemn_later]),
    "one of two": lambda ctx: asyncio.gather(ctx.step(condemn_later), ctx.wait(HOUR)),
    "submitter": lambda ctx: ctx.wait_for_callback(condemn),
    "race": lambda ctx: ctx.race(ctx.step(condemn_later), ctx.wait(HOUR)),
}


@pytest.mark.parametrize("place", PLACES)
def test_what_ends_a_test_ends_the_invocation(place: str) -> None:
    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        await PLACES[place](ctx)

    with pytest.raises(VerdictError):
        invoke(handler, FakeService())


@pytest.mark.parametrize("place", ["handler", "step in a thread"])
def test_in_a_blocking_handler_too(place: str) -> None:
    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> None:
        condemn() if place == "handler" else ctx.step(condemn)

    with pytest.raises(VerdictError):
        invoke(handler, FakeService())


def test_a_branch_that_cancels_itself_is_an_error_and_no_hang() -> None:
    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        async def cancelled(child: DurableContext) -> None:
            raise asyncio.CancelledError("by hand")

        await ctx.parallel([cancelled])

    assert "branch 0 was cancelled by its own code: by hand" in invoke(handler, FakeService())["Error"]["ErrorMessage"]


class TestInvocations:
    def test_a_wait_suspends(self) -> None:
        @durable_execution
        async def waits(_: Any, ctx: DurableContext) -> None:
            await ctx.wait(HOUR)

        assert invoke(waits, FakeService()) == {"Status": "PENDING"}

    def test_everything_that_can_be_done_is_done_before(self) -> None:
        ran: list[str] = []

        def note(step: StepContext) -> None:
            ran.append(step.name or "")

        @durable_execution
        async def branches(_: Any, ctx: DurableContext) -> None:
            async def long() -> None:
                await ctx.wait(HOUR)
                ran.append("after the wait")

            async def short() -> None:
                await ctx.step(note, "one")
                await asyncio.sleep(0)
                await ctx.step(note, "two")
                await ctx.wait(HOUR)

            await asyncio.gather(long(), short())

        assert invoke(branches, FakeService()) == {"Status": "PENDING"}
        assert ran == ["one", "two"]

    def test_a_body_that_sleeps_is_waited_for(self) -> None:
        @durable_execution
        async def sleeps(_: Any, ctx: DurableContext) -> str:
            async def body(step: StepContext) -> str:
                await asyncio.sleep(0.001)
                return "slept"

            waiting = asyncio.ensure_future(ctx.wait(HOUR))
            result = await ctx.step(body)
            waiting.cancel()
            return result

        assert invoke(sleeps, FakeService())["Status"] == "SUCCEEDED"

    def test_a_handler_that_waits_for_its_own_future_is_not_suspended(self) -> None:
        @durable_execution
        async def own(_: Any, ctx: DurableContext) -> str:
            future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.001, future.set_result, "own")
            return await future

        assert invoke(own, FakeService())["Result"] == '"own"'

    def test_what_a_suspended_handler_leaves_behind_is_cancelled(self) -> None:
        ended: list[str] = []

        @durable_execution
        async def leaves(_: Any, ctx: DurableContext) -> None:
            async def background() -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.append("background")

            task = asyncio.ensure_future(background())
            try:
                await ctx.wait(HOUR)
            finally:
                ended.append("handler")
                del task

        invoke(leaves, FakeService())
        assert sorted(ended) == ["background", "handler"]

    def test_cleaning_up_cannot_checkpoint(self) -> None:
        service = FakeService()

        @durable_execution
        async def tidy(_: Any, ctx: DurableContext) -> None:
            try:
                await ctx.wait(HOUR, "pause")
            finally:
                await ctx.step(lambda step: "cleaned", "clean up")

        assert invoke(tidy, service) == {"Status": "PENDING"}
        assert service.actions == [["START pause"]]

    def test_swallowing_the_cancellation_changes_nothing_but_is_said(self, caplog: pytest.LogCaptureFixture) -> None:
        @durable_execution
        async def stubborn(_: Any, ctx: DurableContext) -> str:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await ctx.wait(HOUR)

        assert invoke(stubborn, FakeService()) == {"Status": "PENDING"}
        assert "caught the suspension" in caplog.text

    def test_clients_made_at_module_level_live_on_in_a_warm_environment(self) -> None:
        class Client:
            """Like an HTTP client: a background task, and requests that need its loop."""

            def __init__(self) -> None:
                self.queue: asyncio.Queue[asyncio.Future[str]] | None = None

            async def ask(self) -> str:
                if self.queue is None:
                    self.queue = asyncio.Queue()
                    self.task = asyncio.get_running_loop().create_task(self.answer(self.queue))
                future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
                await self.queue.put(future)
                return await future

            async def answer(self, queue: "asyncio.Queue[asyncio.Future[str]]") -> None:
                count = 0
                while True:
                    future = await queue.get()
                    count += 1
                    future.set_result(f"answer {count}")

        client = Client()

        @durable_execution
        async def asks(_: Any, ctx: DurableContext) -> list[str]:
            async def body(step: StepContext) -> str:
                return await client.ask()

            first = await ctx.step(body, "first")
            await ctx.wait(HOUR)
            return [first, await ctx.step(body, "second")]

        service = FakeService()
        assert invoke(asks, service) == {"Status": "PENDING"}
        (wait,) = [wire for wire in service.operations.values() if wire["Type"] == "WAIT"]
        wait["Status"] = "SUCCEEDED"
        assert invoke(asks, service)["Result"] == '["answer 1","answer 2"]'
        client.task.cancel()
        environment_loop().run(asyncio.sleep(0), never)

    def test_a_handler_can_be_called_where_a_loop_runs(self) -> None:
        @durable_execution
        async def adds(payload: dict[str, int], ctx: DurableContext) -> int:
            return await ctx.step(lambda step: payload["a"] + 1)

        async def notebook() -> Any:
            return invoke(adds, FakeService(), {"a": 1})

        assert asyncio.run(notebook())["Result"] == "2"
