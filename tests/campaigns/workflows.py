"""A workflow with every kind of operation, and stores recorded with it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from durable_execution import Callback, DurableContext, StepContext, durable_execution
from durable_execution.local import CountingIds, LocalEngine, SkippingClock

START = datetime(2026, 1, 1, tzinfo=UTC)


@durable_execution
async def rates(event: dict[str, Any], ctx: DurableContext) -> float:
    """Invoked by the other workflow."""
    return await ctx.step(lambda _: 1.25, name="look up")


@durable_execution
async def order(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    """Uses steps, a retry, a wait, a map, a child context, an invocation and a callback."""

    def flaky(step: StepContext) -> str:
        if step.attempt == 1:
            raise TimeoutError("the warehouse did not answer")
        return "reserved"

    async def line(child: DurableContext, item: int) -> int:
        return await child.step(lambda _: item * 2, name="price")

    async def pack(child: DurableContext) -> str:
        await child.wait(timedelta(seconds=5), name="cool down")
        return await child.step(lambda _: "packed", name="pack")

    reserved = await ctx.step(flaky, name="reserve")
    prices = await ctx.map([1, 2, 3], line, name="prices")
    packed = await ctx.run_in_child_context(pack, name="packing")
    rate = await ctx.invoke("rates", {}, name="rate")
    callback: Callback[Any] = await ctx.create_callback(name="approval")
    approved = await callback.result()
    return {"reserved": reserved, "prices": prices.get_results(), "packed": packed, "rate": rate, "approved": approved}


def record_store(directory: Path) -> tuple[Path, list[Path]]:
    """Record one finished and one failed execution of the workflow.

    Returns:
        The store, checkpointed into one file, and the replay traces beside it.
    """
    store = directory / "executions.db"
    with LocalEngine(store, clock=SkippingClock(START), ids=CountingIds()) as engine:
        engine.register("order", order)
        engine.register("rates", rates)
        for result in (True, False):
            arn = engine.start("order", {"id": 7})
            callback = engine.wait_for_callback_id(arn, "approval")
            if result:
                engine.client.send_durable_execution_callback_success(CallbackId=callback, Result=b"yes")
            else:
                engine.client.send_durable_execution_callback_failure(CallbackId=callback, Error={"ErrorMessage": "no"})
            engine.wait(arn)
    return store, sorted((directory / "traces").rglob("*.jsonl"))
