"""Looking at an execution: by name, path and index, with a class for each kind of operation."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, MapConfig, NestingType, durable_execution
from durable_execution.errors import SerializationError
from durable_execution.protocol import OperationStatus, OperationType
from durable_execution.testing import (
    BatchView,
    CallbackView,
    ConditionView,
    ContextView,
    InvokeView,
    LocalRunner,
    OperationNotFoundError,
    RunResult,
    StepView,
    WaitView,
)
from tests.unit.testing.workflows import HOUR, echo, everything, fails, process_order


@pytest.fixture(scope="module")
def result() -> Iterator[RunResult]:
    with LocalRunner(everything, functions={"echo": echo}) as runner:
        execution = runner.start({})
        execution.succeed_callback("approval", {"by": "Grace"})
        yield execution.finish()


class TestLookup:
    def test_by_name(self, result: RunResult) -> None:
        assert type(result.step("flaky")) is StepView
        assert type(result.batch("prices")) is BatchView
        assert type(result.context("child")) is ContextView
        assert type(result.condition("poll")) is ConditionView
        assert type(result.invoke("ask")) is InvokeView
        assert type(result.operation("child")) is ContextView

    def test_by_path_from_here_or_from_the_handler(self, result: RunResult) -> None:
        for path in ("prices#1/look up", "everything/prices#1/look up"):
            assert result.step(path=path).result == 20
        assert result.context("prices").step(path="#1/look up").result == 20
        assert result.context(path="prices#0").step().path == "everything/prices#0/look up"

    def test_by_index_in_call_order(self, result: RunResult) -> None:
        found = [result.step("look up", index=index).path for index in range(3)]
        assert found == ["everything/prices#0/look up", "everything/prices#1/look up", "everything/child/look up"]
        assert result.step("look up", index=-1).path == "everything/child/look up"
        assert result.step(index=0).name == "flaky"

    def test_the_only_one_of_its_kind_needs_no_name(self, result: RunResult) -> None:
        assert result.invoke().name == "ask"
        assert result.batch().name == "prices"

    def test_the_callback_of_a_wait_for_callback_has_its_name(self, result: RunResult) -> None:
        assert type(result.callback("approval")) is CallbackView
        assert result.callback("approval") is result.callback()

    def test_a_context_searches_only_what_is_in_it(self, result: RunResult) -> None:
        assert result.context("child").step("look up").path == "everything/child/look up"
        with pytest.raises(OperationNotFoundError, match="everything/child has no step 'flaky'"):
            result.context("child").step("flaky")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"name": "nope"}, r"has no step 'nope'\. It has: everything/flaky, everything/prices#0/look up"),
            ({"path": "nope"}, "has no step at 'nope'"),
            ({"name": "look up"}, r"has 3 operations that match step 'look up': .*Pass path=, or index="),
            ({}, "operations that match step: everything/flaky"),
            ({"name": "look up", "index": 3}, "so index 3 does not exist"),
            ({"name": "look up", "path": "child"}, "has no step 'look up'"),
        ],
        ids=range(6),
    )
    def test_what_is_not_found_says_what_there_is(self, result: RunResult, options: dict[str, Any], said: str) -> None:
        with pytest.raises(OperationNotFoundError, match=said):
            result.step(**options)

    def test_a_kind_there_is_none_of(self, result: RunResult) -> None:
        with pytest.raises(LookupError, match=r"has no wait 'x'\. It has no wait at all"):
            result.wait("x")

    def test_the_tree(self, result: RunResult) -> None:
        assert [view.name for view in result.children] == ["flaky", "prices", "child", "poll", "ask", "approval"]
        assert [view.name for view in result.context("child").children] == ["look up"]
        assert len(result.operations) == 13
        assert result.step(path="child/look up").parent is result.context("child")
        assert result.step("flaky").parent is None
        assert [view.path for view in result.context("prices").operations][:2] == [
            "everything/prices#0",
            "everything/prices#0/look up",
        ]


class TestViews:
    def test_a_step_knows_its_attempts(self, result: RunResult) -> None:
        step = result.step("flaky")
        assert step.attempt_count == 3
        assert [attempt.outcome for attempt in step.attempts] == ["FAILED", "FAILED", "SUCCEEDED"]
        assert [str(attempt.error) for attempt in step.attempts[:2]] == [
            "ConnectionError: attempt 1",
            "ConnectionError: attempt 2",
        ]
        assert step.delays == [timedelta(seconds=2), timedelta(seconds=6)]
        assert (step.status, step.operation_type, step.subtype) == (
            OperationStatus.SUCCEEDED,
            OperationType.STEP,
            "Step",
        )
        assert step.started_at is not None
        assert step.ended_at == step.started_at + timedelta(seconds=8)

    def test_a_condition_knows_its_states(self, result: RunResult) -> None:
        assert result.condition("poll").states == [1, 2, 3]
        assert len(result.condition("poll").delays) == 2

    def test_a_batch_knows_its_branches(self, result: RunResult) -> None:
        batch = result.batch("prices")
        assert [branch.result for branch in batch.branches] == [10, 20]
        assert [branch.name for branch in batch.branches] == ["map-item-0", "map-item-1"]
        assert batch.completion_reason == "ALL_COMPLETED"
        assert batch.result.get_results() == [10, 20]

    def test_a_batch_that_was_too_large_to_keep_still_says_why_it_ended(self) -> None:
        @durable_execution
        async def large(payload: Any, ctx: DurableContext) -> None:
            async def body(child: DurableContext, item: int) -> str:
                return "x" * 150_000

            await ctx.map([1, 2], body, "texts")

        with LocalRunner(large) as runner:
            batch = runner.run({}).batch("texts")
        assert batch.completion_reason == "ALL_COMPLETED"
        assert batch.result["totalCount"] == 2

    def test_an_invoke_knows_what_it_called(self, result: RunResult) -> None:
        invoke = result.invoke("ask")
        assert (invoke.function_name, invoke.payload, invoke.result) == ("echo", {"polled": 3}, {"polled": 3})
        assert invoke.execution_arn is None
        assert invoke.tenant_id is None

    def test_a_callback_knows_its_timeouts(self, result: RunResult) -> None:
        callback = result.callback("approval")
        assert (callback.timeout, callback.heartbeat_timeout) == (24 * HOUR, 2 * HOUR)
        assert callback.callback_id
        assert callback.raw_result == '{"by": "Grace"}'
        assert callback.result == {"by": "Grace"}

    def test_a_wait_knows_its_length(self) -> None:
        with LocalRunner(process_order) as runner:
            wait = runner.run({"id": "7"}).wait("cooling_off")
        assert type(wait) is WaitView
        assert wait.duration == HOUR
        assert wait.scheduled_end_at == wait.ended_at

    def test_a_failed_operation_knows_why(self) -> None:
        with LocalRunner(fails) as runner:
            step = runner.run({}).step("charge")
        assert str(step.error) == "ValueError: no such card"
        assert step.result is None
        assert step.delays == []
        with pytest.raises(SerializationError, match="fails/charge has no result: its status is FAILED"):
            step.result_as(int)

    def test_flat_branches_have_no_contexts(self) -> None:
        @durable_execution
        async def flat(payload: Any, ctx: DurableContext) -> None:
            async def body(child: DurableContext, item: int) -> int:
                return await child.step(lambda step: item, "look up")

            await ctx.map([1, 2], body, "prices", config=MapConfig(nesting_type=NestingType.FLAT))

        with LocalRunner(flat) as runner:
            result = runner.run({})
        assert result.batch().branches == []
        assert result.step(path="prices#1/look up").result == 2

    def test_an_invoke_of_a_durable_function_knows_its_execution(self) -> None:
        @durable_execution
        async def parent(payload: Any, ctx: DurableContext) -> Any:
            return await ctx.invoke("process_order:$LATEST", {"id": "7"}, name="order")

        with LocalRunner(parent, functions={"process_order": process_order}) as runner:
            result = runner.run({})
        assert ":function:process_order:" in (result.invoke("order").execution_arn or "")


@dataclass
class Parcel:
    weight: float


def test_a_typed_result_is_read_as_a_dictionary_or_as_what_it_is() -> None:
    @durable_execution
    async def typed(payload: Any, ctx: DurableContext) -> None:
        def weigh(step: Any) -> Parcel:
            return Parcel(1.5)

        await ctx.step(weigh, "weigh")

    with LocalRunner(typed) as runner:
        step = runner.run({}).step("weigh")
    assert step.result == {"weight": 1.5}
    assert step.result_as(Parcel) == Parcel(1.5)
    with pytest.raises(SerializationError, match="is not a date"):
        step.result_as(date)


class TestReport:
    def test_it_shows_itself_as_an_outline(self, result: RunResult) -> None:
        lines = str(result).splitlines()
        assert lines[0].startswith("everything SUCCEEDED after ")
        assert "  flaky step SUCCEEDED (3 attempts) → 3" in lines
        assert "    prices#1 context SUCCEEDED → 20" in lines
        assert "      look up step SUCCEEDED → 20" in lines
        assert repr(result).startswith("<RunResult everything SUCCEEDED")

    def test_a_failure_is_in_the_outline(self) -> None:
        with LocalRunner(fails) as runner:
            result = runner.run({})
        assert result.describe().splitlines() == [
            "fails FAILED after 1 invocation: ValueError: no such card",
            "  charge step FAILED: ValueError: no such card",
        ]
        with pytest.raises(AssertionError, match=r"(?s)did not succeed.*no such card"):
            result.assert_succeeded()

    def test_a_long_outline_is_cut(self) -> None:
        @durable_execution
        async def long(payload: Any, ctx: DurableContext) -> None:
            for _ in range(250):
                await ctx.step(lambda step: "x" * 1000)

        with LocalRunner(long) as runner:
            lines = runner.run({}).describe().splitlines()
        assert lines[-1] == "  … and 50 more operations"
        assert all(len(line) < 120 for line in lines)

    def test_history_and_result(self, result: RunResult) -> None:
        assert result.event_types[0] == "ExecutionStarted"
        assert result.event_types[-1] == "ExecutionSucceeded"
        assert [event["EventId"] for event in result.history] == list(range(1, len(result.history) + 1))
        assert result.arn.startswith("arn:aws:lambda:")
        assert result.result[0] == 3
        assert result.path == "everything"
