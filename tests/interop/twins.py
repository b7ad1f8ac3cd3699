"""The same workflows written twice: for AWS's SDK for Python and for this one. Each pauses once behind its operations."""

# pyright: reportIncompatibleMethodOverride=false, reportArgumentType=false
# One serializer serves both SDKs, which name its second parameter differently and pass it by position.

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import aws_durable_execution_sdk_python as aws
from aws_durable_execution_sdk_python import config as theirs
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy
from aws_durable_execution_sdk_python.serdes import SerDes
from aws_durable_execution_sdk_python.waits import WaitForConditionConfig as TheirWaitForConditionConfig
from aws_durable_execution_sdk_python.waits import WaitForConditionDecision

from durable_execution import (
    CallbackConfig,
    ChildConfig,
    CompletionConfig,
    InvokeConfig,
    Jitter,
    MapConfig,
    NestingType,
    ParallelBranch,
    ParallelConfig,
    StepConfig,
    StepSemantics,
    WaitDecision,
    WaitForCallbackConfig,
    WaitForConditionConfig,
    exponential_backoff,
)
from durable_execution.errors import CallbackError, ChildContextError, InvokeError, StepError

LARGE = 300_000
A_SECOND, A_MINUTE = theirs.Duration.from_seconds(1), theirs.Duration.from_seconds(60)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)

VALUES: list[Any] = [
    None,
    True,
    7,
    1.5,
    "grüße",
    [1, "a", None],
    {"a": {"b": [1, None, {"c": "d"}]}},
    {"t": "s", "v": "no tag"},
    (1, ("a", 2)),
    b"\x00\xff",
    UUID(int=7),
    Decimal("1.10"),
    datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC),
    date(2026, 3, 1),
    {"when": datetime(2026, 3, 1, tzinfo=UTC), "pair": (1, 2), "price": [Decimal("0.1")]},
]

Workflow = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Twins:
    """One workflow, twice.

    Attributes:
        name: What it is about.
        theirs: For AWS's SDK.
        ours: For this SDK, in the blocking style.
        answers: What callbacks are completed with, by name, once the execution waits for them.
        is_stored_differently: Whether the same operations are recorded with different texts.
    """

    name: str
    theirs: Workflow
    ours: Workflow
    answers: tuple[tuple[str, bytes], ...] = ()
    is_stored_differently: bool = False


def their_retries(count: int) -> Any:
    strategy = RetryStrategyConfig(
        max_attempts=count, initial_delay=A_SECOND, backoff_rate=1, jitter_strategy=theirs.JitterStrategy.NONE
    )
    return create_retry_strategy(strategy)


def our_retries(count: int) -> Any:
    return exponential_backoff(max_attempts=count, initial_delay=SECOND, backoff_rate=1, jitter=Jitter.NONE)


def seen(value: Any) -> str:
    """A value with its type, for a result that is JSON."""
    return repr(value)


def steps() -> Twins:
    def their(_event: Any, ctx: Any) -> Any:
        found = [ctx.step(lambda _, value=value: value, name=f"step-{n}") for n, value in enumerate(VALUES)]
        ctx.wait(A_MINUTE, name="pause")
        return [seen(value) for value in found]

    def our(_event: Any, ctx: Any) -> Any:
        found = [ctx.step(lambda _, value=value: value, name=f"step-{n}") for n, value in enumerate(VALUES)]
        ctx.wait(MINUTE, name="pause")
        return [seen(value) for value in found]

    return Twins("steps", their, our)


def unnamed() -> Twins:
    def their(_event: Any, ctx: Any) -> Any:
        found = [ctx.step(lambda _: 1), ctx.run_in_child_context(lambda child: child.step(lambda _: 2))]
        ctx.wait(A_MINUTE)
        return found

    def our(_event: Any, ctx: Any) -> Any:
        found = [ctx.step(lambda _: 1), ctx.run_in_child_context(lambda child: child.step(lambda _: 2))]
        ctx.wait(MINUTE)
        return found

    return Twins("unnamed", their, our)


def retried_step() -> Twins:
    def body(step: Any) -> str:
        if step.attempt < 3:
            raise ValueError(f"attempt {step.attempt}")
        return f"attempt {step.attempt}"

    def their(_event: Any, ctx: Any) -> Any:
        return ctx.step(body, name="flaky", config=theirs.StepConfig(retry_strategy=their_retries(5)))

    def our(_event: Any, ctx: Any) -> Any:
        return ctx.step(body, name="flaky", config=StepConfig(retry_strategy=our_retries(5)))

    return Twins("retried_step", their, our)


def failed_step() -> Twins:
    def body(_step: Any) -> None:
        raise ValueError("never")

    def their(_event: Any, ctx: Any) -> Any:
        caught = "nothing"
        try:
            config = theirs.StepConfig(
                retry_strategy=their_retries(1), step_semantics=theirs.StepSemantics.AT_MOST_ONCE_PER_RETRY
            )
            ctx.step(body, name="broken", config=config)
        except aws.StepError as error:
            caught = f"{error.error_type}: {error}"
        ctx.wait(A_MINUTE, name="pause")
        return caught

    def our(_event: Any, ctx: Any) -> Any:
        caught = "nothing"
        try:
            config = StepConfig(retry_strategy=our_retries(1), step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
            ctx.step(body, name="broken", config=config)
        except StepError as error:
            caught = f"{error.error_type}: {error}"
        ctx.wait(MINUTE, name="pause")
        return caught

    return Twins("failed_step", their, our)


def child_contexts() -> Twins:
    def their(_event: Any, ctx: Any) -> Any:
        def inner(child: Any) -> Any:
            child.wait(A_SECOND, name="nap")
            return {"pair": (1, 2)}

        def outer(child: Any) -> Any:
            first = child.step(lambda _: {"a": 1}, name="first")
            return [first, child.run_in_child_context(inner, name="inner")]

        found = ctx.run_in_child_context(outer, name="outer")
        ctx.wait(A_MINUTE, name="pause")
        return seen(found)

    def our(_event: Any, ctx: Any) -> Any:
        def inner(child: Any) -> Any:
            child.wait(SECOND, name="nap")
            return {"pair": (1, 2)}

        def outer(child: Any) -> Any:
            first = child.step(lambda _: {"a": 1}, name="first")
            return [first, child.run_in_child_context(inner, name="inner")]

        found = ctx.run_in_child_context(outer, name="outer")
        ctx.wait(MINUTE, name="pause")
        return seen(found)

    return Twins("child_contexts", their, our)


def failed_child() -> Twins:
    def broken(child: Any) -> None:
        child.step(lambda _: 1, name="before")
        raise LookupError("no shelf")

    def their(_event: Any, ctx: Any) -> Any:
        caught = "nothing"
        try:
            ctx.run_in_child_context(broken, name="child")
        except aws.ChildContextError as error:
            caught = f"{error.error_type}: {error}"
        ctx.wait(A_MINUTE, name="pause")
        return caught

    def our(_event: Any, ctx: Any) -> Any:
        caught = "nothing"
        try:
            ctx.run_in_child_context(broken, name="child")
        except ChildContextError as error:
            caught = f"{error.error_type}: {error}"
        ctx.wait(MINUTE, name="pause")
        return caught

    return Twins("failed_child", their, our)


def large_child() -> Twins:
    def body(child: Any) -> str:
        return str(child.step(lambda _: "x", name="seed")) * LARGE

    def their(_event: Any, ctx: Any) -> Any:
        found = ctx.run_in_child_context(body, name="large", config=theirs.ChildConfig())
        ctx.wait(A_MINUTE, name="pause")
        return len(found)

    def our(_event: Any, ctx: Any) -> Any:
        found = ctx.run_in_child_context(body, name="large", config=ChildConfig())
        ctx.wait(MINUTE, name="pause")
        return len(found)

    return Twins("large_child", their, our)


def callbacks() -> Twins:
    def their(_event: Any, ctx: Any) -> Any:
        config = theirs.CallbackConfig(timeout=theirs.Duration.from_seconds(3600))
        callback = ctx.create_callback(name="approval", config=config)
        ctx.step(lambda _: "asked", name="ask")
        answer = callback.result()
        ctx.wait(A_MINUTE, name="pause")
        return answer

    def our(_event: Any, ctx: Any) -> Any:
        callback = ctx.create_callback(name="approval", config=CallbackConfig(timeout=timedelta(hours=1)))
        ctx.step(lambda _: "asked", name="ask")
        answer = callback.result()
        ctx.wait(MINUTE, name="pause")
        return answer

    return Twins("callbacks", their, our, (("approval", b'{"approved": true}'),))


def lapsed_callback() -> Twins:
    def their(_event: Any, ctx: Any) -> Any:
        callback = ctx.create_callback(name="approval", config=theirs.CallbackConfig(timeout=A_SECOND))
        caught = "nothing"
        try:
            callback.result()
        except aws.CallbackError as error:
            caught = str(error)
        ctx.wait(A_MINUTE, name="pause")
        return "timed out" in caught

    def our(_event: Any, ctx: Any) -> Any:
        callback = ctx.create_callback(name="approval", config=CallbackConfig(timeout=SECOND))
        caught = "nothing"
        try:
            callback.result()
        except CallbackError as error:
            caught = str(error)
        ctx.wait(MINUTE, name="pause")
        return "timed out" in caught

    return Twins("lapsed_callback", their, our)


def wait_for_callback() -> Twins:
    def their(_event: Any, ctx: Any) -> Any:
        config = theirs.WaitForCallbackConfig(heartbeat_timeout=theirs.Duration.from_seconds(3600))
        answer = ctx.wait_for_callback(lambda _id, _ctx: None, name="approval", config=config)
        ctx.wait(A_MINUTE, name="pause")
        return answer

    def our(_event: Any, ctx: Any) -> Any:
        config = WaitForCallbackConfig(heartbeat_timeout=timedelta(hours=1))
        answer = ctx.wait_for_callback(lambda _id, _step: None, name="approval", config=config)
        ctx.wait(MINUTE, name="pause")
        return answer

    return Twins("wait_for_callback", their, our, (("approval", b"yes"),))


def invokes() -> Twins:
    def their(_event: Any, ctx: Any) -> Any:
        found = [
            ctx.invoke("echo", payload, name=f"call-{n}", config=theirs.InvokeConfig(tenant_id="acme"))
            for n, payload in enumerate([None, "text", {"a": [1, {"b": None}]}])
        ]
        ctx.wait(A_MINUTE, name="pause")
        return found

    def our(_event: Any, ctx: Any) -> Any:
        found = [
            ctx.invoke("echo", payload, name=f"call-{n}", config=InvokeConfig(tenant_id="acme"))
            for n, payload in enumerate([None, "text", {"a": [1, {"b": None}]}])
        ]
        ctx.wait(MINUTE, name="pause")
        return found

    return Twins("invokes", their, our)


def failed_invoke() -> Twins:
    def their(_event: Any, ctx: Any) -> Any:
        caught = "nothing"
        try:
            ctx.invoke("broken", 1, name="call")
        except aws.InvokeError as error:
            caught = str(error)
        ctx.wait(A_MINUTE, name="pause")
        return "out of order" in caught

    def our(_event: Any, ctx: Any) -> Any:
        caught = "nothing"
        try:
            ctx.invoke("broken", 1, name="call")
        except InvokeError as error:
            caught = str(error)
        ctx.wait(MINUTE, name="pause")
        return "out of order" in caught

    return Twins("failed_invoke", their, our)


def conditions() -> Twins:
    def check(state: Any, _step: Any) -> Any:
        return {"count": state["count"] + 1, "log": [*state["log"], state["count"]]}

    def their_decision(state: Any, _attempt: int) -> WaitForConditionDecision:
        if state["count"] < 3:
            return WaitForConditionDecision.continue_waiting(theirs.Duration.from_seconds(2))
        return WaitForConditionDecision.stop_polling()

    def our_decision(state: Any, _attempt: int) -> WaitDecision:
        return WaitDecision.check_again(2 * SECOND) if state["count"] < 3 else WaitDecision.done()

    def their(_event: Any, ctx: Any) -> Any:
        config: TheirWaitForConditionConfig[Any] = TheirWaitForConditionConfig(
            wait_strategy=their_decision, initial_state={"count": 0, "log": []}
        )
        found = ctx.wait_for_condition(check, config=config, name="poll")
        ctx.wait(A_MINUTE, name="pause")
        return found

    def our(_event: Any, ctx: Any) -> Any:
        config = WaitForConditionConfig(wait_strategy=our_decision, initial_state={"count": 0, "log": []})
        found = ctx.wait_for_condition(check, name="poll", config=config)
        ctx.wait(MINUTE, name="pause")
        return found

    return Twins("conditions", their, our)


def maps(nesting: NestingType) -> Twins:
    def their(_event: Any, ctx: Any) -> Any:
        def item(child: Any, value: Any, index: int, _all: Any) -> Any:
            if index == 2:
                raise ValueError("item 2")
            child.wait(A_SECOND, name="nap")
            return child.step(lambda _: {"value": value, "pair": (index, 1)}, name="work")

        config: Any = theirs.MapConfig(
            max_concurrency=2,
            nesting_type=theirs.NestingType[nesting.name],
            completion_config=theirs.CompletionConfig(tolerated_failure_count=1),
        )
        batch = ctx.map(["a", {"b": 1}, None, (1, 2)], item, name="items", config=config)
        ctx.wait(A_MINUTE, name="pause")
        return outcome(batch)

    def our(_event: Any, ctx: Any) -> Any:
        def item(child: Any, value: Any, index: int) -> Any:
            if index == 2:
                raise ValueError("item 2")
            child.wait(SECOND, name="nap")
            return child.step(lambda _: {"value": value, "pair": (index, 1)}, name="work")

        config = MapConfig(
            max_concurrency=2,
            nesting_type=nesting,
            completion_config=CompletionConfig(tolerated_failure_count=1),
        )
        batch = ctx.map(["a", {"b": 1}, None, (1, 2)], item, name="items", config=config)
        ctx.wait(MINUTE, name="pause")
        return outcome(batch)

    return Twins(f"maps_{nesting.name.lower()}", their, our)


def parallels() -> Twins:
    def works(child: Any) -> Any:
        return child.step(lambda _: Decimal("1.5"), name="work")

    def their(_event: Any, ctx: Any) -> Any:
        def naps(child: Any) -> str:
            child.wait(A_SECOND, name="nap")
            return "rested"

        branches = [works, aws.ParallelBranch(naps, name="napping")]
        batch = ctx.parallel(branches, name="both", config=theirs.ParallelConfig(max_concurrency=1))
        ctx.wait(A_MINUTE, name="pause")
        return [seen(value) for value in batch.get_results()]

    def our(_event: Any, ctx: Any) -> Any:
        def naps(child: Any) -> str:
            child.wait(SECOND, name="nap")
            return "rested"

        branches = [works, ParallelBranch(naps, name="napping")]
        batch = ctx.parallel(branches, name="both", config=ParallelConfig(max_concurrency=1))
        ctx.wait(MINUTE, name="pause")
        return [seen(value) for value in batch.get_results()]

    return Twins("parallels", their, our)


def large_batch() -> Twins:
    def their(_event: Any, ctx: Any) -> Any:
        def item(child: Any, value: str, _index: int, _all: Any) -> str:
            return str(child.step(lambda _: value, name="work")) * (LARGE // 2)

        config: Any = theirs.MapConfig(max_concurrency=1, completion_config=theirs.CompletionConfig(min_successful=3))
        batch = ctx.map(["a", "b", "c", "d"], item, name="large", config=config)
        ctx.wait(A_MINUTE, name="pause")
        return [batch.completion_reason.value, [len(text) for text in batch.get_results()]]

    def our(_event: Any, ctx: Any) -> Any:
        def item(child: Any, value: str, _index: int) -> str:
            return str(child.step(lambda _: value, name="work")) * (LARGE // 2)

        config = MapConfig(max_concurrency=1, completion_config=CompletionConfig(min_successful=3))
        batch = ctx.map(["a", "b", "c", "d"], item, name="large", config=config)
        ctx.wait(MINUTE, name="pause")
        return [batch.completion_reason.value, [len(text) for text in batch.get_results()]]

    return Twins("large_batch", their, our)


class Wrapping(SerDes[Any]):
    """Stores a value in an envelope; both SDKs take it."""

    def serialize(self, value: Any, _context: Any) -> str:
        return json.dumps({"wrapped": value})

    def deserialize(self, data: str, _context: Any) -> Any:
        return json.loads(data)["wrapped"]


class Joining(SerDes[Any]):
    """Stores a whole batch as its outcome; what is read is no batch any more, with either SDK."""

    def serialize(self, value: Any, _context: Any) -> str:
        return json.dumps(["joined", outcome(value)])

    def deserialize(self, data: str, _context: Any) -> Any:
        return json.loads(data)[1]


def outcome(batch: Any) -> Any:
    """What a batch came to, for a result that is JSON."""
    if isinstance(batch, list):
        return batch
    return [
        batch.completion_reason.value,
        batch.status.value,
        [[item.index, item.status.value, seen(item.result)] for item in batch.all],
        [error.message for error in batch.get_errors()],
    ]


def serialized_maps(nesting: NestingType, *, is_whole: bool = False) -> Twins:
    """Items have a serializer of the user's. AWS's SDK writes them once more in the map's own result, without it."""
    serdes = Joining() if is_whole else None

    def work(child: Any, value: Any, index: int, nap: Any) -> Any:
        if index == 1:
            child.wait(nap, name="nap")
        if index == 2:
            raise ValueError("item 2")
        return child.step(lambda _: {"value": value, "index": [index, None]}, name="work")

    def their(_event: Any, ctx: Any) -> Any:
        config: Any = theirs.MapConfig(
            max_concurrency=1,
            item_serdes=Wrapping(),
            serdes=serdes,
            nesting_type=theirs.NestingType[nesting.name],
            completion_config=theirs.CompletionConfig(tolerated_failure_count=1),
        )
        items = ["a", {"b": 2}, "c", "d"]
        found = ctx.map(
            items, lambda ctx, item, index, _all: work(ctx, item, index, A_SECOND), name="map", config=config
        )
        ctx.wait(A_MINUTE, name="pause")
        ctx.wait(A_MINUTE, name="another pause")
        return outcome(found)

    def our(_event: Any, ctx: Any) -> Any:
        config = MapConfig(
            max_concurrency=1,
            item_serdes=Wrapping(),
            serdes=serdes,
            nesting_type=nesting,
            completion_config=CompletionConfig(tolerated_failure_count=1),
        )
        items = ["a", {"b": 2}, "c", "d"]
        found = ctx.map(items, lambda ctx, item, index: work(ctx, item, index, SECOND), name="map", config=config)
        ctx.wait(MINUTE, name="pause")
        ctx.wait(MINUTE, name="another pause")
        return outcome(found)

    name = f"serialized_maps_{nesting.name.lower()}{'_whole' if is_whole else ''}"
    return Twins(name, their, our, is_stored_differently=not is_whole)


def serialized_parallels(nesting: NestingType, *, is_whole: bool = False) -> Twins:
    """The same for branches, one of which the operation does not wait for."""
    serdes = Joining() if is_whole else None

    def branches() -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
        """One that waits forever, and one that works once the other waits."""
        exists = threading.Event()

        def waits(child: Any) -> Any:
            callback = child.create_callback(name="nobody answers")
            exists.set()
            return callback.result()

        def work(_step: Any) -> str:
            assert exists.wait(10)
            return "work"

        return waits, lambda child: child.step(work, name="work")

    def their(_event: Any, ctx: Any) -> Any:
        config: Any = theirs.ParallelConfig(
            item_serdes=Wrapping(),
            serdes=serdes,
            nesting_type=theirs.NestingType[nesting.name],
            completion_config=theirs.CompletionConfig(min_successful=1),
        )
        waits, works = branches()
        found = ctx.parallel([waits, aws.ParallelBranch(works, name="works")], name="both", config=config)
        ctx.wait(A_MINUTE, name="pause")
        ctx.wait(A_MINUTE, name="another pause")
        return outcome(found)

    def our(_event: Any, ctx: Any) -> Any:
        config = ParallelConfig(
            item_serdes=Wrapping(),
            serdes=serdes,
            nesting_type=nesting,
            completion_config=CompletionConfig(min_successful=1),
        )
        waits, works = branches()
        found = ctx.parallel([waits, ParallelBranch(works, name="works")], name="both", config=config)
        ctx.wait(MINUTE, name="pause")
        ctx.wait(MINUTE, name="another pause")
        return outcome(found)

    name = f"serialized_parallels_{nesting.name.lower()}{'_whole' if is_whole else ''}"
    return Twins(name, their, our, is_stored_differently=not is_whole)


def nested_batch() -> Twins:
    """A context that returns a batch as it is."""

    def outcome(batch: Any) -> Any:
        return [type(batch).__name__, batch.completion_reason.value, [seen(value) for value in batch.get_results()]]

    def their(_event: Any, ctx: Any) -> Any:
        def child(inner: Any) -> Any:
            config: Any = theirs.MapConfig(max_concurrency=1)
            return inner.map([1, (2, 3)], lambda _ctx, item, _index, _all: item, name="map", config=config)

        batch = ctx.run_in_child_context(child, name="child")
        ctx.wait(A_MINUTE, name="pause")
        return outcome(batch)

    def our(_event: Any, ctx: Any) -> Any:
        def child(inner: Any) -> Any:
            config = MapConfig(max_concurrency=1)
            return inner.map([1, (2, 3)], lambda _ctx, item, _index: item, name="map", config=config)

        batch = ctx.run_in_child_context(child, name="child")
        ctx.wait(MINUTE, name="pause")
        return outcome(batch)

    return Twins("nested_batch", their, our)


def serializers() -> Twins:
    def their(_event: Any, ctx: Any) -> Any:
        found = [
            ctx.step(lambda _: "tea", name="step", config=theirs.StepConfig(serdes=Wrapping())),
            ctx.run_in_child_context(lambda _: [1], name="child", config=theirs.ChildConfig(serdes=Wrapping())),
            ctx.invoke(
                "echo",
                "pot",
                name="call",
                config=theirs.InvokeConfig(serdes_payload=Wrapping(), serdes_result=Wrapping(), tenant_id="acme"),
            ),
        ]
        ctx.wait(A_MINUTE, name="pause")
        return found

    def our(_event: Any, ctx: Any) -> Any:
        found = [
            ctx.step(lambda _: "tea", name="step", config=StepConfig(serdes=Wrapping())),
            ctx.run_in_child_context(lambda _: [1], name="child", config=ChildConfig(serdes=Wrapping())),
            ctx.invoke(
                "echo",
                "pot",
                name="call",
                config=InvokeConfig(payload_serdes=Wrapping(), result_serdes=Wrapping(), tenant_id="acme"),
            ),
        ]
        ctx.wait(MINUTE, name="pause")
        return found

    return Twins("serializers", their, our)


TWINS = [
    *(serialized_maps(nesting, is_whole=is_whole) for nesting in NestingType for is_whole in (False, True)),
    *(serialized_parallels(nesting, is_whole=is_whole) for nesting in NestingType for is_whole in (False, True)),
    nested_batch(),
    serializers(),
    steps(),
    unnamed(),
    retried_step(),
    failed_step(),
    child_contexts(),
    failed_child(),
    large_child(),
    callbacks(),
    lapsed_callback(),
    wait_for_callback(),
    invokes(),
    failed_invoke(),
    conditions(),
    maps(NestingType.NESTED),
    maps(NestingType.FLAT),
    parallels(),
    large_batch(),
]
