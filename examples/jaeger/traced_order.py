"""An order whose spans go to Jaeger: a step, a map, a step with two attempts, a wait.

As a script it runs on this machine: `python examples/jaeger/traced_order.py`. Spans go to `OTEL_EXPORTER_OTLP_ENDPOINT`,
by default http://localhost:4318, where `docker compose -f examples/jaeger/compose.yaml up -d` listens.
"""

from datetime import timedelta

from durable_execution import (
    DurableContext,
    MapConfig,
    RetryPresets,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
)
from durable_execution.telemetry import configure

# Once, at module level. If the application already has a tracer provider, the SDK uses it. Jaeger accepts no metrics, and shows
# a span that is sent again twice.
telemetry = configure(service_name="orders", metrics=False, trace_root="once")

PRICES = {"tea": 4.20, "pot": 24.50}


@durable_step
async def reserve_stock(_step: StepContext, articles: list[str]) -> str:
    return f"reserved {len(articles)}"


@durable_step
async def look_up(_step: StepContext, article: str) -> float:
    return PRICES[article]


@durable_step
async def charge(step: StepContext, amount: float) -> str:
    if step.attempt == 1:
        raise TimeoutError("the payment provider did not answer")
    return f"charged {amount:.2f}"


@durable_execution
async def traced_order(articles: list[str], ctx: DurableContext) -> str:
    """Process one order."""

    async def price(item_ctx: DurableContext, article: str, _index: int) -> float:
        return await item_ctx.step(look_up(article))

    await ctx.step(reserve_stock(articles))
    prices = await ctx.map(articles, price, name="prices", config=MapConfig(item_namer=lambda article, _: article))
    again = StepConfig(retry_strategy=RetryPresets.fixed(timedelta(seconds=1)))
    charged = await ctx.step(charge(sum(prices.get_results())), config=again)
    await ctx.wait(timedelta(seconds=1), name="cooling_off")
    return charged


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(traced_order, ["tea", "pot"]).result)
    telemetry.shutdown()  # not needed on Lambda, where every invocation flushes before it answers
    print("http://localhost:16686/search?service=orders")
