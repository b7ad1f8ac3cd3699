"""The same workflow for AWS's SDK and for this one: same operations; and either finishes what the other has begun."""

import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import aws_durable_execution_sdk_python as aws
import pytest

from durable_execution import durable_execution
from durable_execution.local import ExecutionResult, FunctionHost, LocalEngine
from durable_execution.protocol import ExecutionStatus
from durable_execution.serdes import tagged
from tests.interop.twins import TWINS, Twins

pytestmark = pytest.mark.interop

Side = Literal["theirs", "ours"]
FUNCTION = "twin"
BOTH_WAYS = [
    pytest.param(twins, begins, id=f"{twins.name}-{begins}") for twins in TWINS for begins in ("theirs", "ours")
]
ENDINGS = {"ExecutionSucceeded", "ExecutionFailed"}


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """AWS's SDK logs every failure, also the intended ones."""
    caplog.set_level(logging.CRITICAL, logger="aws_durable_execution_sdk_python")


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    def broken(_event: Any, _context: Any) -> None:
        raise RuntimeError("out of order")

    with LocalEngine(None, time="skip", trace_sink=False) as made:
        made.register("echo", lambda event, _context: event, tenant_isolated=True)
        made.register("broken", broken)
        yield made


def register(engine: LocalEngine, twins: Twins, side: Side) -> None:
    if side == "ours":
        engine.register(FUNCTION, durable_execution(twins.ours))
    else:
        client: Any = engine.client
        engine.register(FUNCTION, aws.durable_execution(twins.theirs, boto3_client=client), durable=True)


def go_on(engine: LocalEngine, arn: str, twins: Twins) -> ExecutionResult:
    for name, answer in twins.answers:
        callback_id = engine.wait_for_callback_id(arn, name)
        engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=answer)
    return engine.wait(arn)


def run(engine: LocalEngine, twins: Twins, side: Side) -> ExecutionResult:
    register(engine, twins, side)
    return go_on(engine, engine.start(FUNCTION, {}), twins)


def operations(engine: LocalEngine, arn: str) -> list[tuple[Any, ...]]:
    """What was recorded: event, id, name, subtype, parent, and the payload as it is stored.

    In no order: branches that run side by side end in whatever order.
    """
    events = engine.client.get_durable_execution_history(
        DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=1000
    )["Events"]
    found = []
    for event in events[1:]:
        if event["EventType"] in ENDINGS:
            continue
        details = event.get(f"{event['EventType']}Details") or {}
        payload = (details.get("Result") or details.get("Input") or {}).get("Payload")
        about = tuple(event.get(name) for name in ("EventType", "Id", "Name", "SubType", "ParentId"))
        found.append((*about, _comparable(payload)))
    return sorted(found, key=repr)


def _comparable(payload: Any) -> Any:
    """A payload as JSON; of a batch with failures only what the errors say, since stack traces are each SDK's own."""
    if not isinstance(payload, str):
        return payload
    if payload.startswith('{"t":"br"'):
        batch = tagged.loads(payload)
        items = [(item.index, item.status, repr(item.result), item.error and item.error.message) for item in batch]
        return [items, batch.completion_reason]
    try:
        return json.loads(payload)
    except ValueError:
        return payload


def suspensions(engine: LocalEngine, arn: str) -> int:
    """How many invocations there were before the last."""
    page = engine.client.get_durable_execution_history(DurableExecutionArn=arn, MaxItems=1000)
    events: list[dict[str, Any]] = page["Events"]
    return [event["EventType"] for event in events].count("InvocationCompleted") - 1


@pytest.mark.parametrize("twins", TWINS, ids=lambda twins: twins.name)
def test_the_same_operations_are_recorded(engine: LocalEngine, twins: Twins) -> None:
    their, our = run(engine, twins, "theirs"), run(engine, twins, "ours")
    assert their.status is our.status is ExecutionStatus.SUCCEEDED, (their.error, our.error)
    assert our.result == their.result
    if twins.is_stored_differently:
        assert [one[:5] for one in operations(engine, our.arn)] == [one[:5] for one in operations(engine, their.arn)]
    else:
        assert operations(engine, our.arn) == operations(engine, their.arn)


@pytest.mark.parametrize(("twins", "begins"), BOTH_WAYS)
def test_either_finishes_what_the_other_has_begun(engine: LocalEngine, twins: Twins, begins: Side) -> None:
    """The function is replaced at each of its suspensions in turn."""
    undisturbed = run(engine, twins, begins)
    finishes: Side = "ours" if begins == "theirs" else "theirs"
    for after in range(1, suspensions(engine, undisturbed.arn) + 1):
        register(engine, twins, begins)
        replacing = _Replacing(engine, twins, finishes, after)
        arn = replacing.start()
        ended = go_on(engine, arn, twins)
        assert replacing.is_done
        assert ended.status is ExecutionStatus.SUCCEEDED, (after, ended.error)
        assert ended.result == undisturbed.result, after


class _Replacing:
    """A function that becomes another one after so many invocations."""

    def __init__(self, engine: LocalEngine, twins: Twins, finishes: Side, after: int) -> None:
        self._engine = engine
        self._twins = twins
        self._finishes = finishes
        self._left = after
        self.is_done = False

    def _host(self) -> FunctionHost:
        found = self._engine._functions.get(FUNCTION)
        assert found is not None
        return found.host

    def start(self) -> str:
        """Start an execution of it."""
        engine = self._engine
        first = self._host()
        register(engine, self._twins, self._finishes)  # pyright: ignore[reportArgumentType]  # a side, as given
        second = self._host()
        outer = self

        class Host:
            def invoke(self, invocation: Any) -> Any:
                outer.is_done = outer._left == 0
                host = second if outer._left == 0 else first
                outer._left = max(0, outer._left - 1)
                return host.invoke(invocation)

            def close(self) -> None:
                """Nothing to let go of."""

        engine.register(FUNCTION, Host(), durable=True)
        return engine.start(FUNCTION, {})
