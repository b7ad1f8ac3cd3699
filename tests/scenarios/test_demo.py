"""The demo tells its story, and survives being killed."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from durable_execution.local import LocalEngine

pytestmark = pytest.mark.acceptance

RESULT = {
    "order_id": "A-17",
    "payment_id": "pay-A-17",
    "shelves": {"tea": 13, "pot": 13, "cups": 14, "tin": 13},
    "approved_by": "Grace",
    "label": "label: courier for A-17",
    "invoice": "INV-A-17",
}


def command(repository: Path, folder: Path) -> list[str]:
    return [sys.executable, str(repository / "examples/demo.py"), "--time", "skip", "--store", str(folder / "demo.db")]


def run_demo(repository: Path, folder: Path) -> str:
    done = subprocess.run(
        command(repository, folder), cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def result_in(story: str) -> object:
    line = next(line for line in story.splitlines() if line.startswith("SUCCEEDED: "))
    return json.loads(line.removeprefix("SUCCEEDED: "))


def executions(folder: Path) -> list[str]:
    with LocalEngine(folder / "demo.db", create=False) as engine:
        engine.register("process_order", print)
        page = engine.client.list_durable_executions_by_function(FunctionName="process_order")
        return [found["Status"] for found in page["DurableExecutions"]]


def test_the_demo_shows_what_happened_and_what_a_change_would_break(repository: Path, tmp_path: Path) -> None:
    story = run_demo(repository, tmp_path)
    assert result_in(story) == RESULT
    for told in ("charge_card", "attempt 3", "cooling_off", "notify", "reserve_goods", "manager_approval", "invoice"):
        assert told in story
    assert "durable-debug" in story, "says how to open the debugger where there is no terminal"
    for side in ("Recorded", "Replayed", "Likely", "Effect", "Fix", "check_fraud", "order_workflow_changed.py"):
        assert side in story


def test_a_second_demo_is_another_execution(repository: Path, tmp_path: Path) -> None:
    run_demo(repository, tmp_path)
    run_demo(repository, tmp_path)
    assert executions(tmp_path) == ["SUCCEEDED", "SUCCEEDED"]


@pytest.mark.real_time
@pytest.mark.parametrize("seed", range(2))
def test_a_killed_demo_goes_on_with_the_same_execution(seed: int, repository: Path, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for _ in range(2):
        process = subprocess.Popen(
            command(repository, tmp_path), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(chance.uniform(0.5, 2.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        else:
            break
    assert result_in(run_demo(repository, tmp_path)) == RESULT
    assert set(executions(tmp_path)) == {"SUCCEEDED"}
