"""`durable-debug fleet` against an endpoint of the Lambda API: boto3 lists and reads, page by page."""

import json
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import main
from durable_debugger.sources import aws
from durable_execution import DurableContext, durable_execution
from durable_execution.local import EngineLimits, LocalEngine
from tests.interop.serving import served

pytestmark = pytest.mark.interop
COUNT = 12


@durable_execution
async def flow(event: dict[str, int], ctx: DurableContext) -> str:
    await ctx.step(lambda _: event["n"], "first")
    if event["n"] % 3 == 0:
        await (await ctx.create_callback("approval")).result()
    if event["n"] % 3 == 1:
        raise ValueError(f"order {event['n']} is empty")
    return "done"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    limits = EngineLimits(page_items=5, max_page_items=1000)
    with LocalEngine(None, time="skip", limits=limits, trace_sink=False) as engine:
        engine.register("flow", flow)
        for number in range(COUNT):
            engine.start("flow", {"n": number})
        engine.run_until_idle()
        with served(engine) as (address, _):
            yield address


def test_a_fleet_is_read_with_boto3(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "flow", "--endpoint-url", url, "--since", "24h", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["source"] == f"function flow, Lambda API at {url}"
    assert report["statuses"] == {"RUNNING": 4, "FAILED": 4, "SUCCEEDED": 4}
    (failure,) = report["groups"]["failures"]
    assert (failure["key"], failure["count"]) == ("ValueError: order # is empty", 4)
    (waiting,) = report["groups"]["waiting"]
    assert (waiting["key"], waiting["count"]) == ("callback approval", 4)


def test_a_second_look_asks_for_the_last_event_of_open_executions_only(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked: list[dict[str, Any]] = []
    real = aws.lambda_client

    def watching(place: aws.AwsPlace) -> Any:
        client = real(place)
        read = client.get_durable_execution_history

        def noting(**options: Any) -> Any:
            asked.append(options)
            return read(**options)

        client.get_durable_execution_history = noting
        return client

    monkeypatch.setattr(aws, "lambda_client", watching)
    words = ["fleet", "flow", "--endpoint-url", url, "--json"]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert len(asked) >= COUNT
    asked.clear()
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(first)
    assert len(asked) == 4
    assert all(options["ReverseOrder"] and options["MaxItems"] == 1 for options in asked)


def test_missing_permissions_are_named(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from botocore.exceptions import ClientError

    real = aws.lambda_client

    def refusing(place: aws.AwsPlace) -> Any:
        client = real(place)

        def refuse(**_: Any) -> Any:
            error = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
            raise ClientError(error, "GetDurableExecutionHistory")  # type: ignore[arg-type]

        client.get_durable_execution_history = refuse
        return client

    monkeypatch.setattr(aws, "lambda_client", refusing)
    assert main(["fleet", "flow", "--endpoint-url", url]) == 3
    assert "grant lambda:GetDurableExecutionHistory" in capsys.readouterr().err


def test_an_unknown_function_is_said(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "nothing", "--endpoint-url", url]) == 3
    assert "ListDurableExecutionsByFunction" in capsys.readouterr().err
