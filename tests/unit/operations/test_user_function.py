"""What users give to operations: functions that are none, and strategies and rules that answer nonsense."""

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    BlockingContext,
    ChildConfig,
    CompletionConfig,
    DurableContext,
    MapConfig,
    ParallelBranch,
    StepConfig,
    StepContext,
    WaitForConditionConfig,
    WithRetryConfig,
    durable_execution,
    durable_step,
)
from tests.unit.fake_service import FakeService, invoke

Call = Callable[[Any, Any], Any]


async def work(*arguments: Any) -> int:
    return 1


OPERATIONS: dict[str, Call] = {
    "ctx.step": lambda ctx, given: ctx.step(given),
    "ctx.run_in_child_context": lambda ctx, given: ctx.run_in_child_context(given),
    "ctx.map": lambda ctx, given: ctx.map([1], given),
    "ctx.parallel": lambda ctx, given: ctx.parallel([work, given]),
    "ctx.wait_for_condition": lambda ctx, given: ctx.wait_for_condition(
        given, config=WaitForConditionConfig(wait_strategy=never)
    ),
    "ctx.wait_for_callback": lambda ctx, given: ctx.wait_for_callback(given),
}


def never(state: Any, attempt: int) -> Any:
    raise AssertionError


def error_of(handler: Any, service: FakeService) -> tuple[str, str]:
    error = invoke(durable_execution(handler), service)["Error"]
    return error["ErrorType"].rpartition(".")[2], error["ErrorMessage"]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("given", [5, None, "work", [work]], ids=["number", "none", "text", "list"])
def test_what_cannot_be_called_is_refused_at_once(operation: str, given: Any) -> None:
    async def handler(_: Any, ctx: DurableContext) -> None:
        await OPERATIONS[operation](ctx, given)

    def blocking(_: Any, ctx: BlockingContext) -> None:
        OPERATIONS[operation](ctx, given)

    for style in (handler, blocking):
        service = FakeService()
        kind, text = error_of(style, service)
        assert kind == "ConfigurationError"
        assert text.startswith(f"{operation} takes a function, not ")
        assert service.calls == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_in_place_of_a_function_is_explained(operation: str) -> None:
    async def handler(_: Any, ctx: DurableContext) -> None:
        await OPERATIONS[operation](ctx, work(1))

    service = FakeService()
    kind, text = error_of(handler, service)
    assert kind == "ConfigurationError"
    assert f"{operation} takes a function, not the coroutine that work(...) returns" in text
    assert service.calls == []


def no_parameters() -> int:
    raise AssertionError("it is not called")


def needs_a_keyword(one: Any, *, two: Any) -> int:
    raise AssertionError("it is not called")


def takes_five(one: Any, two: Any, three: Any, four: Any, five: Any) -> int:
    raise AssertionError("it is not called")


WAYS: dict[str, Call] = {
    **OPERATIONS,
    "ctx.with_retry": lambda ctx, given: ctx.with_retry(given),
    "MapConfig(item_namer=...)": lambda ctx, given: ctx.map([1], item, config=MapConfig(item_namer=given)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("given", [no_parameters, needs_a_keyword, takes_five, functools.partial(no_parameters)])
def test_a_function_that_does_not_take_what_it_is_given_is_refused_at_once(way: str, given: Any) -> None:
    async def handler(_: Any, ctx: DurableContext) -> None:
        await WAYS[way](ctx, given)

    def blocking(_: Any, ctx: BlockingContext) -> None:
        WAYS[way](ctx, given)

    for style in (handler, blocking):
        service = FakeService()
        kind, text = error_of(style, service)
        assert kind == "ConfigurationError", text
        assert text.startswith(f"{way} calls its function as function(")
        assert not any(update["Type"] == "STEP" for call in service.calls for update in call)


def test_what_a_map_calls_may_take_all_items_too() -> None:
    async def handler(_: Any, ctx: DurableContext) -> list[Any]:
        async def with_all(child: Any, value: int, index: int, items: list[int]) -> list[int]:
            return [value, index, len(items)]

        async def without_index(child: Any, value: int) -> int:
            return value

        found = await ctx.map([5, 6], with_all)  # type: ignore[arg-type]
        return [*found.get_results(), *(await ctx.map([5, 6], without_index)).get_results()]

    assert invoke(durable_execution(handler), FakeService())["Result"] == "[[5,0,2],[6,1,2],5,6]"


def test_ordinary_functions_may_be_contexts_and_branches_of_a_coroutine_handler() -> None:
    async def handler(_: Any, ctx: Any) -> list[Any]:
        mapped = await ctx.map([1, 2], lambda child, value, index: value * 10)
        return [
            mapped.get_results(),
            (await ctx.parallel([lambda child: "a", lambda child: child.step(lambda _: "b")])).get_results(),
            await ctx.run_in_child_context(lambda child: "c"),
            await ctx.with_retry(lambda child, attempt: attempt),
        ]

    assert invoke(durable_execution(handler), FakeService())["Result"] == '[[10,20],["a","b"],"c",1]'


def test_arguments_a_durable_step_does_not_take_are_no_failure_of_its_body() -> None:
    @durable_step
    def greet(name: Any) -> str:
        raise AssertionError("it is not called")

    async def handler(_: Any, ctx: DurableContext) -> None:
        await ctx.step(greet("Ada"))  # type: ignore[call-arg]

    service = FakeService()
    kind, text = error_of(handler, service)
    assert kind == "ConfigurationError"
    assert "too many positional arguments. Make `step` the first parameter of the @durable_step" in text
    assert [update["Action"] for call in service.calls for update in call] == ["START", "FAIL"]


@pytest.mark.parametrize(
    ("way", "given", "said"),
    [
        ("ctx.step", "fetch", "Pass the function first, then the name"),
        ("ctx.parallel", ("fetch", work), "To name a branch, write ParallelBranch(function, name)"),
    ],
)
def test_what_was_meant_is_said(way: str, given: Any, said: str) -> None:
    async def handler(_: Any, ctx: DurableContext) -> None:
        await OPERATIONS[way](ctx, given)

    assert said in error_of(handler, FakeService())[1]


@pytest.mark.parametrize("way", ["ctx.step", "ctx.map", "ctx.parallel", "ctx.run_in_child_context"])
def test_a_configuration_of_something_else_is_refused(way: str) -> None:
    async def handler(_: Any, ctx: Any) -> None:
        wrong = WithRetryConfig()
        match way:
            case "ctx.map":
                await ctx.map([1], item, config=wrong)
            case "ctx.parallel":
                await ctx.parallel([work], config=wrong)
            case "ctx.step":
                await ctx.step(work, config=wrong)
            case _:
                await ctx.run_in_child_context(work, config=wrong)

    service = FakeService()
    kind, text = error_of(handler, service)
    assert kind == "ConfigurationError"
    assert f"{way} takes config=" in text
    assert service.calls == []


def test_a_configuration_in_place_of_the_name_is_recognised() -> None:
    async def handler(_: Any, ctx: Any) -> None:
        await ctx.step(work, StepConfig())

    assert error_of(handler, FakeService())[1].endswith("write config=StepConfig(...)")


def test_a_named_branch_is_looked_into() -> None:
    async def handler(_: Any, ctx: DurableContext) -> None:
        await ctx.parallel([ParallelBranch(5, "five")])  # type: ignore[arg-type]

    words = "ctx.parallel takes a function, not 5. Pass the function itself, without calling it"
    assert error_of(handler, FakeService())[1] == words


def test_branches_may_come_from_a_generator() -> None:
    async def handler(_: Any, ctx: DurableContext) -> list[int]:
        found = await ctx.parallel(branch for branch in (work, work))  # type: ignore[call-overload]
        return found.get_results()  # type: ignore[no-any-return]

    assert invoke(durable_execution(handler), FakeService())["Result"] == "[1,1]"


def raises(*arguments: Any) -> Any:
    raise ZeroDivisionError("in the strategy")


def fails(step: StepContext) -> None:
    raise LookupError("no such card")


async def fails_too(child: DurableContext, attempt: int) -> None:
    raise LookupError("no such card")


async def item(child: DurableContext, value: int) -> int:
    return value


async def large(child: DurableContext) -> str:
    return "x" * 300_000


USERS_CODE: dict[str, tuple[Call, str]] = {
    "a retry strategy": (
        lambda ctx, users: ctx.step(fails, config=StepConfig(retry_strategy=users)),
        "return RetryDecision.retry(delay) or RetryDecision.stop()",
    ),
    "a retry strategy of a block": (
        lambda ctx, users: ctx.with_retry(fails_too, config=WithRetryConfig(retry_strategy=users, child_context=False)),
        "return RetryDecision.retry(delay) or RetryDecision.stop()",
    ),
    "a wait strategy": (
        lambda ctx, users: ctx.wait_for_condition(
            lambda state, step: 1, config=WaitForConditionConfig(wait_strategy=users)
        ),
        "return WaitDecision.check_again(delay) or WaitDecision.done()",
    ),
    "should_complete": (
        lambda ctx, users: ctx.map(
            [1], item, config=MapConfig(completion_config=CompletionConfig(should_complete=users))
        ),
        "return CompletionDecision.go_on() or CompletionDecision.complete(outcome)",
    ),
}


@pytest.mark.parametrize("place", USERS_CODE)
@pytest.mark.parametrize("answer", [True, None, timedelta(seconds=1)], ids=["true", "none", "delay"])
def test_an_answer_that_is_none_is_explained(place: str, answer: Any) -> None:
    call, cure = USERS_CODE[place]

    async def handler(_: Any, ctx: DurableContext) -> None:
        await call(ctx, lambda *arguments: answer)

    kind, text = error_of(handler, FakeService())
    assert f"returned {answer!r}: {cure}" in text, (kind, text)


@pytest.mark.parametrize("place", USERS_CODE)
def test_what_it_raises_is_not_lost(place: str) -> None:
    call, _ = USERS_CODE[place]

    async def handler(payload: Any, ctx: DurableContext) -> None:
        await call(ctx, raises)

    _, text = error_of(handler, FakeService())
    assert "in the strategy" in text


def test_a_summary_may_be_anything_that_has_a_text() -> None:
    service = FakeService()

    async def handler(_: Any, ctx: DurableContext) -> int:
        summary: Any = lambda value: {"length": len(value)}  # noqa: E731
        return len(await ctx.run_in_child_context(large, config=ChildConfig(summary_generator=summary)))

    assert invoke(durable_execution(handler), service)["Result"] == "300000"
    (succeeded,) = [update for call in service.calls for update in call if update["Action"] == "SUCCEED"]
    assert succeeded["Payload"] == "{'length': 300000}"
    assert succeeded["ContextOptions"] == {"ReplayChildren": True}
