"""The local runner: whole executions without waiting, moved step by step, with trouble on demand."""

import time as real_time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_execution import (
    DurableContext,
    DurableHandler,
    Observer,
    StepConfig,
    StepContext,
    StepSemantics,
    durable_execution,
)
from durable_execution.errors import ServiceError
from durable_execution.local import CountingIds
from durable_execution.observers import InvocationStarted
from durable_execution.protocol import ErrorObject, ExecutionStatus
from durable_execution.retry import RetryPresets
from durable_execution.testing import LocalRunner, RunnerError, faults, update_of
from tests.unit.testing.workflows import HOUR, asks, echo, everything, fails, process_order

Make = Callable[..., LocalRunner]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[LocalRunner] = []

    def make_one(handler: DurableHandler[Any], **options: Any) -> LocalRunner:
        made.append(LocalRunner(handler, **options))
        return made[-1]

    yield make_one
    for runner in made:
        runner.close()


class TestRun:
    def test_a_workflow_of_an_hour_runs_at_once(self, make: Make) -> None:
        began = real_time.monotonic()
        result = make(process_order).run({"id": "7"})
        assert result.status is ExecutionStatus.SUCCEEDED
        assert result.result == "shipped pay_7"
        assert result.error is None
        assert len(result.invocations) == 2
        assert real_time.monotonic() - began < 10

    def test_a_failed_execution_is_a_result_too(self, make: Make) -> None:
        result = make(fails).run({})
        assert result.status is ExecutionStatus.FAILED
        assert result.result is None
        assert result.error is not None
        assert (result.error.type, result.error.message) == ("ValueError", "no such card")

    def test_other_functions_can_be_invoked(self, make: Make) -> None:
        runner = make(everything, functions={"echo": echo})
        execution = runner.start({})
        execution.succeed_callback("approval", "yes")
        assert execution.finish().result == [3, [10, 20], 3, {"polled": 3}, "yes"]

    def test_functions_can_be_registered_later(self, make: Make) -> None:
        @durable_execution
        async def calls(payload: Any, ctx: DurableContext) -> Any:
            return [await ctx.invoke("echo", 1), await ctx.invoke("process_order:$LATEST", {"id": "7"})]

        runner = make(calls)
        runner.register("echo", echo)
        runner.register("process_order", process_order)
        assert runner.run().result == [1, "shipped pay_7"]

    def test_a_name_makes_an_execution_one_of_a_kind(self, make: Make) -> None:
        runner = make(process_order)
        first, second = runner.run({"id": "7"}, name="order-7"), runner.run({"id": "7"}, name="order-7")
        assert first.arn == second.arn

    def test_it_starts_when_it_is_told_to(self, make: Make) -> None:
        at = datetime(2025, 2, 28, 23, 30, tzinfo=UTC)
        runner = make(process_order, now=at)
        result = runner.run({"id": "7"})
        assert result.step("charge").started_at == at
        assert result.step("ship").started_at == at + HOUR
        assert runner.now() == at + HOUR

    def test_ids_can_be_the_same_every_time(self, make: Make) -> None:
        arns = {make(process_order, ids=CountingIds()).run({"id": "7"}).arn for _ in range(2)}
        assert len(arns) == 1

    def test_observers_are_told(self, make: Make) -> None:
        class Counting(Observer):
            count = 0

            def on_invocation_started(self, notification: InvocationStarted) -> None:
                self.count += 1

        counting = Counting()
        make(process_order, observers=[counting]).run({"id": "7"})
        assert counting.count == 2

    def test_what_is_no_durable_handler_is_refused(self) -> None:
        with pytest.raises(RunnerError, match="Decorate its function with @durable_execution"):
            LocalRunner(echo)

    def test_an_execution_that_waits_for_the_outside_says_so(self, make: Make) -> None:
        with pytest.raises(RunnerError, match=r"waits for asks/answer. Complete it with succeed_callback"):
            make(asks).run({})

    def test_a_handler_that_hangs_says_so(self, make: Make) -> None:
        import asyncio

        @durable_execution
        async def hangs(payload: Any, ctx: DurableContext) -> None:
            await ctx.step(lambda step: 1, "first")
            await asyncio.Event().wait()

        runner = make(hangs, timeout=timedelta(milliseconds=1))
        with pytest.raises(RunnerError, match=r"(?s)has been running for 0\.001 seconds of real time.*hangs RUNNING"):
            runner.run({})


class TestStepByStep:
    def test_nothing_runs_before_it_is_let(self, make: Make) -> None:
        execution = make(process_order).start({"id": "7"})
        assert execution.report().event_types == ["ExecutionStarted"]
        assert execution.status is ExecutionStatus.RUNNING

    def test_it_runs_until_it_waits(self, make: Make) -> None:
        execution = make(process_order).start({"id": "7"})
        report = execution.until_waiting()
        assert report.status is ExecutionStatus.RUNNING
        assert report.step("charge").result == {"payment": "pay_7"}
        assert report.wait("cooling_off").status == "STARTED"
        assert len(report.invocations) == 1
        assert execution.until_waiting().event_types == report.event_types

    def test_time_passes_as_far_as_it_is_let(self, make: Make) -> None:
        execution = make(process_order).start({"id": "7"})
        execution.until_waiting()
        assert execution.advance(HOUR - timedelta(seconds=1)).wait().status == "STARTED"
        report = execution.advance(timedelta(seconds=1))
        assert report.wait().status == "SUCCEEDED"
        assert report.status is ExecutionStatus.SUCCEEDED

    def test_what_becomes_due_on_the_way_runs_at_its_own_time(self, make: Make) -> None:
        runner = make(everything, functions={"echo": echo})
        execution = runner.start({})
        began = runner.now()
        report = execution.advance(HOUR)
        started = [attempt.started_at for attempt in report.step("flaky").attempts]
        assert started == [began, began + timedelta(seconds=2), began + timedelta(seconds=8)]
        assert runner.now() == began + HOUR

    def test_it_can_be_finished_from_anywhere(self, make: Make) -> None:
        execution = make(process_order).start({"id": "7"})
        execution.until_waiting()
        assert execution.finish().assert_succeeded() == "shipped pay_7"
        assert execution.finish().result == "shipped pay_7"

    def test_a_paused_execution_stands_still(self, make: Make) -> None:
        execution = make(process_order).start({"id": "7"})
        execution.until_waiting()
        execution.pause("maintenance")
        assert execution.status is ExecutionStatus.PAUSED
        with pytest.raises(RunnerError, match=r"It is paused. Call resume\(\)"):
            execution.finish()
        execution.resume("done")
        assert execution.finish().result == "shipped pay_7"

    def test_an_execution_can_be_stopped(self, make: Make) -> None:
        execution = make(process_order).start({"id": "7"})
        execution.until_waiting()
        report = execution.stop("not wanted any more")
        assert report.status is ExecutionStatus.STOPPED
        assert report.error == ErrorObject("not wanted any more", "Error")
        assert make(process_order).start({"id": "7"}).stop().status is ExecutionStatus.STOPPED

    def test_executions_of_one_runner_do_not_mix(self, make: Make) -> None:
        runner = make(asks)
        first, second = runner.start({}), runner.start({})
        first.succeed_callback(result="one")
        second.succeed_callback(result="two")
        assert (first.finish().result, second.finish().result) == (["one"], ["two"])
        assert runner.executions == [first, second]


class TestCallbacks:
    @pytest.mark.parametrize(
        ("sent", "received"),
        [("yes", "yes"), (b"raw", "raw"), (None, None), ({"a": 1}, '{"a": 1}'), (5, "5"), ('"quoted"', '"quoted"')],
    )
    def test_text_is_sent_as_it_is_and_anything_else_as_json(self, make: Make, sent: Any, received: Any) -> None:
        execution = make(asks).start({})
        execution.succeed_callback("answer", sent)
        assert execution.finish().result == [received]

    def test_a_failure_is_reported(self, make: Make) -> None:
        execution = make(asks).start({})
        execution.fail_callback(error="the bank said no")
        error = execution.finish().error
        assert error is not None
        assert error.message == "the bank said no"

    def test_a_failure_can_have_a_type(self, make: Make) -> None:
        execution = make(asks).start({})
        execution.fail_callback("answer", ErrorObject("no", "Declined", "data"))
        error = execution.finish().error
        assert error is not None
        assert (error.type, error.data) == ("Declined", "data")

    def test_a_timeout_comes_if_nobody_answers(self, make: Make) -> None:
        result = make(asks).run({"timeout": True})
        assert result.error is not None
        assert result.error.type == "Callback.Timeout"
        assert result.callback().status == "TIMED_OUT"

    def test_waiting_for_a_callback_does_not_skip_its_timeout(self, make: Make) -> None:
        execution = make(asks).start({"timeout": True})
        assert execution.callback_id("answer")
        execution.succeed_callback("answer", "in time")
        assert execution.finish().result == ["in time"]

    def test_heartbeats_keep_it_alive(self, make: Make) -> None:
        execution = make(everything, functions={"echo": echo}).start({})
        for _ in range(3):
            execution.heartbeat("approval")
            execution.advance(HOUR)
        execution.succeed_callback("approval", "late, but heard of")
        assert execution.finish().status is ExecutionStatus.SUCCEEDED

    def test_without_heartbeats_it_dies(self, make: Make) -> None:
        execution = make(everything, functions={"echo": echo}).start({})
        execution.heartbeat("approval")
        report = execution.advance(3 * HOUR)
        assert report.error is not None
        assert report.error.type == "Callback.Heartbeat"

    def test_a_callback_is_found_by_name(self, make: Make) -> None:
        execution = make(asks).start({"names": ["first", "second"]})
        execution.succeed_callback("second", "2")
        execution.succeed_callback("first", "1")
        assert execution.finish().result == ["1", "2"]

    def test_one_of_several_must_be_named(self, make: Make) -> None:
        execution = make(asks).start({"names": ["first", "second"]})
        with pytest.raises(RunnerError, match="waits for several callbacks: asks/first, asks/second"):
            execution.callback_id()

    def test_a_callback_that_never_comes_is_an_error(self, make: Make) -> None:
        execution = make(process_order).start({"id": "7"})
        with pytest.raises(RunnerError, match=r"(?s)does not wait for a callback named 'answer'.*SUCCEEDED"):
            execution.callback_id("answer")

    def test_completing_twice_is_refused_as_by_the_service(self, make: Make) -> None:
        execution = make(asks).start({})
        callback_id = execution.callback_id()
        execution.succeed_callback(result="once")
        with pytest.raises(ServiceError):
            execution._calls.succeed_callback(callback_id, "twice")


class TestTrouble:
    def test_a_crash_before_a_checkpoint_loses_it(self, make: Make) -> None:
        runs: list[int] = []
        runner = make(counting(runs))
        runner.crash(at=1)
        result = runner.run()
        assert result.result == 2
        assert runs == [1, 1]
        first, last = result.invocations
        assert first.error is not None
        assert first.error.type == "Runtime.ExitError"
        assert last.error is None

    def test_a_crash_after_it_does_not(self, make: Make) -> None:
        runs: list[int] = []
        runner = make(counting(runs))
        runner.crash(at=1, stored=True)
        result = runner.run()
        assert result.result == 1
        assert runs == [1]
        assert len(result.invocations) == 2

    def test_an_at_most_once_step_does_not_run_again(self, make: Make) -> None:
        config = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry_strategy=RetryPresets.none())
        runs: list[int] = []
        runner = make(counting(runs, config))
        runner.crash(when=update_of("count", action="SUCCEED"))
        result = runner.run()
        assert runs == [1]
        assert result.error is not None
        assert (result.error.type or "").endswith("StepInterruptedError")

    def test_a_checkpoint_is_chosen_by_what_it_holds(self, make: Make) -> None:
        runner = make(process_order)
        runner.crash(when=update_of("ship", action="SUCCEED"))
        result = runner.run({"id": "7"})
        assert result.result == "shipped pay_7"
        assert [invocation.outcome for invocation in result.invocations] == ["PENDING", "RETRY", "SUCCEEDED"]

    def test_checkpoints_are_counted_over_all_invocations(self, make: Make) -> None:
        runner = make(process_order)
        runner.crash(at=3)
        assert [found.outcome for found in runner.run({"id": "7"}).invocations] == ["PENDING", "RETRY", "SUCCEEDED"]

    def test_a_process_may_die_every_time(self, make: Make) -> None:
        runner = make(process_order)
        runner.crash(when=update_of("charge"), times=100)
        result = runner.run({"id": "7"})
        assert result.status is ExecutionStatus.FAILED
        assert result.error is not None
        assert result.error.type == "Runtime.ExitError"

    def test_a_throttled_checkpoint_retries_the_invocation(self, make: Make) -> None:
        runner = make(process_order)
        runner.fail_checkpoint(at=1)
        result = runner.run({"id": "7"})
        assert result.result == "shipped pay_7"
        error = result.invocations[0].error
        assert error is not None
        assert error.type == "durable_execution.errors.ServiceUnavailableError"

    def test_an_answer_that_is_lost_is_no_lost_update(self, make: Make) -> None:
        runs: list[int] = []
        runner = make(counting(runs))
        runner.fail_checkpoint(ServiceError("Timeout", "no answer"), at=1, stored=True)
        assert runner.run().result == 1
        assert runs == [1]

    def test_a_refused_checkpoint_fails_the_execution(self, make: Make) -> None:
        runner = make(process_order)
        runner.fail_checkpoint(
            ServiceError("InvalidParameterValueException", "no", status=400), when=update_of(type="WAIT")
        )
        result = runner.run({"id": "7"})
        assert result.error is not None
        assert result.error.type == "durable_execution.errors.CheckpointRejectedError"

    def test_what_a_dead_process_has_left_does_not_run_on(self, make: Make) -> None:
        import asyncio

        ticks: list[str] = []

        @durable_execution
        async def leaves(payload: Any, ctx: DurableContext) -> int:
            async def ticking() -> None:
                while True:
                    await asyncio.sleep(0)
                    ticks.append(name)

            name = f"invocation {len(ticks) and 2}"
            task = asyncio.ensure_future(ticking())
            result = await ctx.step(lambda step: 1)
            task.cancel()
            return result

        runner = make(leaves)
        runner.crash(at=1)
        assert runner.run().result == 1
        after = ticks.index("invocation 2") if "invocation 2" in ticks else len(ticks)
        assert set(ticks[after:]) <= {"invocation 2"}

    @pytest.mark.parametrize(
        ("options", "said"),
        [({}, "the fault has no checkpoint"), ({"at": 0}, "numbered from 1"), ({"at": -1}, "numbered from 1")],
    )
    def test_a_fault_without_a_place_is_refused(self, make: Make, options: dict[str, Any], said: str) -> None:
        runner = make(process_order)
        with pytest.raises(RunnerError, match=said):
            runner.crash(**options)
        with pytest.raises(RunnerError, match=said):
            runner.fail_checkpoint(**options)

    def test_a_fault_that_never_happened_is_an_error(self) -> None:
        with pytest.raises(
            AssertionError, match=r"never occurred: crash at checkpoint 9 \(the execution made 3 checkpoints\)"
        ):
            _run_with_a_crash_that_never_comes()

    def test_but_does_not_hide_another_error(self) -> None:
        with pytest.raises(ValueError, match="the test's own"):
            _run_with_a_crash_that_never_comes(ValueError("the test's own"))


def _run_with_a_crash_that_never_comes(error: Exception | None = None) -> None:
    with LocalRunner(process_order) as runner:
        runner.crash(at=9)
        runner.run({"id": "7"})
        if error is not None:
            raise error


def counting(runs: list[int], config: StepConfig | None = None) -> DurableHandler[Any]:
    @durable_execution
    async def handler(payload: Any, ctx: DurableContext) -> int:
        def count(step: StepContext) -> int:
            runs.append(1)
            return len(runs)

        return await ctx.step(count, "count", config=config)

    return handler


@pytest.mark.parametrize(
    ("rule", "updates", "expected"),
    [
        (update_of("charge"), [{"Name": "charge", "Action": "START"}], True),
        (update_of("charge"), [{"Name": "ship", "Action": "START"}], False),
        (update_of("charge", action="FAIL"), [{"Name": "charge", "Action": "START"}], False),
        (
            update_of("charge", action="FAIL"),
            [{"Name": "charge", "Action": "START"}, {"Name": "x", "Action": "FAIL"}],
            False,
        ),
        (update_of("charge", action="FAIL"), [{"Action": "START"}, {"Name": "charge", "Action": "FAIL"}], True),
        (update_of(type="WAIT"), [{"Type": "STEP"}, {"Type": "WAIT"}], True),
        (update_of(), [{"Type": "STEP"}], True),
        (update_of(), [], False),
    ],
    ids=range(8),
)
def test_update_of(rule: Any, updates: list[Any], expected: bool) -> None:
    assert rule(updates) is expected


def test_checkpoints_can_take_time(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def pause(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(faults, "pause", pause)
    assert make(process_order, checkpoint_delay=timedelta(milliseconds=20)).run({"id": "A"}).status == "SUCCEEDED"
    assert slept == [0.02] * 3
