"""Write a workflow in plain `def`, without `await`, for libraries that block."""

from datetime import timedelta

from durable_execution import BlockingContext, StepContext, durable_execution, durable_step

PAYLOAD = {"customer": "Ada"}
RESULT = "welcome mail and reminder to Ada"


@durable_step
def send(step: StepContext, what: str, customer: str) -> str:
    return f"{what} to {customer}"  # runs in a worker thread, so it may block


@durable_execution
def handler(request: dict[str, str], ctx: BlockingContext) -> str:
    welcome = ctx.step(send("welcome mail", request["customer"]))
    ctx.wait(timedelta(days=3), name="three days")
    reminder = ctx.step(send("reminder", request["customer"]))
    return welcome.removesuffix(f" to {request['customer']}") + f" and {reminder}"


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)
