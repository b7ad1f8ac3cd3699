"""Workflows of a shop with real step bodies: a planted bug in each of the first fourteen, and six sound ones."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from durable_execution import (
    CallbackConfig,
    DurableContext,
    RetryPresets,
    StepConfig,
    StepContext,
    StepSemantics,
    WaitForCallbackConfig,
    WaitForConditionConfig,
    durable_execution,
    durable_step,
    poll_until,
)
from durable_execution.errors import CallbackError, CallbackTimeoutError, StepError, StepInterruptedError

ONCE = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry_strategy=RetryPresets.none())
DAY = timedelta(days=1)
REFUNDS: Counter[str] = Counter()


class SoldOutError(Exception):
    """The warehouse has no more of it."""


@durable_step
async def quote(_step: StepContext, carrier: str) -> str:
    await asyncio.sleep(0)
    return f"{carrier}: {len(carrier)} EUR"


@durable_step
def blocking_quote(_step: StepContext, carrier: str) -> str:
    return f"{carrier}: {len(carrier)} EUR"


@durable_step
async def act(step: StepContext, what: str) -> str:
    return f"{what} {step.attempt}"


# Planted bugs.


@durable_execution
async def lists_quotes_as_they_come(_event: Any, ctx: DurableContext) -> list[str]:
    """The first quote is shown as the preferred one, and that is whichever came first."""
    quotes: list[str] = []

    async def ask(carrier: str) -> None:
        quotes.append(await ctx.step(quote(carrier), carrier))

    await asyncio.gather(*(ask(carrier) for carrier in ("post", "express", "bike")))
    return quotes


@durable_execution
async def numbers_invoices_in_branches(_event: Any, ctx: DurableContext) -> list[Any]:
    """Branches share a counter, so a number depends on which branch came first."""
    last = {"number": 100}

    def invoice(customer: str) -> Callable[[DurableContext], Any]:
        async def branch(inner: DurableContext) -> str:
            await inner.step(act(customer), f"render-{customer}")
            last["number"] += 1
            return f"{customer}: {last['number']}"

        return branch

    return (await ctx.parallel([invoice("ann"), invoice("bob")], "invoices")).get_results()


@durable_execution
async def loses_stock_in_a_map(_event: Any, ctx: DurableContext) -> int:
    """Each item reads the stock, waits for a step, and writes: all but one of the bookings are lost."""
    stock = {"left": 10}

    async def book(inner: DurableContext, amount: int, _index: int) -> None:
        left = stock["left"]
        await inner.step(act("book"), f"book-{amount}")
        stock["left"] = left - amount

    await ctx.map([1, 2, 3], book, "bookings")
    return stock["left"]


@durable_execution
async def gives_the_first_a_discount(_event: Any, ctx: DurableContext) -> dict[str, str]:
    """`as_completed` yields in the order of the ends."""

    async def price(item: str) -> tuple[str, str]:
        return item, await ctx.step(blocking_quote(item), item)

    prices: dict[str, str] = {}
    for task in asyncio.as_completed([price("tea"), price("coffee")]):
        item, value = await task
        prices[item] = value if prices else f"{value} less 10 %"
    return prices


@durable_execution
async def books_both_carriers(_event: Any, ctx: DurableContext) -> Any:
    """The loser of a race may have ended too, and no one cancels its booking."""
    return await ctx.race(ctx.step(act("dhl"), "book-dhl"), ctx.step(act("ups"), "book-ups"))


@durable_execution
async def gives_up_too_early(_event: Any, ctx: DurableContext) -> str:
    """The charge goes on after the time-out, and no one takes it back."""

    async def charge() -> str:
        await ctx.step(act("charge"), "charge", config=ONCE)
        return "paid"

    async def give_up() -> str:
        await ctx.wait(timedelta(seconds=30), "patience")
        return "given up"

    return await ctx.race(charge(), give_up())


@durable_execution
async def retries_at_most_once(_event: Any, ctx: DurableContext) -> str:
    """At most once for each attempt, and there are three attempts."""
    config = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
    return await ctx.step(act("charge"), "charge", config=config)


@durable_execution
async def either_of_two_approvers(_event: Any, ctx: DurableContext) -> str:
    """Two have to approve, and the second answer is read only if the first was a no."""
    first = await ctx.create_callback("approver", config=CallbackConfig(result_type=bool))
    second = await ctx.create_callback("approver", config=CallbackConfig(result_type=bool))
    if await first.result() or await second.result():
        await ctx.step(act("ship"), "ship", config=ONCE)
        return "shipped"
    return "rejected"


@durable_execution
async def asks_twice(_event: Any, ctx: DurableContext) -> str:
    """A reviewer gets a second mail when the process dies after the first."""

    async def mail(_callback_id: str, _step: StepContext) -> None:
        return None

    await ctx.wait_for_callback(mail, "review", config=WaitForCallbackConfig(timeout=DAY))
    return "reviewed"


@durable_execution
async def keeps_a_token_in_a_closure(_event: Any, ctx: DurableContext) -> str:
    """The body of a step sets a variable. On a replay, the body does not run."""
    token = None

    async def log_in(_step: StepContext) -> None:
        nonlocal token
        token = "secret"

    await ctx.step(log_in, "log-in")
    await ctx.step(act("fetch"), "fetch")
    return f"fetched with {token}"


def collect(item: str, basket: list[str] = []) -> list[str]:  # noqa: B006  # the bug
    basket.append(item)
    return basket


@durable_execution
async def fills_a_shared_basket(event: str, ctx: DurableContext) -> int:
    """A mutable default argument grows with every replay."""
    basket = collect(event)
    await ctx.step(act("reserve"), "reserve")
    return len(basket)


@durable_execution
async def keeps_the_money(_event: Any, ctx: DurableContext) -> str:
    """A rejection is refunded, and an approval that never comes is not."""
    await ctx.step(act("charge"), "charge", config=ONCE)
    callback = await ctx.create_callback("approval", config=CallbackConfig(timeout=DAY, result_type=bool))
    try:
        approved = await callback.result()
    except CallbackTimeoutError:
        return "expired"
    if not approved:
        await ctx.step(act("refund"), "refund")
        return "refunded"
    return "approved"


@durable_execution
async def refunds_outside_a_step(_event: Any, ctx: DurableContext) -> str:
    """The refund is not recorded, so every replay of that line refunds again."""
    REFUNDS[ctx.execution_arn] += 1
    await ctx.step(act("mail"), "mail")
    return "refunded"


@durable_execution
async def remembers_the_invocation(_event: Any, ctx: DurableContext) -> str:
    """Whether the code replays depends on crashes and pauses."""
    was_replaying = ctx.is_replaying
    await ctx.step(act("pack"), "pack")
    await ctx.step(act("ship"), "ship")
    return "resumed" if was_replaying else "straight"


@durable_execution
async def ships_from_the_first_to_answer(_event: Any, ctx: DurableContext) -> str:
    """Which answer was first is not recorded: on a replay, both are there."""

    async def answer(name: str) -> str:
        callback = await ctx.create_callback(name, config=CallbackConfig(result_type=str))
        await callback.result()
        return name

    tasks = [asyncio.ensure_future(answer(name)) for name in ("warehouse", "shop")]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    chosen = next(task for task in tasks if task in done).result()
    await ctx.step(act("ship"), f"ship-from-{chosen}")
    await asyncio.gather(*pending)
    return chosen


# Sound workflows.


@durable_execution
async def saga(_event: Any, ctx: DurableContext) -> str:
    try:
        await ctx.step(act("charge"), "charge", config=ONCE)
    except StepInterruptedError:  # it may have taken effect
        await ctx.step(act("refund"), "refund")
        return "refunded"
    except StepError:
        return "unpaid"
    try:
        await ctx.step(act("reserve"), "reserve", config=ONCE)
        callback = await ctx.create_callback("approval", config=CallbackConfig(timeout=DAY, result_type=bool))
        if await callback.result():
            return "shipped"
    except (StepError, CallbackError):
        pass
    await ctx.step(act("refund"), "refund")
    return "refunded"


@durable_execution
async def quotes_in_order(event: list[str], ctx: DurableContext) -> list[str]:
    async def item(inner: DurableContext, carrier: str, _index: int) -> str:
        asked = await inner.step(quote(carrier), "ask")
        await inner.wait(timedelta(seconds=len(carrier) + 1), "think")
        return f"{asked} {await inner.step(blocking_quote(carrier), 'confirm')}"

    return (await ctx.map(event, item, "quotes")).get_results()


@durable_execution
async def releases_the_loser(_event: Any, ctx: DurableContext) -> str:
    async def book(carrier: str) -> str:
        await ctx.step(act(carrier), f"book-{carrier}")
        return carrier

    winner = await ctx.race(book("dhl"), book("ups"))
    await ctx.step(act("release"), f"release-{'ups' if winner == 'dhl' else 'dhl'}")
    return "booked"


@durable_execution
async def two_of_three(_event: Any, ctx: DurableContext) -> str:
    async def vote(number: int) -> bool:
        callback = await ctx.create_callback(f"vote-{number}", config=CallbackConfig(timeout=DAY, result_type=bool))
        try:
            return await callback.result()
        except CallbackError:
            return False

    votes = await asyncio.gather(*(vote(number) for number in range(3)))
    return "accepted" if sum(votes) >= 2 else "rejected"


@durable_execution
def plain_order(event: int, ctx: Any) -> list[Any]:
    def branch(name: str) -> Callable[[Any], Any]:
        return lambda inner: [inner.step(blocking_quote(name), name), inner.step(blocking_quote("again"), "again")]

    both = ctx.parallel([branch("pack"), branch("print")], "prepare").get_results()
    ctx.wait(timedelta(minutes=event + 1), "collect")
    return [*both, ctx.step(blocking_quote("ship"), "ship")]


@durable_execution
async def polls_and_retries(_event: Any, ctx: DurableContext) -> list[Any]:
    polling = WaitForConditionConfig(wait_strategy=poll_until(lambda count: count >= 3), initial_state=0)

    async def look(count: int, _step: StepContext) -> int:
        return count + 1

    async def deliver(step: StepContext) -> str:
        if step.attempt < 3:
            raise SoldOutError
        return "delivered"

    async def hurry() -> str:
        with suppress(StepError):
            return await ctx.step(deliver, "deliver")
        return "lost"

    return list(
        await asyncio.gather(
            ctx.wait_for_condition(look, "poll", config=polling),
            hurry(),
            ctx.wait(timedelta(seconds=7), "tea"),
        )
    )
