"""What users do by mistake, and what they are told."""

import asyncio
import functools
import inspect
import os
import re
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    BlockingContext,
    DurableContext,
    MapConfig,
    RetryPresets,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
)
from durable_execution.errors import ConfigurationError, ExecutionError, NestedOperationError, NotDurableError
from durable_execution.local import run
from durable_execution.protocol import ExecutionStatus
from durable_execution.serdes.error_texts import CONFIGURATIONS
from tests.scenarios.bodies import gives
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)


def text_of(scenario: Scenario, workflow: Any) -> str:
    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    return ended.error.message or ""


def test_a_plain_event_is_not_a_durable_invocation() -> None:
    @durable_execution
    async def handler(_event: Any, _ctx: DurableContext) -> None:
        """Never runs."""

    with pytest.raises(NotDurableError, match="set DurableConfig") as caught:
        handler({"order_id": "7"}, None)
    assert "order_id" in str(caught.value)


@pytest.mark.parametrize("kind", ["step", "wait", "child", "callback", "invoke", "map", "now"])
def test_an_operation_inside_a_step_is_refused(scenario: Scenario, kind: str) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def nested(_step: StepContext) -> Any:
            calls: dict[str, Callable[[], Any]] = {
                "step": lambda: ctx.step(gives(1), "inner"),
                "wait": lambda: ctx.wait(MINUTE, "inner"),
                "child": lambda: ctx.run_in_child_context(anything, "inner"),
                "callback": lambda: ctx.create_callback("inner"),
                "invoke": lambda: ctx.invoke("function", name="inner"),
                "map": lambda: ctx.map([1], anything, "inner"),
                "now": lambda: ctx.now("inner"),
            }
            return await calls[kind]()

        async def anything(*_ignored: Any) -> None:
            """Never runs."""

        await ctx.step(nested, "outer", config=StepConfig(retry_strategy=RetryPresets.linear()))

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.type == "durable_execution.errors.NestedOperationError"
    assert "was called inside a step" in (ended.error.message or "")
    assert scenario.invocations(ended.arn) == 1


def test_an_operation_in_a_synchronous_step_is_refused_as_well(blocking_scenario: Scenario) -> None:
    seen: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        def nested(_step: StepContext) -> None:
            try:
                ctx.step(gives(1))  # type: ignore[unused-coroutine]
            except NestedOperationError as error:
                seen.append(str(error))
                raise

        await ctx.step(nested)

    assert "was called inside a step" in text_of(blocking_scenario, workflow)
    assert len(seen) == 1


@pytest.mark.parametrize("swallow", [Exception, BaseException], ids=lambda kind: kind.__name__)
def test_a_suspension_that_is_swallowed_suspends_all_the_same(
    scenario: Scenario, swallow: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        for _ in range(3):
            try:
                await ctx.wait(MINUTE, "wait")
                break
            except swallow:
                bodies.append("swallowed")
        await ctx.step(lambda _: bodies.append("after the wait"))
        return "done"

    ended = scenario.run(workflow)
    assert ended.result == "done"
    assert [body for body in bodies if body != "swallowed"] == ["after the wait"]
    assert scenario.invocations(ended.arn) == 2
    if swallow is Exception:
        assert bodies == ["after the wait"]
        assert "swallowed" not in caplog.text


def test_a_finally_that_cleans_up_runs_and_calls_nothing_durable(scenario: Scenario) -> None:
    seen: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait(MINUTE)
        finally:
            seen.append("cleaned up")
        return "done"

    assert scenario.result(workflow) == "done"
    assert seen == ["cleaned up", "cleaned up"]


def test_durable_work_in_a_finally_is_done_once(scenario: Scenario) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait(MINUTE)
        finally:
            await ctx.step(lambda _: bodies.append("released"), "release")
        return "done"

    assert scenario.result(workflow) == "done"
    assert bodies == ["released"]


@pytest.mark.parametrize("name", ["", "x" * 257, "grüße", "new\nline"])
def test_a_name_the_service_does_not_take_is_refused(scenario: Scenario, name: str) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        await ctx.step(gives(1), name)

    assert "must be 1 to 256 printable ASCII characters" in text_of(scenario, workflow)


def test_an_operation_that_is_never_awaited_is_python_s_to_warn_of(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        ctx.step(gives(1), "forgotten").close()
        return await ctx.step(gives("done"))

    ended = async_scenario.run(workflow)
    assert ended.result == "done"
    assert async_scenario.happened(ended.arn).count("StepStarted forgotten") == 0


@pytest.mark.parametrize("function", [lambda: None, lambda _event: None], ids=["no parameter", "one parameter"])
def test_a_function_that_cannot_be_a_handler_is_refused(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="a durable handler takes the payload and the context"):
        durable_execution(function)


def test_a_payload_that_is_not_json_fails_with_a_reason(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, _ctx: DurableContext) -> None:
        """Never runs."""

    subject = async_scenario.subject(workflow)
    started = {
        "DurableExecutionArn": "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/n/i",
        "CheckpointToken": "dG9rZW4=",
        "InitialExecutionState": {
            "Operations": [
                {"Id": "e", "Type": "EXECUTION", "Status": "STARTED", "ExecutionDetails": {"InputPayload": "{not json"}}
            ]
        },
    }
    answer = subject.invoke(started, None, client=None)  # type: ignore[arg-type]
    assert answer["Status"] == "FAILED"
    assert "payload of the execution is not JSON" in answer["Error"]["ErrorMessage"]


def test_a_handler_that_cancels_itself_fails_with_a_reason(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("why not")
        await ctx.wait(MINUTE)

    assert "cancelled by its own code" in text_of(async_scenario, workflow)


def test_a_result_that_cannot_be_written_is_refused(scenario: Scenario) -> None:
    async def workflow(_event: Any, _ctx: DurableContext) -> Any:
        return {"lock": object()}

    assert "the result of" in text_of(scenario, workflow)
    assert "cannot be written" in text_of(scenario, workflow)


def test_partial_functions_and_callable_objects_are_bodies(scenario: Scenario) -> None:
    class Body:
        async def __call__(self, _step: StepContext) -> str:
            return "object"

    def add(left: int, right: int, _step: StepContext) -> int:
        return left + right

    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        return [await ctx.step(Body()), await ctx.step(functools.partial(add, 1, 2))]

    assert scenario.result(workflow) == ["object", 3]


def test_a_map_over_something_without_a_length_is_listed_first(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[int]:
        async def item(_inner: DurableContext, number: int, _index: int) -> int:
            return number

        batch: Any = await ctx.map((number for number in range(3)), item, config=MapConfig())  # type: ignore[call-overload]
        found: list[int] = batch.get_results()
        return found

    assert scenario.result(workflow) == [0, 1, 2]


def test_a_coroutine_from_a_plain_body_is_awaited(scenario: Scenario) -> None:
    async def work(_step: StepContext) -> str:
        return "awaited"

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        return await ctx.step(lambda step: work(step))  # noqa: PLW0108  # the lambda is what is tried

    assert scenario.result(workflow) == "awaited"


def test_an_unknown_function_on_the_engine_is_named(scenario: Scenario) -> None:
    from durable_execution.errors import EngineError

    scenario.engine.register("known", lambda event, _context: event)
    with pytest.raises(EngineError, match=r"no function named 'unknown'.*registered: known"):
        scenario.engine.start("unknown")


class TestContextElsewhere:
    """A context belongs to its invocation: to its time, its thread, its event loop and its process."""

    @pytest.mark.parametrize("kind", ["step", "wait", "child", "callback", "invoke", "map", "now", "patched"])
    def test_after_the_handler_has_ended(self, kind: str) -> None:
        kept: list[DurableContext] = []

        @durable_execution
        async def keeping(_event: Any, ctx: DurableContext) -> None:
            kept.append(ctx)

        async def never(*_ignored: Any) -> None:
            """Never runs."""

        async def again() -> None:
            ctx = kept[0]
            calls: dict[str, Callable[[], Any]] = {
                "step": lambda: ctx.step(gives(1), "late"),
                "wait": lambda: ctx.wait(MINUTE, "late"),
                "child": lambda: ctx.run_in_child_context(never, "late"),
                "callback": lambda: ctx.create_callback("late"),
                "invoke": lambda: ctx.invoke("function", name="late"),
                "map": lambda: ctx.map([1], never, "late"),
                "now": lambda: ctx.now("late"),
                "patched": lambda: ctx.patched("late"),
            }
            await calls[kind]()

        run(keeping, {})
        with pytest.raises(ExecutionError, match="an invocation that has ended"):
            asyncio.run(again())

    def test_in_the_next_invocation_of_a_warm_environment(self) -> None:
        kept: list[DurableContext] = []

        @durable_execution
        async def keeping(_event: Any, ctx: DurableContext) -> Any:
            kept.append(ctx)
            return await kept[0].step(gives(1), "mine")

        assert run(keeping, {}).result == 1
        second = run(keeping, {})
        assert second.status is ExecutionStatus.FAILED
        assert second.error is not None
        assert "step 'mine' was called on the context of an invocation that has ended" in (second.error.message or "")

    def test_a_call_that_was_kept_is_refused_when_it_is_awaited(self) -> None:
        kept: list[Any] = []

        @durable_execution
        async def keeping(_event: Any, ctx: DurableContext) -> None:
            kept.append(ctx.step(gives(1), "kept"))

        run(keeping, {})
        with pytest.raises(ExecutionError, match="kept was called on the context of an invocation that has ended"):
            asyncio.run(kept[0])

    def test_a_body_that_outlives_its_invocation(self) -> None:
        """A thread that a step's body has started goes on after the handler, and calls an operation."""
        kept: list[BlockingContext] = []
        raised: list[BaseException] = []
        may_go_on = threading.Event()

        def late() -> None:
            may_go_on.wait(10)
            try:
                kept[0].step(gives(1), "late")
            except BaseException as error:  # noqa: BLE001  # whatever it is
                raised.append(error)

        threads = [threading.Thread(target=late)]

        @durable_execution
        def keeping(_event: Any, ctx: BlockingContext) -> None:
            kept.append(ctx)
            ctx.step(lambda _step: threads[0].start(), "start")

        run(keeping, {})
        may_go_on.set()
        threads[0].join(10)
        assert [type(error) for error in raised] == [ExecutionError]

    @pytest.mark.parametrize("place", ["called", "awaited"])
    def test_in_another_thread_and_event_loop(self, place: str) -> None:
        @durable_execution
        async def threaded(_event: Any, ctx: DurableContext) -> str:
            early = ctx.step(gives(1), "elsewhere") if place == "awaited" else None

            async def call() -> Any:
                return await (early if early is not None else ctx.step(gives(1), "elsewhere"))

            with pytest.raises(ExecutionError) as raised:
                await asyncio.to_thread(lambda: asyncio.run(call()))
            return str(raised.value)

        said = run(threaded, {}).result
        assert "elsewhere" in said
        assert "does not run the handler" in said
        assert "asyncio.gather or ctx.parallel" in said

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    @pytest.mark.parametrize("style", ["def", "async def"])
    def test_in_a_fork_of_the_process(self, style: str) -> None:
        read, write = os.pipe()

        def fork(call: Callable[[], Any]) -> None:
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)  # a hang ends the fork, and the test fails
                try:
                    call()
                except BaseException as error:  # noqa: BLE001  # whatever it is
                    os.write(write, f"{type(error).__name__}: {error}".encode())
                os._exit(0)
            os.waitpid(pid, 0)

        @durable_execution
        async def coroutine(_event: Any, ctx: DurableContext) -> None:
            fork(lambda: ctx.step(gives(1), "forked"))
            await ctx.step(gives(1), "parent")

        @durable_execution
        def plain(_event: Any, ctx: BlockingContext) -> None:
            fork(lambda: ctx.step(gives(1), "forked"))
            ctx.step(gives(1), "parent")

        assert run(plain if style == "def" else coroutine, {}).status is ExecutionStatus.SUCCEEDED
        os.close(write)
        said = os.read(read, 4096).decode()
        os.close(read)
        assert said.startswith("ExecutionError: ")
        assert "in a fork of the process that runs the handler" in said


async def charged(_step: StepContext, order: Any) -> int:
    return 1


charge = durable_step(charged)
CHARGE: Any = charge  # the wrong uses below are errors of types as well
MISTAKES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a step among branches": (lambda ctx: ctx.parallel([CHARGE(1)]), "write `lambda ctx: ctx.step(charged(...))`"),
    "a step for a map": (lambda ctx: ctx.map([1], CHARGE), "write `lambda ctx, item, index: ctx.step(charged(...))`"),
    "a step as a context": (
        lambda ctx: ctx.run_in_child_context(CHARGE(1)),
        "write `lambda ctx: ctx.step(charged(...))`",
    ),
    "branches without a list": (lambda ctx: ctx.parallel(charged, charged), "write ctx.parallel([first, second])"),
    "no branches at all": (lambda ctx: ctx.parallel(None), "ctx.parallel takes a sequence"),
    "a called function": (lambda ctx: ctx.step(5), "Pass the function itself, without calling it"),
    "an option of the operation": (lambda ctx: ctx.step(CHARGE(1), retries=3), "write config=StepConfig(...)"),
    "the payload before the name": (lambda ctx: ctx.invoke({}, "other"), "write ctx.invoke(name, payload)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_call_is_answered_with_the_right_one(scenario: Scenario, mistake: str) -> None:
    call, words = MISTAKES[mistake]

    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        return await call(ctx)

    assert words in text_of(scenario, workflow)


def test_a_callback_that_is_awaited_says_how(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        callback: Any = await ctx.create_callback("approval")
        return await callback

    assert "write `await callback.result()`" in text_of(async_scenario, workflow)


def test_a_call_inside_the_result_says_that_it_has_not_run(async_scenario: Scenario) -> None:
    async def workflow(event: Any, ctx: DurableContext) -> Any:
        return {"payments": [ctx.step(CHARGE(event))]}

    assert "write `await ctx.step(...)`" in text_of(async_scenario, workflow)


def test_every_operation_with_a_configuration_is_known_to_the_advice() -> None:
    found = {
        name: re.search(r"\w+Config", str(inspect.signature(method).parameters["config"].annotation))
        for name, method in vars(DurableContext).items()
        if inspect.isfunction(method) and "config" in inspect.signature(method).parameters
    }
    assert {name: match[0] for name, match in found.items() if match} == CONFIGURATIONS


async def typed_context_first(context: DurableContext, event: Any) -> None:
    """By type."""


def test_a_handler_that_takes_the_context_first_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"write `async def typed_context_first\(event, context\)`"):
        durable_execution(typed_context_first)
    with pytest.raises(ConfigurationError, match="payload first"):
        exec("from durable_execution import durable_execution\n@durable_execution\nasync def h(ctx, event): ...")


def test_a_value_that_is_awaited_says_so(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        value: Any = ctx.uuid()
        return await value

    assert text_of(async_scenario, workflow).endswith("leave out `await`")
