"""`durable-debug gate` and `fleet` read several histories at the same time over HTTP."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli.entry import main
from durable_execution.local import LocalEngine
from durable_execution.local.lambda_client import LocalLambdaClient
from durable_execution.local.rules.api_errors import invalid
from durable_execution.protocol import Wire
from durable_execution.replay.loading import load_handler
from tests.interop.serving import served

pytestmark = pytest.mark.interop

COUNT = 6
SECONDS = 30
FLOW = """\
from durable_execution import durable_execution


@durable_execution
async def flow(event, ctx):
    await ctx.step(lambda _: 1, name="first")
    await (await ctx.create_callback("approval")).result()
"""
read_history = LocalLambdaClient.get_durable_execution_history


class Running:
    """An endpoint with open executions, and the code that they run."""

    def __init__(self, engine: LocalEngine, url: str, directory: Path) -> None:
        self.url, self.target = url, f"{directory / 'parallel_flow.py'}:flow"
        engine.register("flow", load_handler(self.target))
        for number in range(COUNT):
            engine.start("flow", {"n": number})
        engine.run_until_idle()
        listed = engine.client.list_durable_executions_by_function(FunctionName="flow")["DurableExecutions"]
        self.arns = [one["DurableExecutionArn"] for one in listed]


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "parallel_flow.py").write_text(FLOW, encoding="utf-8")
    with LocalEngine(None, trace_sink=False) as engine, served(engine) as (url, _):
        yield Running(engine, url, tmp_path)


def answering(monkeypatch: pytest.MonkeyPatch, before: Any) -> None:
    """Have the endpoint call a function with an ARN before it answers with the history."""

    def answer(self: LocalLambdaClient, *, DurableExecutionArn: str, **more: Any) -> Wire:  # noqa: N803  # as the API
        before(DurableExecutionArn)
        return read_history(self, DurableExecutionArn=DurableExecutionArn, **more)

    monkeypatch.setattr(LocalLambdaClient, "get_durable_execution_history", answer)


def test_the_gate_reads_several_and_reports_them_in_order(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    together = threading.Barrier(COUNT)

    def before(arn: str) -> None:
        together.wait(SECONDS)
        if arn == running.arns[2]:
            raise invalid("not this one")

    answering(monkeypatch, before)
    assert main(["gate", "flow", running.target, "--endpoint-url", running.url, "--no-cause", "--json"]) == 3
    printed = capsys.readouterr()
    found = [(one["source"], one["verdict"]) for one in json.loads(printed.out)["reports"]]
    assert found == [(arn, "unreadable" if arn == running.arns[2] else "same") for arn in running.arns]
    assert f"1 of {COUNT} open executions could not be checked" in printed.err


def test_one_execution_that_cannot_be_read_does_not_end_a_fleet(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads: dict[str, int] = {}
    together = threading.Barrier(COUNT)

    def before(arn: str) -> None:
        reads[arn] = reads.get(arn, 0) + 1
        together.wait(SECONDS)
        if arn == running.arns[2] and reads[arn] == 2:  # the first is for its facts
            raise invalid("not this one")

    answering(monkeypatch, before)
    words = ["fleet", "flow", running.target, "--endpoint-url", running.url, "--no-cause", "--json"]
    assert main(words) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (report["executions"], report["replayed"]) == (COUNT, COUNT - 1)
    assert f"1 could not be replayed, for example {running.arns[2]}: " in printed.err


@pytest.mark.timeout(120)
def test_an_interrupted_gate_does_not_wait_for_the_service(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    is_read, is_over = threading.Event(), threading.Event()

    def before(arn: str) -> None:
        if arn == running.arns[2]:
            is_read.set()
            is_over.wait()

    answering(monkeypatch, before)
    words = ["gate", "flow", running.target, "--endpoint-url", running.url, "--no-cause", "--json"]
    with subprocess.Popen([sys.executable, "-m", "durable_debugger", *words], stdout=subprocess.PIPE) as process:
        try:
            assert is_read.wait(SECONDS)
            process.send_signal(signal.SIGINT)
            printed, _ = process.communicate(timeout=SECONDS)
        finally:
            is_over.set()
    document = json.loads(printed)
    assert (process.returncode, document["exit_code"], document["is_partial"]) == (130, 130, True)
    assert document["reports"][2]["verdict"] == "interrupted"
