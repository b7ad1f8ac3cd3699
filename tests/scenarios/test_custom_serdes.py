"""A serializer of one's own everywhere one may be given, composed, failing, and in passing trouble."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution import (
    CallbackConfig,
    ChildConfig,
    DurableContext,
    InvokeConfig,
    MapConfig,
    ParallelConfig,
    StepConfig,
    WaitForCallbackConfig,
    WaitForConditionConfig,
    poll_until,
)
from durable_execution.errors import InvocationError
from durable_execution.protocol import ExecutionStatus
from durable_execution.serdes import CompressedSerDes, DirectoryStore, OffloadedSerDes, SerDesContext
from tests.scenarios.bodies import gives
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)


class Marked:
    """Writes `mark:json`, and remembers what it was asked."""

    def __init__(self, mark: str = "mark") -> None:
        self.mark = mark
        self.contexts: list[SerDesContext] = []

    def serialize(self, value: Any, context: SerDesContext) -> str:
        self.contexts.append(context)
        return f"{self.mark}:{json.dumps(value)}"

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        self.contexts.append(context)
        mark, _, text = data.partition(":")
        assert mark == self.mark
        return {"read": json.loads(text)}


class Failing:
    """Cannot write, or cannot read."""

    def __init__(self, *, error: Exception, on: str) -> None:
        self.error = error
        self.on = on

    def serialize(self, value: Any, context: SerDesContext) -> str:
        if self.on == "write":
            raise self.error
        return json.dumps(value)

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        if self.on == "read":
            raise self.error
        return json.loads(data)


def payloads(scenario: Scenario, arn: str, event_type: str) -> list[str]:
    """Stored results of operations that ended with an event."""
    found = [event[f"{event_type}Details"] for event in scenario.history(arn) if event["EventType"] == event_type]
    return [details["Result"].get("Payload") for details in found]


def test_of_a_step(scenario: Scenario) -> None:
    serdes = Marked()

    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        value: Any = await ctx.step(gives("tea"), config=StepConfig(serdes=serdes))
        await ctx.wait(MINUTE)
        return value

    ended = scenario.run(workflow)
    assert ended.result == {"read": "tea"}
    assert payloads(scenario, ended.arn, "StepSucceeded") == ['mark:"tea"']
    assert {context.execution_arn for context in serdes.contexts} == {ended.arn}
    assert len({context.operation_id for context in serdes.contexts}) == 1


def test_of_a_child_context(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        async def child(_inner: DurableContext) -> Any:
            return "tea"

        value = await ctx.run_in_child_context(child, config=ChildConfig(serdes=Marked()))
        await ctx.wait(MINUTE)
        return value

    ended = scenario.run(workflow)
    assert ended.result == {"read": "tea"}
    assert payloads(scenario, ended.arn, "ContextSucceeded") == ['mark:"tea"']


def test_of_the_items_of_a_map(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        async def item(_inner: DurableContext, value: str, _index: int) -> Any:
            return value

        batch = await ctx.map(["tea", "pot"], item, config=MapConfig(item_serdes=Marked(), max_concurrency=1))
        await ctx.wait(MINUTE)
        return batch.get_results()

    ended = scenario.run(workflow)
    tea, pot, whole = payloads(scenario, ended.arn, "ContextSucceeded")
    assert (tea, pot) == ('mark:"tea"', 'mark:"pot"')
    assert "tea" not in whole  # what a serializer of items keeps secret is not written beside it
    assert ended.result == [{"read": "tea"}, {"read": "pot"}]


def test_of_the_branches_of_a_parallel(scenario: Scenario) -> None:
    class Wrapping:
        def serialize(self, value: Any, context: SerDesContext) -> str:
            return json.dumps({"wrapped": value})

        def deserialize(self, data: str, context: SerDesContext) -> Any:
            return json.loads(data)["wrapped"]

    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        async def branch(_inner: DurableContext) -> Any:
            return "tea"

        batch = await ctx.parallel([branch, branch], config=ParallelConfig(item_serdes=Wrapping()))
        await ctx.wait(MINUTE)
        return batch.get_results()

    ended = scenario.run(workflow)
    assert ended.result == ["tea", "tea"]
    assert payloads(scenario, ended.arn, "ContextSucceeded")[0] == '{"wrapped": "tea"}'


def test_of_the_state_of_a_condition(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        async def count(state: Any, _step: Any) -> Any:
            return state["read"] + 1

        config = WaitForConditionConfig(
            wait_strategy=poll_until(lambda state: state["read"] >= 3, initial_delay=timedelta(seconds=1)),
            initial_state=0,
            serdes=Marked(),
        )
        return await ctx.wait_for_condition(count, config=config)

    ended = scenario.run(workflow)
    assert ended.result == {"read": 3}
    assert payloads(scenario, ended.arn, "StepSucceeded") == ["mark:1", "mark:2", "mark:3"]


def test_of_the_answer_of_a_callback(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback("ask", config=CallbackConfig(serdes=Marked("answer")))
        value = await callback.result()
        await ctx.wait(MINUTE)
        return value

    arn = scenario.start(workflow)
    callback_id = scenario.engine.wait_for_callback_id(arn, "ask")
    scenario.engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b'answer:"yes"')
    assert scenario.ended(arn).result == {"read": "yes"}


def test_of_the_answer_of_a_wait_for_callback(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        config = WaitForCallbackConfig(serdes=Marked("answer"))
        value = await ctx.wait_for_callback(lambda _id, _step: None, "ask", config=config)
        await ctx.wait(MINUTE)
        return value

    arn = scenario.start(workflow)
    callback_id = scenario.engine.wait_for_callback_id(arn, "ask")
    scenario.engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b'answer:"yes"')
    assert scenario.ended(arn).result == {"read": "yes"}


def test_of_payload_and_result_of_an_invoke(scenario: Scenario) -> None:
    class Quoted:
        def serialize(self, value: Any, context: SerDesContext) -> str:
            return json.dumps({"sent": value})

        def deserialize(self, data: str, context: SerDesContext) -> Any:
            return {"got": json.loads(data)}

    scenario.engine.register("echo", lambda event, _context: event)

    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        return await ctx.invoke("echo", 7, config=InvokeConfig(payload_serdes=Quoted(), result_serdes=Quoted()))

    assert scenario.result(workflow) == {"got": {"sent": 7}}


@pytest.mark.parametrize("on", ["write", "read"])
def test_a_serializer_that_raises_fails_the_execution_and_names_the_operation(scenario: Scenario, on: str) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        serdes = Failing(error=ValueError("no codec"), on=on)
        await ctx.step(gives(1), "strange", config=StepConfig(serdes=serdes))

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    for part in ("workflow/strange", "Failing", "no codec"):
        assert part in (ended.error.message or "")


@pytest.mark.parametrize("on", ["write", "read"])
def test_a_serializer_in_passing_trouble_repeats_the_invocation(scenario: Scenario, on: str) -> None:
    serdes = Failing(error=InvocationError("the bucket does not answer"), on=on)
    bodies: list[int] = []

    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def body(step: Any) -> int:
            bodies.append(step.attempt)
            if len(bodies) == 3:
                serdes.on = "nothing"
            return 7

        return await ctx.step(body, config=StepConfig(serdes=serdes))

    assert scenario.result(workflow) == 7
    assert bodies == [1, 1, 1]


def test_a_serializer_that_does_not_write_text_is_refused(scenario: Scenario) -> None:
    class Bytes:
        def serialize(self, value: Any, context: SerDesContext) -> bytes:
            return b"1"

        def deserialize(self, data: str, context: SerDesContext) -> Any:
            return data

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        await ctx.step(gives(1), "strange", config=StepConfig(serdes=Bytes()))  # type: ignore[arg-type]

    ended = scenario.run(workflow)
    assert ended.error is not None
    assert "Bytes.serialize returned bytes; it must return str" in (ended.error.message or "")


def test_serializers_compose(scenario: Scenario, tmp_path: Path) -> None:
    serdes: Any = OffloadedSerDes(CompressedSerDes(None), store=DirectoryStore(tmp_path))

    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        value = await ctx.step(gives({"text": "x" * 1_000_000, "pair": (1, 2)}), config=StepConfig(serdes=serdes))
        await ctx.wait(MINUTE)
        return [len(value["text"]), value["pair"] == (1, 2)]

    ended = scenario.run(workflow)
    assert ended.result == [1_000_000, True]
    assert all(len(text) < 2_000 for text in payloads(scenario, ended.arn, "StepSucceeded"))
