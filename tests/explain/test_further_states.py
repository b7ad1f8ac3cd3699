"""More states, recorded on the local engine: nested, in branches, chained, interrupted, and after answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    CallbackConfig,
    ChildConfig,
    DurableContext,
    StepConfig,
    WaitForCallbackConfig,
    WaitForConditionConfig,
    durable_execution,
    poll_until,
)
from durable_execution.errors import InvocationError
from durable_execution.explain import Explanation, StateKind, explain_execution
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.protocol import ErrorObject
from durable_execution.retry import Jitter, RetryPresets, exponential_backoff
from tests.replay.recording import events_of

K = StateKind
ONCE = StepConfig(retry_strategy=RetryPresets.none())
PATIENT = StepConfig(
    retry_strategy=exponential_backoff(max_attempts=20, initial_delay=timedelta(minutes=10), jitter=Jitter.NONE)
)
Flow = Callable[[Any, DurableContext], Awaitable[Any]]


async def fails(_: Any) -> None:
    raise ConnectionError("gateway is down")


async def one(_: Any) -> int:
    return 1


async def timer_in_a_child(_: Any, ctx: DurableContext) -> Any:
    return await ctx.run_in_child_context(lambda child: child.wait(timedelta(hours=2), "settle"), "billing")


async def retry_in_a_map(_: Any, ctx: DurableContext) -> Any:
    return await ctx.map(
        ["a", "b"],
        lambda child, item, index: child.step(one if item == "a" else fails, "save", config=PATIENT),
        "orders",
    )


async def approval(_: Any, ctx: DurableContext) -> Any:
    async def submit(callback_id: str, step: Any) -> None:
        return None

    config = WaitForCallbackConfig(timeout=timedelta(days=1))
    return await ctx.wait_for_callback(submit, "approval", config=config)


async def submitter_fails(_: Any, ctx: DurableContext) -> Any:
    async def submit(callback_id: str, step: Any) -> None:
        raise ConnectionError("no mail server")

    return await ctx.wait_for_callback(
        submit, "approval", config=WaitForCallbackConfig(retry_strategy=RetryPresets.none())
    )


async def callback_in_a_branch(_: Any, ctx: DurableContext) -> Any:
    async def left(child: DurableContext) -> Any:
        return await child.step(one, "quick")

    async def right(child: DurableContext) -> Any:
        return await (await child.create_callback("signature")).result()

    return await ctx.parallel([left, right], "both")


async def callback_times_out(_: Any, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback("payment", config=CallbackConfig(timeout=timedelta(minutes=5)))
    return await callback.result()


async def polls(_: Any, ctx: DurableContext) -> Any:
    async def check(state: int, _: Any) -> int:
        return state

    strategy = poll_until(lambda state: state > 0, initial_delay=timedelta(minutes=3), jitter=Jitter.NONE)
    config = WaitForConditionConfig(wait_strategy=strategy, initial_state=0)
    return await ctx.wait_for_condition(check, "ready", config=config)


async def invokes_a_failing_one(_: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("failing", {}, "bill")


async def chained(_: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("middle", {}, "outer")


async def middle(_: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("inner", {}, "inner")


async def inner(_: Any, ctx: DurableContext) -> Any:
    return await (await ctx.create_callback("approval")).result()


async def failing(_: Any, ctx: DurableContext) -> Any:
    return await ctx.step(fails, "post", config=ONCE)


async def fails_in_a_branch_of_a_child(_: Any, ctx: DurableContext) -> Any:
    async def body(child: DurableContext) -> Any:
        found = await child.map([1], lambda deep, item, index: deep.step(fails, "write", config=ONCE), "rows")
        found.throw_if_error()

    return await ctx.run_in_child_context(body, "import")


async def catches_and_waits(_: Any, ctx: DurableContext) -> Any:
    try:
        await ctx.step(fails, "charge", config=ONCE)
    except Exception:  # noqa: BLE001  # the workflow goes on
        await ctx.wait(timedelta(hours=1), "cool_off")


async def catches_and_ends(_: Any, ctx: DurableContext) -> Any:
    try:
        await ctx.step(fails, "charge", config=ONCE)
    except Exception:  # noqa: BLE001  # the workflow goes on
        return "refused"


async def invocation_fails(_: Any, ctx: DurableContext) -> Any:
    await ctx.step(one, "load")
    raise InvocationError("database is down")


async def returns_too_much(_: Any, ctx: DurableContext) -> Any:
    await ctx.step(one, "load")
    return "x"


async def virtual_child(_: Any, ctx: DurableContext) -> Any:
    async def body(child: DurableContext) -> Any:
        await child.wait(timedelta(minutes=30), "rest")

    return await ctx.run_in_child_context(body, "quiet", config=ChildConfig(is_virtual=True))


async def gather(_: Any, ctx: DurableContext) -> Any:
    import asyncio

    await asyncio.gather(
        ctx.wait(timedelta(hours=1), "short"), ctx.wait(timedelta(hours=5), "long"), ctx.step(one, "work")
    )


async def race(_: Any, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback("answer")
    return await ctx.race(callback.result(), ctx.wait(timedelta(days=3), "deadline"))


async def no_calls(_: Any, ctx: DurableContext) -> Any:
    raise KeyError("customer")


async def paused_in_a_timer(_: Any, ctx: DurableContext) -> Any:
    await ctx.wait(timedelta(days=1), "night")


async def stopped_in_a_callback(_: Any, ctx: DurableContext) -> Any:
    await (await ctx.create_callback("approval")).result()


@dataclass(frozen=True)
class Further:
    """One state.

    Attributes:
        flow: The workflow.
        state: Expected state.
        place: Expected end of the place's path.
        says: What the explanation contains.
        act: What is done to the execution.
        skips: How far the clock skips.
        kinds: Kinds of open calls, in any order.
    """

    flow: Flow
    state: StateKind
    place: str | None
    says: tuple[str, ...] = ()
    act: Callable[[LocalEngine, str], Any] | None = None
    skips: Any = "nothing"
    kinds: tuple[str, ...] = field(default=())


def _pause(engine: LocalEngine, arn: str) -> None:
    engine.client.pause_durable_execution(DurableExecutionArn=arn)


def _let_time_out(engine: LocalEngine, _: str) -> None:
    engine.advance(timedelta(minutes=6))


def _stop(engine: LocalEngine, arn: str) -> None:
    engine.client.stop_durable_execution(
        DurableExecutionArn=arn, Error={"ErrorType": "Operator", "ErrorMessage": "wrong customer"}
    )


def _reject(engine: LocalEngine, arn: str) -> None:
    error = ErrorObject("not allowed", "Rejected").to_wire()
    engine.client.send_durable_execution_callback_failure(CallbackId=engine.wait_for_callback_id(arn), Error=error)
    engine.run_until_idle(skips="work")


FURTHER = {
    "timer in a child": Further(timer_in_a_child, K.WAITING_FOR_TIMER, "billing/settle", ("due in 2 h",)),
    "retry in a map": Further(retry_in_a_map, K.RETRY_PENDING, "orders#1/save", ("attempt 2", "gateway is down")),
    "wait for callback": Further(approval, K.WAITING_FOR_CALLBACK, "approval/approval create callback id", ("callback succeed",)),
    "submitter failed": Further(submitter_fails, K.FAILED, "approval/approval submitter", ("no mail server",)),
    "callback in a branch": Further(callback_in_a_branch, K.WAITING_FOR_CALLBACK, "both#1/signature", ("has no timeout",)),
    "callback timed out": Further(callback_times_out, K.FAILED, "payment", ("Callback timed out",), act=_let_time_out),
    "polling": Further(polls, K.RETRY_PENDING, "ready", ("next check", "due in 3 min")),
    "invoked one failed": Further(invokes_a_failing_one, K.FAILED, "bill", ("gateway is down",), skips="work"),
    "chained": Further(chained, K.WAITING_FOR_INVOKE, "outer", ("It waits for the callback", "callback succeed")),
    "failed in a branch of a child": Further(fails_in_a_branch_of_a_child, K.FAILED, "import/rows#0/write", ("gateway is down",)),
    "went on after a failure": Further(catches_and_waits, K.WAITING_FOR_TIMER, "cool_off", ("due in 1 h",)),
    "ended well after a failure": Further(catches_and_ends, K.SUCCEEDED, None, ("It succeeded",)),
    "invocation fails": Further(invocation_fails, K.INVOCATIONS_FAILING, "handler", ("database is down", "Lambda retries")),
    "succeeded at once": Further(returns_too_much, K.SUCCEEDED, None),
    "timer in a virtual context": Further(virtual_child, K.WAITING_FOR_TIMER, "rest", ("due in 30 min",)),
    "several timers": Further(gather, K.WAITING_FOR_TIMER, "long", ("due in 5 h",), kinds=("timer", "timer")),
    "race": Further(race, K.WAITING_FOR_CALLBACK, "answer", kinds=("callback", "timer")),
    "failed before a call": Further(no_calls, K.FAILED, "handler", ("KeyError",)),
    "paused in a timer": Further(paused_in_a_timer, K.PAUSED, "night", ("durable-debug resume",), act=_pause),
    "stopped in a callback": Further(stopped_in_a_callback, K.STOPPED, "approval", ("Operator: wrong customer",), act=_stop),
    "callback rejected": Further(stopped_in_a_callback, K.FAILED, "approval", ("Rejected: not allowed",), act=_reject),
}  # fmt: skip


def explained(further: Further) -> Explanation:
    with LocalEngine(None, time="skip", ids=CountingIds(), trace_sink=False) as engine:
        for name, flow in (("middle", middle), ("inner", inner), ("failing", failing), ("orders", further.flow)):
            engine.register(name, durable_execution(flow))
        arn = engine.start("orders", {})
        engine.run_until_idle(skips=further.skips)
        if further.act is not None:
            further.act(engine, arn)

        def read(arn: str) -> RecordedExecution:
            described = engine.client.get_durable_execution(DurableExecutionArn=arn)
            return read_history(events_of(engine, arn), arn=arn, execution=described)

        return explain_execution(read(arn), as_of=engine.clock.now(), look=read)


@pytest.mark.parametrize("title", FURTHER)
def test_a_further_state_is_recognized(title: str) -> None:
    further = FURTHER[title]
    found = explained(further)
    assert found.state is further.state, found.text
    if further.place is not None:
        assert found.place is not None
        assert found.place.path.endswith(further.place), found.place
    for text in further.says:
        assert text in found.text
    if further.kinds:
        assert sorted(call.kind for call in found.waiting) == sorted(further.kinds)
    assert not found.is_inferred


def test_a_failure_that_was_caught_is_not_the_cause() -> None:
    async def flow(_: Any, ctx: DurableContext) -> Any:
        async def body(child: DurableContext) -> Any:
            try:
                await child.step(fails, "charge", config=ONCE)
            except Exception:  # noqa: BLE001  # the workflow goes on
                raise KeyError("customer") from None

        return await ctx.run_in_child_context(body, "billing")

    found = explained(Further(flow, K.FAILED, "billing"))
    assert found.place is not None
    assert found.place.path.endswith("/billing")
    assert "gateway is down" not in found.text
