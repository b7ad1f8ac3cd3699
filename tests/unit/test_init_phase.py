"""A Lambda environment is prepared in init, so that the first invocation of a small function loads nothing."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from durable_execution import handler as handler_module
from durable_execution.handler import DurableHandler, prepare
from tests.loopback_service import ENVIRONMENT, served
from tests.unit.fake_service import envelope

FUNCTION = """
import asyncio, json, sys
from dataclasses import dataclass
from datetime import timedelta
from durable_execution import DurableContext, MapConfig, StepContext, durable_execution

@dataclass
class Order:
    order_id: str

@durable_execution
async def handler(order: Order, ctx: DurableContext) -> str:
    async def item(child: DurableContext, number: int, index: int) -> int:
        return await child.step(lambda step: number, "double")

    await ctx.step(lambda step: order.order_id, "charge")
    await ctx.run_in_child_context(lambda child: child.step(lambda step: 1))
    await ctx.map([1, 2], item, config=MapConfig(max_concurrency=2))
    try:
        await ctx.step(lambda step: 1 / 0, "fails")
    except ZeroDivisionError:
        pass
    ctx.logger.info("done")
    return order.order_id

before = set(sys.modules)
event = json.loads(sys.argv[1])
answer = handler(event)
print(json.dumps({"answer": answer, "loaded": sorted(set(sys.modules) - before), "in_init": sorted(before)}))
"""


def run(function: str, repository: Path, **variables: str) -> dict[str, Any]:
    """Import a function in a process of its own and invoke it once."""
    with served() as service:
        environment = os.environ | ENVIRONMENT | {"AWS_ENDPOINT_URL_LAMBDA": service.url} | variables
        event = json.dumps(envelope(payload={"order_id": "A-17"}))
        done = subprocess.run(
            [sys.executable, "-c", function, event],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            cwd=repository,
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_first_invocation_loads_nothing(repository: Path) -> None:
    found = run(FUNCTION, repository, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9001")
    assert found["answer"]["Status"] == "PENDING"  # "fails" is tried again later
    assert found["loaded"] == []


def test_nor_does_a_trace_in_s3(repository: Path) -> None:
    found = run(
        FUNCTION,
        repository,
        AWS_LAMBDA_RUNTIME_API="127.0.0.1:9001",
        DURABLE_REPLAY_TRACE="s3://bucket",
        AWS_ENDPOINT_URL_S3="http://127.0.0.1:1",
    )
    assert found["answer"]["Status"] == "PENDING"
    assert [name for name in found["loaded"] if name.startswith(("durable", "boto3", "pydantic"))] == []


def test_elsewhere_nothing_is_loaded_ahead(repository: Path) -> None:
    function = FUNCTION.replace("answer = handler(event)", "answer = {}").replace("order: Order", "order: dict")
    found = run(function, repository, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9001")
    assert {"botocore", "urllib3"} <= set(found["in_init"])
    elsewhere = "import os\nos.environ.pop('AWS_LAMBDA_RUNTIME_API', None)\n" + function
    assert not {"botocore", "urllib3", "pydantic"} & set(run(elsewhere, repository)["in_init"])


@pytest.mark.parametrize("variable", ["AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"])
def test_what_is_missing_is_answered_by_the_invocation(repository: Path, variable: str) -> None:
    missing = f"import os\nos.environ.pop({variable!r}, None)\n"
    function = missing + FUNCTION
    found = run(function, repository, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9001", AWS_CONFIG_FILE="/nonexistent")
    assert found["answer"]["Status"] == "FAILED"
    assert "CheckpointRejectedError" in found["answer"]["Error"]["ErrorType"]


def nothing(_event: Any, _ctx: Any) -> None:
    """A workflow."""


@pytest.mark.parametrize("is_enabled", [True, False])
@pytest.mark.parametrize("frozen", [0, 7])
def test_no_garbage_is_looked_for_while_a_handler_is_prepared(
    monkeypatch: pytest.MonkeyPatch, is_enabled: bool, frozen: int
) -> None:
    seen: list[object] = []

    def load(_handler: object) -> None:
        seen.append(gc.isenabled())
        raise MemoryError

    monkeypatch.setattr(handler_module, "_load", load)
    monkeypatch.setattr(gc, "freeze", lambda: seen.append("freeze"))
    monkeypatch.setattr(gc, "unfreeze", lambda: seen.append("unfreeze"))
    monkeypatch.setattr(gc, "get_freeze_count", lambda: frozen)
    monkeypatch.setattr(gc, "isenabled", lambda: is_enabled)
    monkeypatch.setattr(gc, "disable", lambda: seen.append("disable"))
    monkeypatch.setattr(gc, "enable", lambda: seen.append("enable"))
    with pytest.raises(MemoryError):
        prepare(DurableHandler(nothing))
    moved = ["freeze", "unfreeze"] if is_enabled and not frozen else []
    assert seen == ["disable", is_enabled, *moved, *(["enable"] if is_enabled else [])]


RESTORED = """
import os, random, sys
from durable_execution import Jitter, RetryPresets, durable_execution
from durable_execution.runtime.client import environment_service

@durable_execution
async def handler(event, ctx):
    pass

random.seed(7)
RetryPresets.default()
environment_service().prepare()
for _ in range(3):  # Lambda restores three environments from the snapshot that was taken here
    sys.stdout.flush()
    if os.fork() == 0:
        from datetime import timedelta
        delays = [Jitter.FULL.apply(timedelta(days=300)).total_seconds() for _ in range(3)]
        print(delays, environment_service().prepare()._backoff(5))
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a restored snapshot is tried with a fork")
def test_environments_restored_from_one_snapshot_draw_different_delays(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RESTORED],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | ENVIRONMENT | {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"},
        cwd=repository,
    )
    found = done.stdout.splitlines()
    assert len(set(found)) == 3, found
    assert len({line.rpartition("]")[2] for line in found}) == 3
