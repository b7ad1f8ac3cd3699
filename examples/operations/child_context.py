"""Group operations into a unit: it has its own numbering, and a replay skips it once it has ended."""

import asyncio

from durable_execution import DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"from": "HAM", "to": "LIS"}
RESULT = "flight HAM-LIS, hotel in LIS"


@durable_step
async def search(step: StepContext, what: str) -> list[str]:
    return [what, f"second-best {what}"]


@durable_step
async def book(step: StepContext, offer: str) -> str:
    return offer


@durable_execution
async def handler(trip: dict[str, str], ctx: DurableContext) -> str:
    async def flight(child: DurableContext) -> str:
        offers = await child.step(search(f"flight {trip['from']}-{trip['to']}"))
        return await child.step(book(offers[0]))

    async def hotel(child: DurableContext) -> str:
        offers = await child.step(search(f"hotel in {trip['to']}"))
        return await child.step(book(offers[0]))

    booked = await asyncio.gather(ctx.run_in_child_context(flight, "flight"), ctx.run_in_child_context(hotel, "hotel"))
    return ", ".join(booked)


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)
