"""`durable-debug gate` against an endpoint of the Lambda API: boto3 lists what is running, page by page."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli.entry import main
from durable_execution.local import EngineLimits, LocalEngine
from durable_execution.protocol import Wire
from durable_execution.replay import check, fetch_history, running_executions
from durable_execution.replay.loading import load_handler
from tests.interop.serving import boto3_client, served

pytestmark = pytest.mark.interop

COUNT = 7
FLOW = """\
from datetime import timedelta
from durable_execution import durable_execution


@durable_execution
async def flow(event, ctx):
    await ctx.step(lambda _: event["n"], name="{first}")
    if event["n"] % 2:
        await ctx.step(lambda _: "odd", name="{odd}")
    callback = await ctx.create_callback("approval")
    await callback.result()
    await ctx.step(lambda _: "end", name="{end}")
"""


class Deployed:
    """An endpoint with executions under way, and versions of their code to be deployed."""

    def __init__(self, engine: LocalEngine, url: str, directory: Path) -> None:
        self.engine, self.url, self.directory = engine, url, directory
        self.client = boto3_client(url)
        self.engine.register("flow", load_handler(self.version("deployed")))
        self.arns = [engine.start("flow", {"n": number}) for number in range(COUNT)]
        engine.run_until_idle()

    def version(self, name: str, *, first: str = "first", odd: str = "odd", end: str = "end") -> str:
        path = self.directory / f"gate_{name}.py"
        path.write_text(FLOW.format(first=first, odd=odd, end=end), encoding="utf-8")
        return f"{path}:flow"

    def gate(self, reference: str, *more: str, function: str = "flow") -> int:
        return main(["gate", function, reference, "--endpoint-url", self.url, *more])

    def answer(self, number: int) -> None:
        arn = self.arns[number]
        events = self.client.get_durable_execution_history(DurableExecutionArn=arn, MaxItems=100)["Events"]
        started = next(event for event in events if event["EventType"] == "CallbackStarted")
        self.client.send_durable_execution_callback_success(
            CallbackId=started["CallbackStartedDetails"]["CallbackId"], Result=b"1"
        )

        def is_over() -> bool:
            found: Wire = self.client.get_durable_execution(DurableExecutionArn=arn)
            return bool(found["Status"] == "SUCCEEDED")

        assert self.engine.run_until(is_over, timeout=timedelta(seconds=20))


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    limits = EngineLimits(page_items=2)
    with LocalEngine(None, limits=limits, trace_sink=False) as engine, served(engine) as (url, _):
        yield Deployed(engine, url, tmp_path)


def reports(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["reports"]
    return found


def test_the_same_code_may_be_deployed(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployed.gate(deployed.version("same")) == 0
    said = capsys.readouterr().err
    assert f"{COUNT} running" in said
    assert "is safe to deploy" in said


def test_what_would_break_is_named_on_every_page(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployed.gate(deployed.version("renamed", odd="uneven"), "--json") == 1
    found = reports(capsys)
    assert sorted(one["source"] for one in found) == sorted(deployed.arns)
    broken = {one["source"] for one in found if one["verdict"] == "diverged"}
    assert broken == {arn for number, arn in enumerate(deployed.arns) if number % 2}
    paths = {one["divergences"][0]["path"] for one in found if one["divergences"]}
    assert paths == {"flow/odd"}


def test_a_change_behind_what_has_run_breaks_nothing(deployed: Deployed) -> None:
    assert deployed.gate(deployed.version("later", end="finish")) == 0


def test_what_has_ended_does_not_count(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    deployed.answer(3)
    assert deployed.gate(deployed.version("renamed", first="begin"), "--json") == 1
    assert sorted(one["source"] for one in reports(capsys)) == sorted(set(deployed.arns) - {deployed.arns[3]})


def test_a_function_without_executions_may_be_deployed(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    reference = deployed.version("idle")
    deployed.engine.register("idle", load_handler(reference))
    assert deployed.gate(reference, function="idle") == 0
    assert "no execution of idle is running" in capsys.readouterr().err


def test_a_function_that_is_not_known_is_a_wrong_word(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployed.gate(deployed.version("same"), function="no-such-function") == 2
    assert "no-such-function" in capsys.readouterr().err


def test_an_endpoint_that_does_not_answer_cannot_be_loaded(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert main(["gate", "flow", deployed.version("same"), "--endpoint-url", "http://127.0.0.1:9"]) == 3


def test_an_execution_that_is_gone_before_it_is_read_does_not_stop_the_others(deployed: Deployed) -> None:
    class Forgetful:
        def __init__(self, client: Any, forgotten: str) -> None:
            self.list_durable_executions_by_function = client.list_durable_executions_by_function
            self.client, self.forgotten = client, forgotten

        def get_durable_execution_history(self, **options: Any) -> Any:
            if options["DurableExecutionArn"] == self.forgotten:
                options["DurableExecutionArn"] = self.forgotten[:-1] + ("1" if self.forgotten[-1] == "0" else "0")
            return self.client.get_durable_execution_history(**options)

    handler = load_handler(deployed.version("same"))
    found = list(check(running_executions(Forgetful(deployed.client, deployed.arns[2]), "flow"), handler))
    assert [one.verdict for one in found if one.source == deployed.arns[2]] == ["unreadable"]
    assert sum(one.is_same for one in found) == COUNT - 1
    unread = next(one for one in found if one.verdict == "unreadable")
    assert "GetDurableExecutionHistory" in (unread.error or "")


def test_a_history_is_read_page_by_page(deployed: Deployed) -> None:
    pages: list[Any] = []

    class Counting:
        def get_durable_execution_history(self, **options: Any) -> Any:
            pages.append(options.get("Marker"))
            return deployed.client.get_durable_execution_history(**{**options, "MaxItems": 3})

    execution = fetch_history(Counting(), deployed.arns[1])
    assert len(pages) > 1
    assert [operation.name for operation in execution.operations] == ["first", "odd", "approval"]
    assert execution.status == "RUNNING"
