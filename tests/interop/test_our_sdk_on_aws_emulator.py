"""This SDK on AWS's emulator, over HTTP: the same operations and the same results as on the local engine.

What the emulator is documented to do otherwise is allowed for and nothing else: invocations are not counted, since with
skipped time it lets several coincide, and events are compared in no order, since it sorts them by time on every read.
"""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from durable_execution import durable_execution
from durable_execution.local import LocalEngine
from tests.interop.aws_emulator import AwsEmulator, aws_emulator
from tests.interop.twins import TWINS, Twins

pytestmark = [pytest.mark.interop, pytest.mark.real_time]

UNCOMPARED = {"InvocationCompleted", "ExecutionStarted", "ExecutionSucceeded", "ExecutionFailed"}


def broken(_event: Any, _context: Any) -> None:
    raise RuntimeError("out of order")


def echo(event: Any, _context: Any) -> Any:
    return event


@pytest.fixture(scope="module")
def emulator() -> Iterator[AwsEmulator]:
    logging.getLogger("aws_durable_execution_sdk_python_testing").setLevel(logging.CRITICAL)
    with aws_emulator({"echo": {}, "broken": {}}) as made:
        made.endpoint.functions |= {"echo": echo, "broken": broken}
        yield made


def on_emulator(emulator: AwsEmulator, twins: Twins) -> tuple[Any, list[tuple[Any, ...]]]:
    client: Any = emulator.client
    emulator.endpoint.functions[twins.name] = durable_execution(client=client)(twins.ours)
    arn = emulator.start(twins.name, {})
    for _, answer in twins.answers:
        client.send_durable_execution_callback_success(CallbackId=emulator.callback_id(arn), Result=answer)
    execution = emulator.ended(arn)
    assert execution["Status"] == "SUCCEEDED", execution.get("Error")
    return json.loads(execution["Result"]), operations(emulator.history(arn))


def on_engine(twins: Twins) -> tuple[Any, list[tuple[Any, ...]]]:
    with LocalEngine(None, time="skip", trace_sink=False) as engine:
        engine.register("echo", echo, tenant_isolated=True)
        engine.register("broken", broken)
        engine.register("twin", durable_execution(twins.ours))
        arn = engine.start("twin", {})
        for name, answer in twins.answers:
            callback_id = engine.wait_for_callback_id(arn, name)
            engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=answer)
        ended = engine.wait(arn)
        page = engine.client.get_durable_execution_history(DurableExecutionArn=arn, MaxItems=1000)
        return ended.result, operations(page["Events"])


def operations(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What was recorded: event, id, name, subtype, parent."""
    members = ("EventType", "Id", "Name", "SubType", "ParentId")
    return sorted(
        (tuple(event.get(name) for name in members) for event in events if event["EventType"] not in UNCOMPARED),
        key=repr,
    )


@pytest.mark.parametrize("twins", TWINS, ids=lambda twins: twins.name)
def test_results_and_operations_are_the_same(emulator: AwsEmulator, twins: Twins) -> None:
    assert on_emulator(emulator, twins) == on_engine(twins)


def test_a_failure_is_told(emulator: AwsEmulator) -> None:
    def workflow(_event: Any, ctx: Any) -> None:
        ctx.step(lambda _: 1, name="before")
        raise LookupError("no shelf")

    client: Any = emulator.client
    emulator.endpoint.functions["failing"] = durable_execution(client=client)(workflow)
    execution = emulator.ended(emulator.start("failing", {}))
    assert execution["Status"] == "FAILED"
    assert (execution["Error"]["ErrorType"], execution["Error"]["ErrorMessage"]) == ("LookupError", "no shelf")


def test_a_coroutine_handler_with_concurrent_branches(emulator: AwsEmulator) -> None:
    import asyncio
    from datetime import timedelta

    async def workflow(event: dict[str, int], ctx: Any) -> list[int]:
        async def branch(inner: Any, number: int, _index: int) -> int:
            await inner.wait(timedelta(seconds=number))
            found: int = await inner.step(lambda _: number * 10)
            return found

        batch, _ = await asyncio.gather(ctx.map(range(1, event["count"] + 1), branch), ctx.wait(timedelta(seconds=2)))
        found: list[int] = batch.get_results()
        return found

    client: Any = emulator.client
    emulator.endpoint.functions["concurrent"] = durable_execution(client=client)(workflow)
    execution = emulator.ended(emulator.start("concurrent", {"count": 5}))
    assert json.loads(execution["Result"]) == [10, 20, 30, 40, 50]
