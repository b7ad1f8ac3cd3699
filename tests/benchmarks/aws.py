"""The workloads, written for AWS's own SDK for Python."""

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import MapConfig
from aws_durable_execution_sdk_python.lambda_service import LambdaClient, OperationUpdate
from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner
from aws_durable_execution_sdk_python_testing.stores.sqlite import SQLiteExecutionStore

from tests.benchmarks.seams import ARN, TOKEN, updates
from tests.benchmarks.service import BotoShapedClient, LambdaContext, MemoryService, event

logging.disable(logging.CRITICAL)


def steps(count: int, *, recorded: int = 0, seam: str = "memory", is_plain: bool = True) -> None:
    """A handler of so many steps in a row, of which so many are recorded. Bodies are always plain functions here."""

    def handler(_event: Any, context: DurableContext) -> int:
        for number in range(1, count + 1):
            context.step(constant(number), name="work")
        return count

    _run(handler, recorded, None if seam == "http" else BotoShapedClient(MemoryService()))


def one_call(count: int) -> Callable[[], object]:
    """Makes one real checkpoint call with so many updates, as its state does."""
    client = LambdaClient.initialize_client()
    wires = [OperationUpdate.from_dict(wire) for wire in updates(count)]
    return lambda: client.checkpoint(ARN, TOKEN, wires, None)


def map_of_plain_bodies(count: int, *, concurrency: int) -> int:
    """A map of one step each; the number of checkpoint calls it makes."""

    def item(context: DurableContext, number: int, _index: int, _all: Any) -> int:
        return context.step(constant(number), name="call")

    def handler(_event: Any, context: DurableContext) -> int:
        config: MapConfig[int] = MapConfig(max_concurrency=concurrency)
        return len(context.map(range(count), item, name="items", config=config).succeeded())

    service = MemoryService()
    _run(handler, 0, BotoShapedClient(service))
    return service.calls


def map_items(count: int, *, concurrency: int, call_seconds: float) -> None:
    """A map whose items each make one call of a given length in one step."""

    def call(number: int) -> int:
        time.sleep(call_seconds)
        return number

    def item(context: DurableContext, number: int, _index: int, _all: Any) -> int:
        return context.step(lambda _: call(number), name="call")

    def handler(_event: Any, context: DurableContext) -> int:
        config: MapConfig[int] = MapConfig(max_concurrency=concurrency)
        return len(context.map(range(count), item, name="items", config=config).succeeded())

    _run(handler, 0, BotoShapedClient(MemoryService()))


def durable_steps(count: int) -> float:
    """Steps in a row on AWS's emulator with its SQLite store; the seconds between the first and the last."""
    taken: list[float] = []

    def handler(_event: Any, context: DurableContext) -> int:
        began = time.perf_counter()
        for number in range(count):
            context.step(constant(number), name="work")
        taken.append(time.perf_counter() - began)
        return count

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = SQLiteExecutionStore.create_and_initialize(Path(folder) / "store.db")
        with DurableFunctionTestRunner(durable_execution(handler), store=store) as runner:
            runner.run(input="{}", execution_timeout=300)
    return taken[-1]


def constant(number: int) -> Callable[[Any], int]:
    """A step's body."""
    return lambda _: number


def _run(handler: Any, recorded: int, client: Any) -> None:
    answer = durable_execution(handler, boto3_client=client)(event(recorded), cast(Any, LambdaContext()))
    assert answer["Status"] == "SUCCEEDED", answer
