"""Return dataclasses, enums, dates and decimals from a step; a replay restores the same types."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum

from durable_execution import DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"article": "tea"}
RESULT = "2 x 4.20 EUR = 8.40 EUR, due 2026-02-01"


class Currency(Enum):
    """A currency."""

    EUR = "EUR"
    USD = "USD"


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer for an article."""

    price: Decimal
    currency: Currency
    due: date


@durable_step
async def make_offer(step: StepContext, article: str) -> Offer:
    return Offer(Decimal("4.20"), Currency.EUR, date(2026, 2, 1))


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    offer = await ctx.step(make_offer(request["article"]))
    total = offer.price * 2  # a Decimal, on the first run and on every replay
    return f"2 x {offer.price} {offer.currency.value} = {total} {offer.currency.value}, due {offer.due:%Y-%m-%d}"


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)
