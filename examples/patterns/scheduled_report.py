"""Repeat work on a schedule, and start a new execution before the history grows too long."""

from datetime import timedelta
from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"first_week": 1}
RESULT = "weeks 1 to 4 reported, next execution started with week 5"

WEEKS_PER_EXECUTION = 4


@durable_step
async def report(step: StepContext, week: int) -> str:
    return f"report of week {week}"


@durable_step
async def start_next(step: StepContext, week: int) -> int:
    """Start the next execution: `lambda.invoke(InvocationType="Event", DurableExecutionName=f"weeks-{week}", …)`.

    The name makes the start idempotent: a repeated attempt finds the execution that it has already started.
    """
    return week


@durable_execution
async def handler(request: dict[str, Any], ctx: DurableContext) -> str:
    first = int(request["first_week"])
    for week in range(first, first + WEEKS_PER_EXECUTION):
        await ctx.step(report(week), name=f"week {week}")
        await ctx.wait(timedelta(weeks=1), name=f"after week {week}")
    following = await ctx.step(start_next(first + WEEKS_PER_EXECUTION))
    return f"weeks {first} to {following - 1} reported, next execution started with week {following}"


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)
