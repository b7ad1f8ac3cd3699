"""The same workflow with AWS's SDK and plugin, and with ours, on the same engine: the spans are the same.

Ids, names, parents, links, statuses and AWS's own attributes are compared. Left out is what is random with AWS's plugin
(ids of attempts, invocations and later segments), how often it exports the root, and the spans that only we have.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution.config import (
    CallbackConfig,
    ChildConfig,
    CompletionConfig,
    MapConfig,
    NestingType,
    ParallelConfig,
    StepConfig,
    WaitForConditionConfig,
)
from durable_execution.context.durable_context import DurableContext
from durable_execution.errors import InvocationError, StepError
from durable_execution.handler import durable_execution
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.local.invocations import Assignment
from durable_execution.observers import Observer
from durable_execution.operations.batch import ParallelBranch
from durable_execution.retry import RetryDecision, poll_until
from durable_execution.telemetry.live import LiveTracing

aws = pytest.importorskip("aws_durable_execution_sdk_python")
aws_otel = pytest.importorskip("aws_durable_execution_sdk_python_otel")

from aws_durable_execution_sdk_python import config as aws_config  # noqa: E402  # after importorskip
from aws_durable_execution_sdk_python.waits import (  # noqa: E402
    WaitForConditionConfig as AwsConditionConfig,
)
from aws_durable_execution_sdk_python.waits import (  # noqa: E402
    WaitForConditionDecision,
)

from tests.interop.aws_workflows import attempts  # noqa: E402

pytestmark = pytest.mark.interop

FACTORIES = {
    "execution": aws_otel.ExecutionOtelPluginFactory,
    "invocation": aws_otel.InvocationOtelPluginFactory,
}
seconds = aws_config.Duration.from_seconds


def retrying(count: int) -> StepConfig:
    def decide(_: Exception, made: int) -> RetryDecision:
        return RetryDecision.retry(timedelta(seconds=1)) if made < count else RetryDecision.stop()

    return StepConfig(retry_strategy=decide)


def flaky(step: Any) -> int:
    if step.attempt < 2:
        raise ValueError("not yet")
    return 1


def broken(_: Any) -> None:
    raise ValueError("never")


class SilentError(Exception):
    """An error without a message."""


def silent(_: Any) -> None:
    raise SilentError


class Theirs:
    """Workflows for AWS's SDK."""

    @staticmethod
    def step(_: Any, ctx: Any) -> Any:
        return ctx.step(lambda _: 1, name="greet")

    @staticmethod
    def wait(_: Any, ctx: Any) -> Any:
        ctx.step(lambda _: 1, name="before")
        ctx.wait(seconds(5), name="rest")
        return ctx.step(lambda _: 1, name="after")

    @staticmethod
    def retry(_: Any, ctx: Any) -> Any:
        return ctx.step(flaky, name="flaky", config=aws_config.StepConfig(retry_strategy=attempts(3)))

    @staticmethod
    def failure(_: Any, ctx: Any) -> Any:
        return ctx.step(broken, name="broken", config=aws_config.StepConfig(retry_strategy=attempts(1)))

    @staticmethod
    def child(_: Any, ctx: Any) -> Any:
        def body(inner: Any) -> int:
            inner.step(lambda _: 1, name="inside")
            inner.wait(seconds(5), name="rest")
            return 1

        return ctx.run_in_child_context(body, name="child")

    @staticmethod
    def failed_child(_: Any, ctx: Any) -> Any:
        return ctx.run_in_child_context(broken, name="child")

    @staticmethod
    def virtual_child(_: Any, ctx: Any) -> Any:
        def body(inner: Any) -> Any:
            return inner.step(lambda _: 1, name="inside")

        return ctx.run_in_child_context(body, name="virtual", config=aws_config.ChildConfig(is_virtual=True))

    @staticmethod
    def items(_: Any, ctx: Any) -> Any:
        def item(inner: Any, value: int, index: int, _all: Any) -> int:
            inner.wait(seconds(2), name=f"rest-{index}")
            return int(inner.step(lambda _: value, name=f"work-{index}"))

        return ctx.map([1, 2], item, name="items", config=aws_config.MapConfig(max_concurrency=1)).get_results()

    @staticmethod
    def flat(_: Any, ctx: Any) -> Any:
        def item(inner: Any, value: int, index: int, _all: Any) -> int:
            return int(inner.step(lambda _: value, name=f"work-{index}"))

        config: Any = aws_config.MapConfig(max_concurrency=1, nesting_type=aws_config.NestingType.FLAT)
        return ctx.map([1, 2], item, name="items", config=config).get_results()

    @staticmethod
    def branches(_: Any, ctx: Any) -> Any:
        branches: Any = [
            aws_config.ParallelBranch(broken, name="bad"),
            aws_config.ParallelBranch(lambda inner: inner.step(lambda _: 1, name="work"), name="good"),
        ]
        everything: Any = aws_config.CompletionConfig
        config = aws_config.ParallelConfig(max_concurrency=1, completion_config=everything.all_completed())
        return ctx.parallel(branches, name="both", config=config).throw_if_error()

    @staticmethod
    def condition(_: Any, ctx: Any) -> Any:
        def decide(state: int, _made: int) -> Any:
            done = state >= 2
            return WaitForConditionDecision(should_continue=not done, delay=seconds(1))

        config = AwsConditionConfig(wait_strategy=decide, initial_state=0)
        return ctx.wait_for_condition(lambda state, _: state + 1, config=config, name="poll")

    @staticmethod
    def both_branches(_: Any, ctx: Any) -> Any:
        def branch(inner: Any) -> Any:
            inner.wait(seconds(2), name="rest")
            return inner.step(lambda _: 1, name="work")

        branches: Any = [aws_config.ParallelBranch(branch, name=name) for name in ("one", "two")]
        return ctx.parallel(branches, name="both", config=aws_config.ParallelConfig(max_concurrency=1)).get_results()

    @staticmethod
    def failed_item(_: Any, ctx: Any) -> Any:
        def item(inner: Any, _value: int, index: int, _all: Any) -> Any:
            once = aws_config.StepConfig(retry_strategy=attempts(1))
            return inner.step(broken, name=f"work-{index}", config=once)

        everything: Any = aws_config.CompletionConfig
        config: Any = aws_config.MapConfig(max_concurrency=1, completion_config=everything.all_completed())
        return ctx.map([1, 2], item, name="items", config=config).throw_if_error()

    @staticmethod
    def handled(_: Any, ctx: Any) -> Any:
        try:
            ctx.step(broken, name="broken", config=aws_config.StepConfig(retry_strategy=attempts(1)))
        except Exception:  # noqa: BLE001  # whatever the SDK raises
            ctx.wait(seconds(3), name="rest")
        return ctx.step(lambda _: 1, name="recover")

    @staticmethod
    def failed_condition(_: Any, ctx: Any) -> Any:
        def look(state: int, _: Any) -> int:
            if state:
                raise ValueError("never")
            return state + 1

        def decide(_state: int, _made: int) -> Any:
            return WaitForConditionDecision(should_continue=True, delay=seconds(1))

        config = AwsConditionConfig(wait_strategy=decide, initial_state=0)
        return ctx.wait_for_condition(look, config=config, name="poll")

    @staticmethod
    def answered(_: Any, ctx: Any) -> Any:
        return ctx.create_callback(name="approval").result()

    @staticmethod
    def rejected(_: Any, ctx: Any) -> Any:
        return ctx.create_callback(name="approval").result()

    @staticmethod
    def expired(_: Any, ctx: Any) -> Any:
        return ctx.create_callback(name="late", config=aws_config.CallbackConfig(timeout=seconds(30))).result()

    @staticmethod
    def submitted(_: Any, ctx: Any) -> Any:
        return ctx.wait_for_callback(lambda _id, _context: None, name="approval")

    @staticmethod
    def chained(_: Any, ctx: Any) -> Any:
        return ctx.invoke("echo", {"n": 1}, name="call")

    @staticmethod
    def failed_chain(_: Any, ctx: Any) -> Any:
        return ctx.invoke("broken", {"n": 1}, name="call")

    @staticmethod
    def failed_handler(_: Any, _ctx: Any) -> Any:
        raise ValueError("never")

    @staticmethod
    def retried_invocation(_: Any, ctx: Any) -> Any:
        ctx.step(lambda _: 1, name="before")
        if ONCE.pop("theirs", None):
            raise aws.InvocationError("the database is locked")
        return ctx.step(lambda _: 1, name="after")

    @staticmethod
    def without_words(_: Any, ctx: Any) -> Any:
        once = aws_config.StepConfig(retry_strategy=attempts(1))
        return ctx.step(silent, name="broken", config=once)

    @staticmethod
    def deep(_: Any, ctx: Any) -> Any:
        def item(inner: Any, value: int, index: int, _all: Any) -> Any:
            def body(innermost: Any) -> Any:
                config = aws_config.StepConfig(retry_strategy=attempts(3))
                return innermost.step(flaky, name=f"flaky-{index}", config=config)

            return inner.run_in_child_context(body, name=f"child-{index}")

        return ctx.map([1, 2], item, name="items", config=aws_config.MapConfig(max_concurrency=1)).get_results()


class Ours:
    """The same for this SDK."""

    @staticmethod
    async def step(_: Any, ctx: DurableContext) -> Any:
        return await ctx.step(lambda _: 1, "greet")

    @staticmethod
    async def wait(_: Any, ctx: DurableContext) -> Any:
        await ctx.step(lambda _: 1, "before")
        await ctx.wait(timedelta(seconds=5), "rest")
        return await ctx.step(lambda _: 1, "after")

    @staticmethod
    async def retry(_: Any, ctx: DurableContext) -> Any:
        return await ctx.step(flaky, "flaky", config=retrying(3))

    @staticmethod
    async def failure(_: Any, ctx: DurableContext) -> Any:
        return await ctx.step(broken, "broken", config=retrying(1))

    @staticmethod
    async def child(_: Any, ctx: DurableContext) -> Any:
        async def body(inner: DurableContext) -> int:
            await inner.step(lambda _: 1, "inside")
            await inner.wait(timedelta(seconds=5), "rest")
            return 1

        return await ctx.run_in_child_context(body, "child")

    @staticmethod
    async def failed_child(_: Any, ctx: DurableContext) -> Any:
        async def body(inner: DurableContext) -> None:
            broken(inner)

        return await ctx.run_in_child_context(body, "child")

    @staticmethod
    async def virtual_child(_: Any, ctx: DurableContext) -> Any:
        async def body(inner: DurableContext) -> int:
            return await inner.step(lambda _: 1, "inside")

        return await ctx.run_in_child_context(body, "virtual", config=ChildConfig(is_virtual=True))

    @staticmethod
    async def items(_: Any, ctx: DurableContext) -> Any:
        async def item(inner: DurableContext, value: int, index: int) -> int:
            await inner.wait(timedelta(seconds=2), f"rest-{index}")
            return await inner.step(lambda _: value, f"work-{index}")

        return (await ctx.map([1, 2], item, "items", config=MapConfig(max_concurrency=1))).get_results()

    @staticmethod
    async def flat(_: Any, ctx: DurableContext) -> Any:
        async def item(inner: DurableContext, value: int, index: int) -> int:
            return await inner.step(lambda _: value, f"work-{index}")

        config = MapConfig(max_concurrency=1, nesting_type=NestingType.FLAT)
        return (await ctx.map([1, 2], item, "items", config=config)).get_results()

    @staticmethod
    async def branches(_: Any, ctx: DurableContext) -> Any:
        async def bad(inner: DurableContext) -> None:
            broken(inner)

        async def good(inner: DurableContext) -> int:
            return await inner.step(lambda _: 1, "work")

        config = ParallelConfig(max_concurrency=1, completion_config=CompletionConfig.all_completed())
        both = [ParallelBranch(bad, "bad"), ParallelBranch(good, "good")]
        (await ctx.parallel(both, "both", config=config)).throw_if_error()

    @staticmethod
    async def condition(_: Any, ctx: DurableContext) -> Any:
        config = WaitForConditionConfig(
            wait_strategy=poll_until(lambda state: state >= 2, initial_delay=timedelta(seconds=1)), initial_state=0
        )
        return await ctx.wait_for_condition(lambda state, _: state + 1, "poll", config=config)

    @staticmethod
    async def both_branches(_: Any, ctx: DurableContext) -> Any:
        async def branch(inner: DurableContext) -> int:
            await inner.wait(timedelta(seconds=2), "rest")
            return await inner.step(lambda _: 1, "work")

        both = [ParallelBranch(branch, name) for name in ("one", "two")]
        return (await ctx.parallel(both, "both", config=ParallelConfig(max_concurrency=1))).get_results()

    @staticmethod
    async def failed_item(_: Any, ctx: DurableContext) -> Any:
        async def item(inner: DurableContext, _value: int, index: int) -> Any:
            return await inner.step(broken, f"work-{index}", config=retrying(1))

        config = MapConfig(max_concurrency=1, completion_config=CompletionConfig.all_completed())
        (await ctx.map([1, 2], item, "items", config=config)).throw_if_error()

    @staticmethod
    async def handled(_: Any, ctx: DurableContext) -> Any:
        try:
            await ctx.step(broken, "broken", config=retrying(1))
        except StepError:
            await ctx.wait(timedelta(seconds=3), "rest")
        return await ctx.step(lambda _: 1, "recover")

    @staticmethod
    async def failed_condition(_: Any, ctx: DurableContext) -> Any:
        def look(state: int, _: Any) -> int:
            if state:
                raise ValueError("never")
            return state + 1

        config = WaitForConditionConfig(
            wait_strategy=poll_until(lambda _: False, initial_delay=timedelta(seconds=1)), initial_state=0
        )
        return await ctx.wait_for_condition(look, "poll", config=config)

    @staticmethod
    async def answered(_: Any, ctx: DurableContext) -> Any:
        return await (await ctx.create_callback("approval")).result()

    @staticmethod
    async def rejected(_: Any, ctx: DurableContext) -> Any:
        return await (await ctx.create_callback("approval")).result()

    @staticmethod
    async def expired(_: Any, ctx: DurableContext) -> Any:
        config: CallbackConfig[str] = CallbackConfig(timeout=timedelta(seconds=30))
        return await (await ctx.create_callback("late", config=config)).result()

    @staticmethod
    async def submitted(_: Any, ctx: DurableContext) -> Any:
        return await ctx.wait_for_callback(lambda _id, _step: None, "approval")

    @staticmethod
    async def chained(_: Any, ctx: DurableContext) -> Any:
        return await ctx.invoke("echo", {"n": 1}, "call")

    @staticmethod
    async def failed_chain(_: Any, ctx: DurableContext) -> Any:
        return await ctx.invoke("broken", {"n": 1}, "call")

    @staticmethod
    async def failed_handler(_: Any, _ctx: DurableContext) -> Any:
        raise ValueError("never")

    @staticmethod
    async def retried_invocation(_: Any, ctx: DurableContext) -> Any:
        await ctx.step(lambda _: 1, "before")
        if ONCE.pop("ours", None):
            raise InvocationError("the database is locked")
        return await ctx.step(lambda _: 1, "after")

    @staticmethod
    async def without_words(_: Any, ctx: DurableContext) -> Any:
        return await ctx.step(silent, "broken", config=retrying(1))

    @staticmethod
    async def deep(_: Any, ctx: DurableContext) -> Any:
        async def item(inner: DurableContext, _value: int, index: int) -> Any:
            async def body(innermost: DurableContext) -> int:
                return await innermost.step(flaky, f"flaky-{index}", config=retrying(3))

            return await inner.run_in_child_context(body, f"child-{index}")

        return (await ctx.map([1, 2], item, "items", config=MapConfig(max_concurrency=1))).get_results()


ONCE = {"theirs": True, "ours": True}
"""Whose invocation fails next."""

WORKFLOWS = [name for name in vars(Ours) if not name.startswith("_")]


class Engine(LocalEngine):
    """Gives every execution the same ARN."""

    def __init__(self, observe: Callable[[], Sequence[Observer]]) -> None:
        super().__init__(None, time="skip", ids=CountingIds())
        self._observe = observe

    def observers_for(self, assignment: Assignment) -> Sequence[Observer]:
        return self._observe()


def provider() -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made, exporter


def run(engine: LocalEngine, name: str, handler: Any) -> None:
    """Run a workflow to its end, and answer its callback."""
    ONCE.update(theirs=True, ours=True)
    engine.register("workflow", handler, durable=True)
    engine.register("echo", lambda event, _context: event)
    engine.register("broken", lambda event, _context: broken(event))
    arn = engine.start("workflow")
    if name in ("answered", "submitted"):
        identity = engine.wait_for_callback_id(arn)
        engine.client.send_durable_execution_callback_success(CallbackId=identity, Result=b'"yes"')
    elif name == "rejected":
        identity = engine.wait_for_callback_id(arn)
        error = {"ErrorType": "RejectedError", "ErrorMessage": "no"}
        engine.client.send_durable_execution_callback_failure(CallbackId=identity, Error=error)
    engine.wait(arn)


def run_ours(name: str, view: str) -> Sequence[ReadableSpan]:
    made, exporter = provider()
    with Engine(lambda: [LiveTracing(made, view=view)]) as engine:
        run(engine, name, durable_execution(getattr(Ours, name)))
    return exporter.get_finished_spans()


def run_theirs(name: str, view: str) -> Sequence[ReadableSpan]:
    made, exporter = provider()
    plugin = FACTORIES[view](aws_otel.OtelPluginConfig(tracer_provider=made, enrich_logger=False))
    with Engine(list) as engine:
        handler = aws.durable_execution(getattr(Theirs, name), boto3_client=engine.client, plugins=[plugin])
        run(engine, name, handler)
    return exporter.get_finished_spans()


def shapes(spans: Sequence[ReadableSpan], *, has_fixed_ids: bool) -> "Counter[tuple[Any, ...]]":
    """What has to be the same, span by span."""
    names = {span.context.span_id: span.name for span in spans if span.context}
    fixed = {"Workflow", "DurableExecutionRoot"}
    found: Counter[tuple[Any, ...]] = Counter()
    for span in spans:
        known = dict(span.attributes or {})
        if not any(key.startswith("durable.") for key in known):
            continue
        is_first_segment = "durable.operation.status" in known and len(span.links) == 1 and has_fixed_ids
        shape = (
            span.name,
            names.get(span.parent.span_id) if span.parent else None,
            span.status.status_code.name,
            span.kind.name,
            tuple(names.get(link.context.span_id) for link in span.links),
            tuple(sorted((key, value) for key, value in known.items() if key.startswith("durable."))),
            span.context.span_id if span.context and (span.name in fixed or is_first_segment) else None,
        )
        found[shape] = 1 if span.name == "DurableExecutionRoot" else found[shape] + 1
    return found


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """AWS's SDK logs every failure, also the intended ones."""
    caplog.set_level(logging.CRITICAL, logger="aws_durable_execution_sdk_python")


@pytest.mark.parametrize("view", FACTORIES)
@pytest.mark.parametrize("name", WORKFLOWS)
def test_our_spans_are_those_of_awss_plugin(name: str, view: str) -> None:
    has_fixed_ids = name not in ("flat", "virtual_child")  # AWS gives contexts without a checkpoint random ids
    ours = shapes(run_ours(name, view), has_fixed_ids=has_fixed_ids)
    theirs = shapes(run_theirs(name, view), has_fixed_ids=has_fixed_ids)
    assert sum(ours.values()) >= 3
    assert sorted(map(str, ours.elements())) == sorted(map(str, theirs.elements()))
