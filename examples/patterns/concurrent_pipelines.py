"""Run several sequences concurrently with `asyncio.gather`; each has its own steps and waits."""

import asyncio
from datetime import timedelta

from durable_execution import DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"regions": ["eu", "us", "ap"]}
RESULT = ["eu deployed and verified", "us deployed and verified", "ap deployed and verified"]


@durable_step
async def deploy(step: StepContext, region: str) -> str:
    return f"{region} deployed"


@durable_step
async def verify(step: StepContext, state: str) -> str:
    return f"{state} and verified"


@durable_execution
async def handler(request: dict[str, list[str]], ctx: DurableContext) -> list[str]:
    async def pipeline(region: str) -> str:
        state = await ctx.step(deploy(region), name=f"deploy {region}")
        await ctx.wait(timedelta(minutes=15), name=f"bake {region}")
        return await ctx.step(verify(state), name=f"verify {region}")

    return list(await asyncio.gather(*(pipeline(region) for region in request["regions"])))


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)
