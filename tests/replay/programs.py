"""Workflows as JSON, so that the corpus of recordings can be used by an SDK in any language.

A program is a list of statements; `docs` of the form are in `corpus/README.md`. This module turns one into a handler.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from durable_execution import (
    CallbackConfig,
    ChildConfig,
    CompletionConfig,
    DurableContext,
    DurableHandler,
    MapConfig,
    NestingType,
    OperationError,
    ParallelBranch,
    ParallelConfig,
    StepConfig,
    StepSemantics,
    WaitForCallbackConfig,
    WaitForConditionConfig,
    durable_execution,
    poll_until,
)
from durable_execution.retry import Jitter, exponential_backoff

Statement = Mapping[str, Any]
Variables = dict[str, Any]


class Returned(Exception):  # noqa: N818  # not an error: the value of a program
    """A program has returned."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def handler_of(program: Mapping[str, Any]) -> DurableHandler[Any]:
    """The handler that runs a program."""
    attempts: dict[str, int] = {}

    async def workflow(event: Any, ctx: DurableContext) -> Any:
        variables: Variables = {"input": event}
        try:
            await run(program["body"], ctx, variables, attempts)
        except Returned as returned:
            return returned.value
        return None

    workflow.__name__ = workflow.__qualname__ = program.get("handler", "flow")
    workflow.__module__ = "corpus"
    return durable_execution(workflow)


async def run(body: list[Statement], ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> None:
    """Run statements one after another."""
    for statement in body:
        value = await start(statement, ctx, variables, attempts)
        if "as" in statement:
            variables[statement["as"]] = value


def start(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> Any:
    """Make the call of a statement; what it returns is to be awaited."""
    return STATEMENTS[statement["op"]](statement, ctx, variables, attempts)


def named(statement: Statement, variables: Variables) -> str | None:
    """The name of a call, with variables filled in."""
    name = statement.get("name")
    return None if name is None else str(name).format(**variables)


def value_of(expression: Any, variables: Variables) -> Any:
    """A value: `{"var": name}`, `{"large": bytes}`, `{"list": [...]}`, or plain JSON."""
    match expression:
        case {"var": str(name)}:
            return variables.get(name)
        case {"large": int(size)}:
            return "x" * size
        case {"all": list(parts)}:
            return [value_of(part, variables) for part in parts]
        case _:
            return expression


def step(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> Any:
    name = named(statement, variables)
    key = f"{ctx.path}/{name}"

    async def body(_: Any) -> Any:
        attempts[key] = attempts.get(key, 0) + 1
        if attempts[key] <= statement.get("failures", 0):
            raise ValueError(f"attempt {attempts[key]} fails")
        return value_of(statement.get("value"), variables)

    retry = exponential_backoff(
        max_attempts=statement.get("attempts", 3),
        initial_delay=timedelta(seconds=statement.get("delay", 1)),
        jitter=Jitter.NONE,
    )
    semantics = StepSemantics.AT_LEAST_ONCE_PER_RETRY
    if statement.get("at_most_once"):
        semantics = StepSemantics.AT_MOST_ONCE_PER_RETRY
    config = StepConfig(retry_strategy=retry, step_semantics=semantics, sub_type=statement.get("sub_type"))
    return ctx.step(body, name, config=config)


def wait(statement: Statement, ctx: DurableContext, variables: Variables, _: dict[str, int]) -> Any:
    return ctx.wait(timedelta(seconds=statement["seconds"]), named(statement, variables))


def callback(statement: Statement, ctx: DurableContext, variables: Variables, _: dict[str, int]) -> Any:
    return ctx.create_callback(named(statement, variables), config=callback_config(statement))


def callback_config(statement: Statement) -> CallbackConfig:
    def duration(word: str) -> timedelta | None:
        return timedelta(seconds=statement[word]) if word in statement else None

    return CallbackConfig(timeout=duration("timeout"), heartbeat_timeout=duration("heartbeat_timeout"))


async def callback_result(statement: Statement, _: DurableContext, variables: Variables, __: dict[str, int]) -> Any:
    return await variables[statement["of"]].result()


def wait_for_callback(statement: Statement, ctx: DurableContext, variables: Variables, _: dict[str, int]) -> Any:
    async def submit(callback_id: str, _: Any) -> None:
        return None

    timeout = timedelta(seconds=statement["timeout"]) if "timeout" in statement else None
    return ctx.wait_for_callback(submit, named(statement, variables), config=WaitForCallbackConfig(timeout=timeout))


def wait_for_condition(statement: Statement, ctx: DurableContext, variables: Variables, _: dict[str, int]) -> Any:
    polls = statement["polls"]

    async def check(state: int, _: Any) -> int:
        return state + 1

    strategy = poll_until(lambda state: state >= polls, initial_delay=timedelta(seconds=1), jitter=Jitter.NONE)
    config = WaitForConditionConfig(wait_strategy=strategy, initial_state=0)
    return ctx.wait_for_condition(check, named(statement, variables), config=config)


def invoke(statement: Statement, ctx: DurableContext, variables: Variables, _: dict[str, int]) -> Any:
    payload = value_of(statement.get("payload"), variables)
    return ctx.invoke(statement["function"], payload, name=named(statement, variables))


def body_of(
    statement: Statement, body: list[Statement], variables: Variables, attempts: dict[str, int]
) -> Callable[..., Any]:
    async def run_body(ctx: DurableContext, item: Any = None, index: int = 0) -> Any:
        own = {**variables, "item": item, "index": index}
        try:
            await run(body, ctx, own, attempts)
        except Returned as returned:
            return returned.value
        return value_of(statement.get("value"), own)

    return run_body


def child(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> Any:
    config = ChildConfig(is_virtual=statement.get("virtual", False), sub_type=statement.get("sub_type"))
    body = body_of(statement, statement["body"], variables, attempts)

    async def run_child(inner: DurableContext) -> Any:
        return await body(inner)

    return ctx.run_in_child_context(run_child, named(statement, variables), config=config)


def completion(statement: Statement) -> CompletionConfig:
    words = ("min_successful", "tolerated_failure_count", "tolerated_failure_percentage")
    return CompletionConfig(**{word: statement[word] for word in words if word in statement})


def nesting(statement: Statement) -> NestingType:
    return NestingType.FLAT if statement.get("flat") else NestingType.NESTED


async def map_(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> Any:
    config = MapConfig(
        max_concurrency=statement.get("max_concurrency"),
        completion_config=completion(statement),
        nesting_type=nesting(statement),
    )
    items = value_of(statement["items"], variables)
    body = body_of(statement, statement["body"], variables, attempts)
    result = await ctx.map(items, body, named(statement, variables), config=config)
    return result.get_results()


async def parallel(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> Any:
    def branch(entry: Statement) -> Any:
        body = body_of(entry, entry["body"], variables, attempts)

        async def run_branch(inner: DurableContext) -> Any:
            return await body(inner)

        return ParallelBranch(run_branch, entry["name"]) if "name" in entry else run_branch

    config = ParallelConfig(
        max_concurrency=statement.get("max_concurrency"),
        completion_config=completion(statement),
        nesting_type=nesting(statement),
    )
    branches = [branch(entry) for entry in statement["branches"]]
    result = await ctx.parallel(branches, named(statement, variables), config=config)
    return result.get_results()


async def together(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> Any:
    """Make all calls, then await them: at once, or one by one in the order given."""
    calls = [start(call, ctx, variables, attempts) for call in statement["calls"]]
    order = statement.get("order")
    if order is None:
        values = await asyncio.gather(*calls)
    else:
        tasks = calls if statement.get("lazy") else [asyncio.ensure_future(call) for call in calls]
        found = {index: await tasks[index] for index in order}
        values = [found[index] for index in range(len(calls))]
    for call, value in zip(statement["calls"], values, strict=True):
        if "as" in call:
            variables[call["as"]] = value
    return list(values)


def combined(word: str) -> Callable[..., Any]:
    """`race`, `any` or `all`; a body among the calls is a function of its own."""

    def combine(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> Any:
        calls = [start(call, ctx, variables, attempts) for call in statement["calls"]]
        if statement.get("tasks"):
            calls = [asyncio.ensure_future(call) for call in calls]
        return getattr(ctx, word)(*calls, name=named(statement, variables))

    return combine


async def sequence(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> Any:
    own = dict(variables)
    await run(statement["body"], ctx, own, attempts)
    return value_of(statement.get("value"), own)


async def if_(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> None:
    is_met = value_of(statement["value"], variables) == statement["equals"]
    await run(statement["then"] if is_met else statement.get("else", []), ctx, variables, attempts)


async def patched(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> None:
    body = statement["then"] if ctx.patched(statement["change"]) else statement.get("else", [])
    await run(body, ctx, variables, attempts)


async def for_(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> None:
    for index, item in enumerate(value_of(statement["items"], variables)):
        variables |= {"item": item, "index": index}
        await run(statement["body"], ctx, variables, attempts)


async def try_(statement: Statement, ctx: DurableContext, variables: Variables, attempts: dict[str, int]) -> None:
    try:
        await run(statement["body"], ctx, variables, attempts)
    except OperationError:
        await run(statement["except"], ctx, variables, attempts)


async def fail(statement: Statement, *_: Any) -> None:
    raise ValueError(statement.get("message", "failed"))


async def return_(statement: Statement, _: DurableContext, variables: Variables, __: dict[str, int]) -> None:
    raise Returned(value_of(statement.get("value"), variables))


STATEMENTS: dict[str, Callable[..., Any]] = {
    "step": step,
    "wait": wait,
    "callback": callback,
    "callback_result": callback_result,
    "wait_for_callback": wait_for_callback,
    "wait_for_condition": wait_for_condition,
    "invoke": invoke,
    "child": child,
    "map": map_,
    "parallel": parallel,
    "together": together,
    "race": combined("race"),
    "any": combined("any"),
    "all": combined("all"),
    "sequence": sequence,
    "if": if_,
    "patched": patched,
    "for": for_,
    "try": try_,
    "fail": fail,
    "return": return_,
}
