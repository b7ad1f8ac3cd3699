"""Poll a job until it is done, with growing delays. The execution is suspended between polls."""

from dataclasses import dataclass
from datetime import timedelta

from durable_execution import (
    DurableContext,
    Jitter,
    StepContext,
    WaitForConditionConfig,
    durable_execution,
    poll_until,
)

PAYLOAD = {"job": "reindex"}
RESULT = "reindex done after 4 polls"


@dataclass(frozen=True, slots=True)
class Job:
    """The state that goes from poll to poll."""

    polls: int
    is_done: bool


async def ask(job: Job, step: StepContext) -> Job:
    polls = job.polls + 1
    return Job(polls, is_done=polls >= 4)  # for real: ask the job for its state


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    job = await ctx.wait_for_condition(
        ask,
        request["job"],
        config=WaitForConditionConfig(
            initial_state=Job(0, is_done=False),
            wait_strategy=poll_until(
                lambda job: job.is_done,
                initial_delay=timedelta(seconds=10),
                max_delay=timedelta(minutes=5),
                jitter=Jitter.NONE,
            ),
        ),
    )
    return f"{request['job']} done after {job.polls} polls"


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)
