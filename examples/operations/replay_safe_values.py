"""Use the time, UUIDs and random numbers in a workflow without breaking replay."""

from durable_execution import DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"experiment": "new checkout"}
RESULT = {"has_reference": True, "group": True, "is_aware": True}


@durable_step
async def assign(step: StepContext, group: str) -> str:
    return group


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> dict[str, bool]:
    started = await ctx.now()  # recorded: one step
    reference = ctx.uuid()  # derived from the execution: free
    group = "variant" if ctx.random().random() < 0.5 else "control"
    assigned = await ctx.step(assign(group))
    return {
        "has_reference": reference.version == 4,
        "group": assigned == group,
        "is_aware": started.tzinfo is not None,
    }


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)
