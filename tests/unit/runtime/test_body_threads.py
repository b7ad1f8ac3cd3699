"""Threads for synchronous step bodies: few, reused, and never in the way."""

import asyncio
import contextvars
import gc
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from durable_execution import BlockingContext, DurableContext, MapConfig, StepContext, durable_execution
from durable_execution.runtime.body_threads import (
    LONG_SECONDS,
    MAX_KNOWN,
    RUNS_TO_TRUST,
    SHORT_SECONDS,
    BodyTimes,
    Job,
    Workers,
    shared_workers,
)
from tests.unit.fake_service import FakeService, invoke

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(main())


def test_a_function_runs_elsewhere_and_its_value_comes_back() -> None:
    async def main() -> tuple[int, int]:
        return await Workers().run(threading.get_ident), threading.get_ident()

    worker, own = run(main)
    assert worker != own


def test_a_thread_that_is_free_is_used_again() -> None:
    workers = Workers()

    async def main() -> set[int]:
        return {await workers.run(threading.get_ident) for _ in range(20)}

    assert len(run(main)) == 1
    assert workers._threads == 1


def test_threads_are_kept_across_loops() -> None:
    workers = Workers()

    async def main() -> int:
        return await workers.run(threading.get_ident)

    assert run(main) == run(main)


def test_an_object_bound_to_a_thread_serves_all_bodies_that_follow_each_other() -> None:
    """Also when they are known to be short, when one is long, in a map, and when other threads are idle: see ADR 0012."""
    shared_workers.cache_clear()
    connections: list[sqlite3.Connection] = []
    together = threading.Barrier(3, timeout=30)

    def query(number: int) -> int:
        if not connections:
            connections.append(sqlite3.connect(":memory:"))
        return int(connections[0].execute("select ?", (number,)).fetchone()[0])

    def constant(number: int) -> Callable[[StepContext], int]:
        return lambda _: query(number)

    def longer(number: int) -> int:
        threading.Event().wait(0.005)
        return query(number)

    async def item(ctx: DurableContext, number: int, _index: int) -> int:
        return await ctx.step(lambda _: query(number))

    async def handler(_event: Any, ctx: DurableContext) -> list[int]:
        found = [await ctx.step(constant(n)) for n in range(5)]
        await asyncio.gather(*(ctx.step(lambda _: together.wait()) for _ in range(3)))
        found.append(await ctx.step(lambda _: longer(5)))
        config = MapConfig(max_concurrency=1)
        found += (await ctx.map([6, 7], item, config=config)).get_results()
        await ctx.step(lambda _: connections[0].close())
        return found

    answer = invoke(durable_execution(handler), FakeService())
    assert answer.get("Result") == "[0,1,2,3,4,5,6,7]", answer


def test_a_body_may_run_an_event_loop_of_its_own() -> None:
    async def later() -> int:
        await asyncio.sleep(0)
        return 7

    async def handler(_event: Any, ctx: DurableContext) -> list[int]:
        return [await ctx.step(lambda _: asyncio.run(later())) for _ in range(RUNS_TO_TRUST + 2)]

    answer = invoke(durable_execution(handler), FakeService())
    assert answer["Result"] == "[7,7,7,7,7]", answer


def test_bodies_run_at_once_up_to_the_limit() -> None:
    workers = Workers(limit=3)
    together = threading.Barrier(3, timeout=30)

    async def main() -> None:
        await asyncio.gather(*(workers.run(together.wait) for _ in range(6)))

    run(main)
    assert workers._threads == 3


def test_what_waits_for_a_thread_gets_one_in_the_end() -> None:
    workers = Workers(limit=1)

    async def main() -> list[int]:
        return await asyncio.gather(*(workers.run(lambda number=number: number) for number in range(50)))  # type: ignore[misc]

    assert run(main) == list(range(50))
    assert workers._threads == 1


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_what_a_function_raises_comes_back(error: BaseException) -> None:
    def fail() -> None:
        raise error

    async def main() -> None:
        future = Workers().run(fail)
        await asyncio.wait([future])
        assert future.exception() is error

    run(main)


def test_stop_iteration_cannot_be_a_futures_error_and_becomes_one_that_can() -> None:
    def fail() -> None:
        raise StopIteration("exhausted")

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"a step raised StopIteration\('exhausted'\)\. Python reserves"):
            await Workers().run(fail)

    run(main)


def test_a_body_sees_the_context_variables_of_its_caller() -> None:
    async def main() -> str:
        WHO.set("ada")
        return await Workers().run(WHO.get)

    assert run(main) == "ada"


def test_a_body_cannot_change_them() -> None:
    async def main() -> str:
        WHO.set("ada")
        await Workers().run(lambda: WHO.set("eve"))
        return WHO.get()

    assert run(main) == "ada"


def test_a_body_nobody_waits_for_any_more_harms_nobody() -> None:
    workers, may_end = Workers(), threading.Event()

    async def main() -> None:
        future = workers.run(may_end.wait)
        future.cancel()
        await asyncio.sleep(0)

    run(main)
    may_end.set()

    async def after() -> int:
        return await workers.run(lambda: 1)

    assert run(after) == 1


def test_a_thread_keeps_nothing_of_what_it_ran() -> None:
    class Large:
        pass

    workers = Workers(limit=1)

    async def main() -> weakref.ref[Large]:
        large = Large()
        await workers.run(lambda: large)
        await workers.run(lambda: None)  # the thread has done with the first when it takes the second
        return weakref.ref(large)

    found = run(main)
    gc.collect()
    assert found() is None


def test_threads_do_not_keep_the_process_alive() -> None:
    async def main() -> bool:
        return await Workers().run(lambda: threading.current_thread().daemon)

    assert run(main)


class TestAlone:
    """While nothing else can run, the loop's thread waits for a body that may end at once."""

    @pytest.fixture
    def patient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a busy machine, a thread may start late."""
        monkeypatch.setattr("durable_execution.runtime.body_threads.BRIEF_SECONDS", 30)

    @pytest.mark.usefixtures("patient")
    def test_a_quick_body_needs_no_turn_of_the_event_loop(self) -> None:
        async def main() -> tuple[bool, int, int]:
            running = Workers().run(threading.get_ident, is_alone=True)
            return running.done(), await running, threading.get_ident()

        is_done, worker, own = run(main)
        assert is_done
        assert worker != own

    @pytest.mark.usefixtures("patient")
    @pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), StopIteration("exhausted")], ids=repr)
    def test_what_it_raises_comes_back(self, error: BaseException) -> None:
        def fail() -> None:
            raise error

        async def main() -> BaseException | None:
            return Workers().run(fail, is_alone=True).exception()

        assert str(error) in str(run(main))

    def test_a_body_that_needs_the_event_loop_gets_it(self) -> None:
        async def main() -> str:
            loop = asyncio.get_running_loop()

            def body() -> str:
                return asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "seen"), loop).result(30)

            running = Workers().run(body, is_alone=True)
            assert not running.done()
            return await running

        assert run(main) == "seen"

    def test_the_loop_does_not_wait_for_a_body_that_was_slow_before(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("durable_execution.runtime.body_threads.BRIEF_SECONDS", 30)
        workers, may_end = Workers(), threading.Event()

        def body() -> bool:
            return may_end.wait(5)

        async def main() -> bool:
            workers.times.note(body.__code__, SHORT_SECONDS)
            running = workers.run(body, body.__code__, is_alone=True)
            may_end.set()
            return await running

        assert run(main)

    def test_a_body_that_ends_while_the_loop_stops_waiting_is_settled_once(self) -> None:
        """The worker has decided to settle already when the wait is over: the result is there at once."""

        async def main() -> int:
            job = Job(lambda: 1, None, asyncio.get_running_loop(), is_awaited=True)

            def ends(*, blocking: bool) -> bool:
                assert not blocking, "the worker never gives this lock back"
                job._result = 1
                job._ended.release()
                return False

            job._settler = cast("Any", SimpleNamespace(acquire=ends))
            job.wait(0)
            return int(job.future.result())

        assert run(main) == 1

    @pytest.mark.usefixtures("patient")
    def test_the_loop_waits_for_no_body_while_other_code_can_run(self) -> None:
        may_end = threading.Event()

        async def main() -> bool:
            running = Workers().run(lambda: may_end.wait(1))
            may_end.set()
            return await running

        assert run(main)


@pytest.mark.parametrize("is_blocking", [False, True])
def test_only_steps_in_a_row_are_waited_for(is_blocking: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    workers = shared_workers()
    run_in_thread = workers.run

    def observed(function: Any, code: Any = None, *, is_alone: bool = False) -> asyncio.Future[Any]:
        asked.append(is_alone)
        return run_in_thread(function, code, is_alone=is_alone)

    monkeypatch.setattr(workers, "run", observed)

    async def flow(_: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="alone")
        await asyncio.gather(ctx.step(lambda _: 2, name="left"), ctx.step(lambda _: 3, name="right"))

    def blocking_flow(_: Any, ctx: BlockingContext) -> None:
        ctx.step(lambda _: 1, name="alone")
        ctx.parallel([lambda branch: branch.step(lambda _: 2), lambda branch: branch.step(lambda _: 3)])

    chosen: Any = blocking_flow if is_blocking else flow
    assert invoke(durable_execution(chosen), FakeService())["Status"] == "SUCCEEDED"
    assert asked == [True, False, False]


def test_an_environment_has_one_pool() -> None:
    assert shared_workers() is shared_workers()


class TestBodyTimes:
    def test_three_quick_runs_make_a_body_short_and_a_slow_one_ends_that(self) -> None:
        times, code = BodyTimes(), run.__code__
        assert not times.is_short(None)
        for _ in range(RUNS_TO_TRUST):
            assert not times.is_short(code)
            times.note(code, SHORT_SECONDS / 2)
        assert times.is_short(code)
        times.note(code, SHORT_SECONDS * 2)
        assert not times.is_short(code)

    def test_it_forgets_rather_than_grow(self) -> None:
        times = BodyTimes()
        for number in range(MAX_KNOWN + 1):
            times.note(compile(str(number), f"f{number}", "eval"), 0)
        assert len(times._short_runs) == 1

    def test_threads_note_the_functions_whose_code_is_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "perf_counter", lambda: 5.0)
        workers = Workers()

        def body() -> int:
            return 1

        async def main() -> None:
            await workers.run(body)
            assert workers.times._short_runs == {}
            await workers.run(body, body.__code__)

        run(main)
        assert workers.times._short_runs == {body.__code__: 1}, "it took no time"


@pytest.mark.parametrize("is_async", [False, True])
def test_the_start_of_a_body_that_takes_long_is_sent_before_it(is_async: bool) -> None:
    """If the process dies in the body, or the body blocks the event loop, the history shows what was running."""
    sent_before: list[int] = []
    service = FakeService()

    def body(_: StepContext) -> None:
        sent_before.append(len(service.calls))

    async def async_body(step: StepContext) -> None:
        body(step)

    chosen: Any = async_body if is_async else body

    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> None:
        await ctx.step(chosen, name="work")

    invoke(flow, service)
    shared_workers().times.note(chosen.__code__, LONG_SECONDS)
    second = FakeService()
    service = second
    invoke(flow, second)
    assert sent_before == [0, 1]
    assert [update["Action"] for update in second.calls[0]] == ["START"]


def test_a_body_is_long_until_it_is_quick() -> None:
    times = BodyTimes()
    code = test_a_body_is_long_until_it_is_quick.__code__
    for seconds, is_long in ((0.001, False), (LONG_SECONDS, True), (0.1, False), (LONG_SECONDS, True), (0.0001, False)):
        times.note(code, seconds)
        assert times.is_long(code) is is_long
    assert not times.is_short(code)
    assert not times.is_long(None)


@pytest.mark.parametrize("yields", [False, True], ids=["blocks", "awaits"])
def test_an_async_body_that_blocks_the_event_loop_is_reported_once(
    yields: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it blocks, nothing else runs, and the starts of other steps are not sent."""
    monkeypatch.setattr("durable_execution.operations.step.LONG_SECONDS", 0)
    monkeypatch.setattr("durable_execution.runtime.body_threads.LONG_SECONDS", 0)

    async def blocking(_: StepContext) -> None:
        """Bodies are remembered by their code, so the two cases must not share it."""

    async def awaiting(_: StepContext) -> None:
        await asyncio.sleep(0)

    body = awaiting if yields else blocking

    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> None:
        await ctx.step(body, name="first")
        await ctx.step(body, name="second")

    invoke(flow, FakeService())
    found = [record.getMessage() for record in caplog.records if "blocked the event loop" in record.getMessage()]
    assert [text.partition(" blocked")[0] for text in found] == ([] if yields else ["the body of flow/first"])
    assert all("Write it as a plain `def`" in text for text in found)


def test_a_body_is_short_after_three_quick_runs_in_a_row() -> None:
    times = BodyTimes()
    code = test_a_body_is_short_after_three_quick_runs_in_a_row.__code__
    assert times.may_be_short(code), "it is not known"
    assert times.may_be_short(None)
    for seconds, is_short in (
        (0.0, False),
        (0.0, False),
        (SHORT_SECONDS, False),
        (0.0, False),
        (0.0, False),
        (0.0, True),
    ):
        times.note(code, seconds)
        assert times.is_short(code) is is_short
        assert times.may_be_short(code) is (seconds < SHORT_SECONDS)
    assert not times.is_short(None)
