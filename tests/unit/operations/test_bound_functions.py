"""`@durable_context` and `@durable_branch`, beside `@durable_step`; keys for the systems that steps call."""

from typing import Any

from durable_execution import (
    BlockingContext,
    DurableContext,
    StepContext,
    durable_branch,
    durable_context,
    durable_execution,
    durable_step,
)
from durable_execution.testing import LocalRunner


@durable_step
async def pay(step: StepContext, amount: int) -> str:
    return f"{amount} paid"


@durable_context
async def booking(ctx: DurableContext, amount: int, *, discount: int = 0) -> str:
    return await ctx.step(pay(amount - discount))


@durable_branch
async def mail(ctx: DurableContext, to: str) -> str:
    return await ctx.step(lambda step: f"mail to {to}", name="send")


def test_a_context_takes_arguments_and_its_function_s_name() -> None:
    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> str:
        return await ctx.run_in_child_context(booking(10, discount=3))

    with LocalRunner(flow) as runner:
        result = runner.run()
    assert result.assert_succeeded() == "7 paid"
    assert result.context("booking").step("pay").status == "SUCCEEDED"
    assert repr(booking(1)) == "BoundContext(booking)"


def test_a_name_that_is_given_wins() -> None:
    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> str:
        return await ctx.run_in_child_context(booking(10), "first")

    with LocalRunner(flow) as runner:
        assert runner.run().context("first").children[0].name == "pay"


def test_branches_take_arguments_and_names() -> None:
    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> list[str]:
        return (await ctx.parallel([mail("ada"), mail("grace")], "mails")).get_results()

    with LocalRunner(flow) as runner:
        result = runner.run()
    assert result.assert_succeeded() == ["mail to ada", "mail to grace"]
    assert [branch.name for branch in result.batch("mails").branches] == ["mail", "mail"]


def test_they_work_in_a_blocking_handler() -> None:
    @durable_context
    def total(ctx: BlockingContext, amount: int) -> str:
        return ctx.step(pay(amount))

    @durable_execution
    def flow(_: Any, ctx: BlockingContext) -> list[str]:
        first: str = ctx.run_in_child_context(total(1))
        return [first, *ctx.parallel([mail("ada")], "mails").get_results()]

    with LocalRunner(flow) as runner:
        assert runner.run().assert_succeeded() == ["1 paid", "mail to ada"]


def test_an_idempotency_key_differs_between_executions_and_not_between_attempts() -> None:
    keys: list[str] = []

    def body(step: StepContext) -> None:
        keys.append(step.idempotency_key)
        if step.attempt == 1:
            raise TimeoutError("no answer")

    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> None:
        await ctx.step(body, name="charge")

    with LocalRunner(flow) as runner:
        runner.run()
        runner.run()
    assert keys[0] == keys[1]
    assert keys[2] == keys[3]
    assert keys[0] != keys[2]
    assert {len(key) for key in keys} == {64}
