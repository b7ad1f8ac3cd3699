"""Processes a collection a few items at a time, and runs independent branches concurrently.

As a script it runs on this machine, without an AWS account: `python examples/parallel_processing.py`.
On Lambda the handler is `parallel_processing.price_basket`.
"""

from dataclasses import dataclass

from durable_execution import (
    CompletionConfig,
    DurableContext,
    MapConfig,
    ParallelBranch,
    ParallelConfig,
    RetryPresets,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
)

PRICES = {"tea": 4.20, "cup": 9.00, "pot": 24.50, "tin": 6.30}
ONCE = StepConfig(retry_strategy=RetryPresets.none())
"""An item without a price has none a minute later either."""


@dataclass(frozen=True, slots=True)
class Basket:
    """What the caller sends."""

    items: list[str]
    country: str


@durable_step
async def look_up(_step: StepContext, item: str) -> float:
    return PRICES[item]


@durable_step
async def tax_rate(_step: StepContext, country: str) -> float:
    return {"DE": 0.19, "FR": 0.20}.get(country, 0.0)


@durable_step
async def shipping(_step: StepContext, count: int) -> float:
    return 0.0 if count > 3 else 4.90


@durable_execution
async def price_basket(basket: Basket, ctx: DurableContext) -> dict[str, object]:
    """Price a basket; items without a price are left out and listed."""

    async def price(item_ctx: DurableContext, item: str, _index: int) -> float:
        return await item_ctx.step(look_up(item), config=ONCE)

    prices = await ctx.map(
        basket.items,
        price,
        name="prices",
        config=MapConfig(
            max_concurrency=3,
            completion_config=CompletionConfig.all_completed(),  # an unknown item does not stop the others
            item_namer=lambda item, _index: item,
        ),
    )

    async def taxes(branch: DurableContext) -> float:
        return await branch.step(tax_rate(basket.country))

    async def freight(branch: DurableContext) -> float:
        return await branch.step(shipping(prices.success_count))

    extras = await ctx.parallel(
        [ParallelBranch(taxes, name="tax"), ParallelBranch(freight, name="freight")],
        name="extras",
        config=ParallelConfig(max_concurrency=2),
    )
    extras.throw_if_error()
    rate, freight_cost = extras.get_results()
    net = sum(prices.get_results())
    return {
        "total": round(net * (1 + rate) + freight_cost, 2),
        "unknown": [basket.items[failed.index] for failed in prices.failed()],
    }


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(price_basket, {"items": ["tea", "cup", "spoon", "pot"], "country": "DE"}).result)
