"""Workflows with a planted bug each, and one without, for the property-based tests."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

from durable_execution import DurableContext, RetryPresets, StepConfig, StepSemantics, durable_execution

AT_MOST_ONCE = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry_strategy=RetryPresets.none())


class GatewayError(Exception):
    """The payment gateway failed."""


async def real(*_: Any) -> str:
    return "done"


@durable_execution
async def sound(order: Any, ctx: DurableContext) -> Any:
    payment = await ctx.step(real, "charge", config=AT_MOST_ONCE)
    await ctx.wait(timedelta(minutes=5), name="settle")
    stock, mail = await asyncio.gather(ctx.step(real, "reserve"), ctx.step(real, "mail"))
    return [order, payment, stock, mail]


# Twenty planted bugs. The docstring of each says what a reviewer has to see.


@durable_execution
async def charges_again_after_a_crash(_event: Any, ctx: DurableContext) -> Any:
    """A step with an effect runs at least once; it needs at-most-once semantics or an idempotency key."""
    return await ctx.step(real, "charge")


@durable_execution
async def charges_twice(event: int, ctx: DurableContext) -> Any:
    """A second charge for large orders."""
    payment = await ctx.step(real, "charge", config=AT_MOST_ONCE)
    if event > 5:
        payment = await ctx.step(real, "charge", config=AT_MOST_ONCE)
    return payment


@durable_execution
async def charges_again_after_an_error(_event: Any, ctx: DurableContext) -> Any:
    """The charge succeeds, the reservation fails, and the retried block charges again."""

    async def attempt(inner: DurableContext, _attempt: int) -> Any:
        payment = await inner.step(real, "charge", config=AT_MOST_ONCE)
        return [payment, await inner.step(real, "reserve", config=AT_MOST_ONCE)]

    return await ctx.with_retry(attempt, "block")


COUNT = {"value": 0}


@durable_execution
async def counts_in_a_global(_event: Any, ctx: DurableContext) -> Any:
    """A module's counter lives on across invocations, and the branch follows it."""
    COUNT["value"] += 1
    if COUNT["value"] % 2:
        await ctx.step(real, "odd")
    await ctx.wait(timedelta(seconds=5), name="pause")
    return await ctx.step(real, "charge", config=AT_MOST_ONCE)


@durable_execution
async def loses_an_update(_event: Any, ctx: DurableContext) -> Any:
    """Both branches read before either writes, so one addition is lost when the first is slow."""
    total = {"value": 0}

    async def add(name: str) -> None:
        read = total["value"]
        total["value"] = read + int(await ctx.step(real, name))

    await asyncio.gather(add("first"), add("second"))
    return total["value"]


@durable_execution
async def keeps_the_last_to_end(_event: Any, ctx: DurableContext) -> Any:
    """The result is that of whichever step ends last."""
    kept: list[Any] = []

    async def keep(name: str) -> None:
        await ctx.step(real, name)
        kept.append(name)

    await asyncio.gather(keep("first"), keep("second"))
    return kept[-1]


@durable_execution
async def depends_on_the_order(_event: Any, ctx: DurableContext) -> Any:
    """Results are collected as steps end instead of in the order of the calls."""
    seen: list[Any] = []

    async def collect(name: str) -> None:
        await ctx.step(real, name)
        seen.append(name)

    await asyncio.gather(collect("first"), collect("second"), collect("third"))
    return seen


@durable_execution
async def interrupted_and_swallowed(_event: Any, ctx: DurableContext) -> Any:
    """At-most-once without handling the interruption: the error is swallowed, and the order ships unpaid."""
    with suppress(Exception):
        await ctx.step(real, "charge", config=AT_MOST_ONCE)
    return await ctx.step(real, "ship", config=AT_MOST_ONCE)


@durable_execution
async def waits_for_ever(_event: Any, ctx: DurableContext) -> Any:
    """The callback has no time-out, and its answer may not come."""
    callback = await ctx.create_callback("approval")
    return await callback.result()


@durable_execution
async def rejection_is_approval(_event: Any, ctx: DurableContext) -> Any:
    """Any answer is taken for a yes."""
    callback = await ctx.create_callback("approval")
    answer = await callback.result()
    if answer is not None:
        await ctx.step(real, "ship", config=AT_MOST_ONCE)
    return answer == "true"


@durable_execution
async def branches_on_the_clock(_event: Any, ctx: DurableContext) -> Any:
    """An invocation counter stands for a clock: the second invocation takes the other branch."""
    COUNT["value"] += 1
    name = "morning" if COUNT["value"] % 3 else "evening"
    await ctx.step(real, name)
    await ctx.wait(timedelta(hours=1), name="pause")
    return await ctx.step(real, "close")


@durable_execution
async def fails_on_zero(_event: Any, ctx: DurableContext) -> Any:
    """The rate may be zero."""
    rate = int(await ctx.step(real, "rate"))
    return 100 // rate


@durable_execution
async def fails_on_empty(event: list[int], ctx: DurableContext) -> Any:
    """No item is a case as well."""

    async def item(inner: DurableContext, number: int, _index: int) -> int:
        return await inner.step(lambda _: number, "price")

    prices = (await ctx.map(event, item, "prices")).get_results()
    return max(prices)


@durable_execution
async def compensates_in_the_wrong_case(_event: Any, ctx: DurableContext) -> Any:
    """The refund runs for failures of the charge, which took nothing."""
    try:
        await ctx.step(real, "charge", config=AT_MOST_ONCE)
        await ctx.step(real, "reserve", config=AT_MOST_ONCE)
    except Exception:  # noqa: BLE001  # the bug
        await ctx.step(real, "refund")
        return "refunded"
    return "paid"


@durable_execution
async def forgets_to_compensate(_event: Any, ctx: DurableContext) -> Any:
    """When the reservation fails, the charge stays."""
    await ctx.step(real, "charge", config=AT_MOST_ONCE)
    await ctx.step(real, "reserve", config=AT_MOST_ONCE)
    return "paid"


SEEN: set[str] = set()


@durable_execution
async def remembers_orders_in_memory(event: int, ctx: DurableContext) -> Any:
    """Duplicates are looked up in the memory of one environment, also when the same order is replayed."""
    if str(event) in SEEN:
        return "duplicate"
    SEEN.add(str(event))
    await ctx.wait(timedelta(seconds=1), name="pause")
    return await ctx.step(real, "charge", config=AT_MOST_ONCE)


@durable_execution
async def retries_without_end(_event: Any, ctx: DurableContext) -> Any:
    """Each failure starts the loop again, with a limit that only large orders reach."""
    for _round in range(2):
        try:
            return await ctx.step(real, "rate", config=AT_MOST_ONCE)
        except Exception:  # noqa: BLE001  # the bug
            await ctx.wait(timedelta(seconds=1), name="again")
    return None


@durable_execution
async def races_two_carriers(_event: Any, ctx: DurableContext) -> Any:
    """The loser has booked as well."""
    first, second = ctx.step(real, "carrier_a"), ctx.step(real, "carrier_b")
    done, _ = await asyncio.wait(
        [asyncio.ensure_future(first), asyncio.ensure_future(second)], return_when=asyncio.FIRST_COMPLETED
    )
    return next(iter(done)).result()


@durable_execution
async def trusts_a_large_amount(event: int, ctx: DurableContext) -> Any:
    """The discount turns the amount negative for small orders."""
    discount = int(await ctx.step(real, "discount"))
    amount = event - discount
    if amount < 0:
        raise ValueError("a negative amount")
    return amount


@durable_execution
async def caches_the_rate(_event: Any, ctx: DurableContext) -> Any:
    """The cache of the environment decides whether the step is called."""
    if "rate" not in COUNT:
        COUNT["rate"] = int(await ctx.step(real, "rate"))
    await ctx.wait(timedelta(seconds=1), name="pause")
    return await ctx.step(real, "charge", config=AT_MOST_ONCE)
