"""Run different branches concurrently, each with several operations, and collect their results."""

from datetime import timedelta

from durable_execution import DurableContext, ParallelBranch, StepContext, durable_execution, durable_step

PAYLOAD = {"employee": "Ada"}
RESULT = ["laptop for Ada", "account for Ada", "badge for Ada"]


@durable_step
async def provide(step: StepContext, thing: str, employee: str) -> str:
    return f"{thing} for {employee}"


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> list[str]:
    employee = request["employee"]

    async def hardware(branch: DurableContext) -> str:
        await branch.wait(timedelta(days=3), name="delivery")
        return await branch.step(provide("laptop", employee))

    async def account(branch: DurableContext) -> str:
        return await branch.step(provide("account", employee))

    async def badge(branch: DurableContext) -> str:
        return await branch.step(provide("badge", employee))

    batch = await ctx.parallel([ParallelBranch(hardware, "hardware"), account, badge], "onboarding")
    batch.throw_if_error()
    return batch.get_results()


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)
