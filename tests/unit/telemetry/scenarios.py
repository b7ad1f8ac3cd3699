"""Workflows whose spans are looked at, and how to run them on the local engine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from durable_execution.config import (
    CompletionConfig,
    MapConfig,
    NestingType,
    ParallelConfig,
    StepConfig,
    WaitForConditionConfig,
)
from durable_execution.context.durable_context import DurableContext
from durable_execution.handler import DurableHandler, durable_execution
from durable_execution.local import LocalEngine
from durable_execution.local.invocations import Assignment
from durable_execution.observers import Observer
from durable_execution.retry import RetryDecision, RetryPresets, poll_until
from durable_execution.telemetry.live import Delivery, LiveTracing
from durable_execution.telemetry.settings import Settings, TopSpans

SERVICE = "tests"
Workflow = Callable[[Any, DurableContext], Any]
Observe = Callable[[Assignment], Sequence[Observer]]

ONE_AT_A_TIME = CompletionConfig.all_completed()


def no_retry() -> StepConfig:
    return StepConfig(retry_strategy=RetryPresets.none())


def retry_in(seconds: int, attempts: int = 3) -> StepConfig:
    def decide(error: Exception, attempts_made: int) -> RetryDecision:
        return RetryDecision.retry(timedelta(seconds=seconds)) if attempts_made < attempts else RetryDecision.stop()

    return StepConfig(retry_strategy=decide)


def fail(message: str) -> Any:
    raise ValueError(message)


def flaky(step: Any) -> str:
    """Fails at its first attempt."""
    return "done" if step.attempt > 1 else fail("Intentional failure")


async def success(_payload: Any, ctx: DurableContext) -> Any:
    return await ctx.step(lambda _: "done", "otel-success")


async def wait(_payload: Any, ctx: DurableContext) -> Any:
    await ctx.wait(timedelta(seconds=2), "otel-wait")
    return await ctx.step(lambda _: "done", "otel-after-wait")


async def retry(_payload: Any, ctx: DurableContext) -> Any:
    return await ctx.step(flaky, "otel-retry", config=retry_in(1))


async def terminal_failure(_payload: Any, ctx: DurableContext) -> Any:
    return await ctx.step(lambda _: fail("Intentional failure"), "otel-failure", config=no_retry())


async def child_context(_payload: Any, ctx: DurableContext) -> Any:
    async def body(child: DurableContext) -> str:
        return await child.step(lambda _: "done", "otel-child-step")

    return await ctx.run_in_child_context(body, "otel-child-context")


async def child_failure(_payload: Any, ctx: DurableContext) -> Any:
    async def body(child: DurableContext) -> str:
        return await child.step(lambda _: fail("Intentional failure"), "otel-child-step", config=no_retry())

    return await ctx.run_in_child_context(body, "otel-failed-child-context")


async def parallel_failure(_payload: Any, ctx: DurableContext) -> Any:
    from durable_execution.operations.batch import ParallelBranch

    async def branch(_: DurableContext) -> None:
        fail("Intentional failure")

    branches = [ParallelBranch(branch, "otel-failed-parallel-branch")]
    config = ParallelConfig(max_concurrency=1, completion_config=ONE_AT_A_TIME)
    result = await ctx.parallel(branches, "otel-failed-parallel", config=config)
    result.throw_if_error()


async def map_hierarchy(_payload: Any, ctx: DurableContext) -> Any:
    async def item(child: DurableContext, value: int, index: int) -> int:
        return await child.step(lambda _: value, f"otel-map-step-{index}")

    config = MapConfig(max_concurrency=1, item_namer=lambda _, index: f"otel-map-iteration-{index}")
    return (await ctx.map([1, 2], item, "otel-map", config=config)).get_results()


async def flat_map(_payload: Any, ctx: DurableContext) -> Any:
    async def item(child: DurableContext, value: int, index: int) -> int:
        first = await child.step(lambda _: value, f"flat-step-{index}")
        await child.wait(timedelta(seconds=5), f"flat-wait-{index}")
        return first

    return (await ctx.map([1, 2], item, "flat-map", config=MapConfig(nesting_type=NestingType.FLAT))).get_results()


async def handled_failure(_payload: Any, ctx: DurableContext) -> Any:
    try:
        await ctx.step(lambda _: fail("Intentional failure"), "otel-handled", config=no_retry())
    except ValueError:
        return await ctx.step(lambda _: "recovered", "otel-recovery")


async def wait_for_condition(_payload: Any, ctx: DurableContext) -> Any:
    config = WaitForConditionConfig(
        wait_strategy=poll_until(lambda state: state >= 2, initial_delay=timedelta(seconds=1)), initial_state=0
    )
    return await ctx.wait_for_condition(lambda state, _: state + 1, "otel-condition", config=config)


async def callback(payload: Any, ctx: DurableContext) -> Any:
    return await ctx.wait_for_callback(lambda _id, _step: None, payload["callback"])


async def chained_invoke(_payload: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("target", {"scenario": "target"}, name="otel-invoke")


async def chained_failure(_payload: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("target", {"scenario": "execution-failure"}, name="otel-failed-invoke")


async def target(_payload: Any, _ctx: DurableContext) -> Any:
    return "done"


async def wait_interrupted(_payload: Any, ctx: DurableContext) -> Any:
    await ctx.wait(timedelta(hours=1), "otel-interrupted-wait")


async def execution_failure(_payload: Any, _ctx: DurableContext) -> Any:
    fail("Intentional failure")


async def long_wait(payload: Any, ctx: DurableContext) -> Any:
    await ctx.wait(timedelta(seconds=int(payload.get("delay_seconds", 86_400))), "otel-long-wait")
    return await ctx.step(lambda _: "done", "otel-after-long-wait")


async def everything(_payload: Any, ctx: DurableContext) -> Any:
    """A bit of all, over several invocations."""

    async def branch(child: DurableContext, value: int, index: int) -> int:
        await child.step(flaky, f"branch-{index}", config=retry_in(index + 1))
        await child.wait(timedelta(seconds=30 * (index + 1)), "pause")
        return value

    await ctx.step(lambda _: 1, "first")
    results = await ctx.map([1, 2, 3], branch, "items", config=MapConfig(max_concurrency=2))
    await ctx.wait(timedelta(hours=2))
    await ctx.invoke("target", {"scenario": "target"}, name="call")
    return results.get_results()


SCENARIOS: dict[str, Workflow] = {
    "success": success,
    "wait": wait,
    "retry": retry,
    "terminal-failure": terminal_failure,
    "child-context": child_context,
    "child-failure": child_failure,
    "parallel-failure": parallel_failure,
    "map-hierarchy": map_hierarchy,
    "flat-map": flat_map,
    "handled-failure": handled_failure,
    "wait-for-condition": wait_for_condition,
    "wait-for-callback-failure": callback,
    "long-callback": callback,
    "chained-invoke": chained_invoke,
    "chained-failure": chained_failure,
    "target": target,
    "wait-interrupted": wait_interrupted,
    "execution-failure": execution_failure,
    "long-wait": long_wait,
    "everything": everything,
}
CALLBACK_NAMES = {"wait-for-callback-failure": "otel-failed-callback", "long-callback": "otel-long-callback"}


async def run_scenario(payload: dict[str, Any], ctx: DurableContext) -> Any:
    """The workflow that a payload asks for."""
    return await SCENARIOS[payload["scenario"]](payload, ctx)


@dataclass
class Run:
    """An execution that has been run.

    Attributes:
        arn: Its ARN.
        status: How it ended.
        engine: The engine it ran on, still open.
    """

    arn: str
    status: str
    engine: LocalEngine

    def history(self, arn: str | None = None) -> list[dict[str, Any]]:
        answer = self.engine.client.get_durable_execution_history(
            DurableExecutionArn=arn or self.arn, IncludeExecutionData=True, MaxItems=1000
        )
        return list(answer["Events"])


@dataclass
class Tracing:
    """Observers that trace every invocation of an engine with a provider of their own."""

    provider: TracerProvider
    view: str
    further: Sequence[Callable[[Assignment], Observer]] = ()
    assignments: list[Assignment] = field(default_factory=list)
    top: TopSpans = Settings().top

    def __call__(self, assignment: Assignment) -> Sequence[Observer]:
        self.assignments.append(assignment)
        tracing = LiveTracing(self.provider, view=self.view, top=self.top)
        further = [make(assignment) for make in self.further]
        return (tracing, *further, Delivery(tracing, None, [self.provider], 5.0))


_sending: list[tuple[SpanExporter, BatchSpanProcessor]] = []


def provider_for(exporter: SpanExporter, *, queue_size: int | None = None, **options: Any) -> TracerProvider:
    """A provider that sends in batches, like the one `configure()` makes."""
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}), shutdown_on_exit=False, **options)
    processor = BatchSpanProcessor(exporter, max_queue_size=queue_size, schedule_delay_millis=60_000)
    provider.add_span_processor(processor)
    _sending.append((exporter, processor))
    return provider


def stop_sending() -> None:
    """End what `provider_for` has begun: a thread that goes on trying would disturb the tests that follow."""
    while _sending:
        exporter, processor = _sending.pop()
        exporter.shutdown()  # first, so that the processor does not wait for what nobody receives
        processor.shutdown()  # type: ignore[no-untyped-call]  # untyped where it is from


class ObservedEngine(LocalEngine):
    """An engine that asks who listens to each invocation."""

    def __init__(self, observe: Observe, **options: Any) -> None:
        super().__init__(None, **options)
        self._observe = observe

    def observers_for(self, assignment: Assignment) -> Sequence[Observer]:
        return self._observe(assignment)


@contextmanager
def engine_with(observe: Observe, workflow: Workflow = run_scenario, **options: Any) -> Iterator[LocalEngine]:
    """An engine whose waits take no time, with the workflow as `main` and as `target`."""
    with ObservedEngine(observe, **{"time": "skip", **options}) as engine:
        handler: DurableHandler[Any] = durable_execution(workflow)
        engine.register("main", handler)
        engine.register("target", handler)
        yield engine


def run(
    engine: LocalEngine,
    payload: dict[str, Any],
    *,
    timeout: timedelta | None = None,
    callbacks: Sequence[dict[str, Any]] = (),
) -> Run:
    """Run to the end, answering callbacks on the way."""
    arn = engine.start("main", payload, timeout=timeout)
    for action in callbacks:
        name = CALLBACK_NAMES[payload["scenario"]]
        identity = engine.wait_for_callback_id(arn, name)
        if action["Operation"] == "success":
            engine.client.send_durable_execution_callback_success(
                CallbackId=identity, Result=action["Payload"].encode()
            )
        else:
            engine.client.send_durable_execution_callback_failure(CallbackId=identity, Error=action["Payload"])
    result = engine.wait(arn)
    return Run(arn, result.status.value, engine)
