"""Workflows written for AWS's SDK for Python: at least one for every operation it has."""

import os
from typing import Any

import aws_durable_execution_sdk_python as aws
from aws_durable_execution_sdk_python.config import (
    CallbackConfig,
    ChildConfig,
    CompletionConfig,
    Duration,
    InvokeConfig,
    JitterStrategy,
    MapConfig,
    NestingType,
    ParallelConfig,
    StepConfig,
    StepSemantics,
    WaitForCallbackConfig,
)
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy
from aws_durable_execution_sdk_python.waits import WaitForConditionConfig, WaitForConditionDecision


def attempts(count: int, seconds: int = 1) -> Any:
    """Retry so often, always after the same pause."""
    config = RetryStrategyConfig(
        max_attempts=count,
        initial_delay=Duration.from_seconds(seconds),
        backoff_rate=1,
        jitter_strategy=JitterStrategy.NONE,
    )
    return create_retry_strategy(config)


def a_step(event: Any, ctx: Any) -> Any:
    return ctx.step(lambda _: {"hello": event["who"]}, name="greet")


def a_step_that_is_retried(event: Any, ctx: Any) -> Any:
    def body(step: Any) -> int:
        if step.attempt < 3:
            raise ValueError("not yet")
        return int(step.attempt)

    return ctx.step(body, name="flaky", config=StepConfig(retry_strategy=attempts(5, 7)))


def a_step_that_fails(event: Any, ctx: Any) -> Any:
    def body(_: Any) -> None:
        raise ValueError("never")

    return ctx.step(body, name="broken", config=StepConfig(retry_strategy=attempts(1)))


def a_caught_failure(event: Any, ctx: Any) -> Any:
    try:
        a_step_that_fails(event, ctx)
    except aws.StepError as failure:
        kind = failure.error_type
        return ctx.step(lambda _: f"caught {kind}", name="recover")


def an_at_most_once_step_that_crashes(event: Any, ctx: Any) -> Any:
    def body(_: Any) -> None:
        if "in_process" in event:
            raise SystemExit(1)
        os._exit(1)

    config = StepConfig(retry_strategy=attempts(1), step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
    return ctx.step(body, name="once", config=config)


def two_waits(event: Any, ctx: Any) -> Any:
    ctx.wait(Duration.from_seconds(2), name="first")
    ctx.wait(Duration.from_seconds(2), name="second")
    return "rested"


def nested_contexts(event: Any, ctx: Any) -> Any:
    def inner(child: Any) -> int:
        child.wait(Duration.from_seconds(1))
        return int(child.step(lambda _: 2, name="two"))

    def outer(child: Any) -> int:
        one = child.step(lambda _: 1, name="one")
        return int(one + child.run_in_child_context(inner, name="inner"))

    return ctx.run_in_child_context(outer, name="outer")


def a_large_context(event: Any, ctx: Any) -> Any:
    def body(child: Any) -> str:
        return str(child.step(lambda _: "x", name="seed")) * 300_000

    large = ctx.run_in_child_context(body, name="large", config=ChildConfig())
    ctx.wait(Duration.from_seconds(1))
    return len(large)


def a_callback(event: Any, ctx: Any) -> Any:
    callback = ctx.create_callback(name="approval", config=CallbackConfig(timeout=Duration.from_seconds(30)))
    ctx.step(lambda _: "asked", name="ask")
    return callback.result()


def a_wait_for_callback(event: Any, ctx: Any) -> Any:
    config = WaitForCallbackConfig(heartbeat_timeout=Duration.from_seconds(30))
    return ctx.wait_for_callback(lambda callback_id, _: None, name="approval", config=config)


def an_invoke(event: Any, ctx: Any) -> Any:
    return ctx.invoke("target", {"n": event["n"]}, name="call", config=InvokeConfig(tenant_id="acme"))


def target(event: Any, ctx: Any) -> Any:
    if event["n"] < 0:
        raise ValueError("negative")
    ctx.wait(Duration.from_seconds(1))
    return event["n"] * 2


def a_condition(event: Any, ctx: Any) -> Any:
    def decide(state: int, _: int) -> WaitForConditionDecision:
        if state < 3:
            return WaitForConditionDecision.continue_waiting(Duration.from_seconds(2))
        return WaitForConditionDecision.stop_polling()

    config: WaitForConditionConfig[int] = WaitForConditionConfig(wait_strategy=decide, initial_state=0)
    return ctx.wait_for_condition(lambda state, _: state + 1, config=config, name="poll")


def a_map(event: Any, ctx: Any) -> Any:
    def item(child: Any, value: int, index: int, _: Any) -> int:
        return int(child.step(lambda _: value * 10 + index, name="times"))

    return ctx.map([1, 2, 3], item, name="tens", config=MapConfig(max_concurrency=1)).get_results()


def a_flat_map(event: Any, ctx: Any) -> Any:
    def item(child: Any, value: int, index: int, _: Any) -> int:
        return int(child.step(lambda _: value + index, name="add"))

    config: MapConfig[Any] = MapConfig(max_concurrency=1, nesting_type=NestingType.FLAT)
    return ctx.map([1, 2], item, name="flat", config=config).get_results()


def a_parallel(event: Any, ctx: Any) -> Any:
    def waits(child: Any) -> str:
        child.wait(Duration.from_seconds(1), name="nap")
        return "slow"

    def works(child: Any) -> str:
        return str(child.step(lambda _: "quick", name="work"))

    config = ParallelConfig(max_concurrency=1)
    return ctx.parallel([works, waits], name="both", config=config).get_results()


def a_tolerated_failure(event: Any, ctx: Any) -> Any:
    def fails(child: Any) -> None:
        raise ValueError("no")

    config = ParallelConfig(max_concurrency=1, completion_config=CompletionConfig(tolerated_failure_count=1))
    batch = ctx.parallel([fails, lambda child: 2], name="tolerant", config=config)
    return [batch.success_count, batch.failure_count, batch.completion_reason.value]


def a_large_result(event: Any, ctx: Any) -> Any:
    return "x" * 6_291_420


def many_operations(event: Any, ctx: Any) -> Any:
    for number in range(event["n"]):
        ctx.step(lambda _, n=number: n)
    return event["n"]


WORKFLOWS = (
    a_step,
    a_step_that_is_retried,
    a_step_that_fails,
    a_caught_failure,
    an_at_most_once_step_that_crashes,
    two_waits,
    nested_contexts,
    a_large_context,
    a_callback,
    a_wait_for_callback,
    an_invoke,
    target,
    a_condition,
    a_map,
    a_flat_map,
    a_parallel,
    a_tolerated_failure,
    a_large_result,
    many_operations,
)


def handler_of(name: str, client: Any = None) -> Any:
    """A workflow as a Lambda handler."""
    (function,) = (workflow for workflow in WORKFLOWS if workflow.__name__ == name)
    return aws.durable_execution(function, boto3_client=client)
