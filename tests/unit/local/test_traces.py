"""What the engine's replay traces hold is said by the same variables as on Lambda."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution import DurableContext, durable_execution
from durable_execution.local import LocalEngine


@durable_execution
async def flow(payload: dict[str, Any], ctx: DurableContext) -> None:
    treasure = payload["treasure"]
    await ctx.wait(timedelta(seconds=1), name=f"nap {len(treasure)}")


def recorded_locals(folder: Path) -> list[object]:
    with LocalEngine(folder / "store.db", time="skip") as engine:
        engine.register("flow", flow)
        engine.run("flow", {"treasure": "gold"})
    (trace,) = (folder / "traces").iterdir()
    lines = map(json.loads, trace.read_text(encoding="utf-8").splitlines())
    return [line["locals"] for line in lines if line.get("locals")]


def test_local_variables_are_recorded_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_REPLAY_TRACE_LOCALS", "1")
    assert "treasure" in json.dumps(recorded_locals(tmp_path))


def test_local_variables_are_not_recorded_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DURABLE_REPLAY_TRACE_LOCALS", raising=False)
    assert recorded_locals(tmp_path) == []
