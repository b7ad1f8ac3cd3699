"""Replay traces that functions wrote to S3 and to folders, read back by `durable-debug`."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli.entry import main
from durable_execution import DurableContext, durable_execution
from durable_execution.local import LocalEngine
from durable_execution.trace import S3Sink
from tests.interop.s3_stub import Bucket
from tests.interop.serving import served

pytestmark = [pytest.mark.interop, pytest.mark.real_time]

PLACE = "s3://traces/prod/orders"


@durable_execution
async def orders(event: Any, ctx: DurableContext) -> str:
    await ctx.step(lambda _: "charged", name="charge")
    callback = await ctx.create_callback("approval")
    await callback.result()
    return await ctx.step(lambda _: "shipped", name="ship")


def run(engine: LocalEngine, name: str) -> str:
    arn = engine.start("orders", {"id": name}, name=name)
    callback = engine.wait_for_callback_id(arn)
    engine.client.send_durable_execution_callback_success(CallbackId=callback)
    engine.wait(arn)
    return arn


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.chdir(tmp_path)
    with Bucket() as made:
        for name, value in (
            ("AWS_ENDPOINT_URL_S3", made.url),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_MAX_ATTEMPTS", "1"),
        ):
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def arns(bucket: Bucket) -> list[str]:
    """Two executions of two invocations each, with their traces in S3."""
    with LocalEngine(None, trace_sink=S3Sink("traces", "prod/orders", budget_seconds=30)) as engine:
        engine.register("orders", orders)
        found = [run(engine, name) for name in ("A-17", "B-18")]
    assert len(bucket.objects) == 4
    return found


def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_an_execution_is_read_back_from_s3(arns: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for reference in (arns[0], arns[0].rpartition("/")[2], "A-17", "A-"):
        assert main(["show", reference, "--traces", PLACE, "--json"]) == 0
        found = shown(capsys)
        assert [each["name"] for each in found["operations"]] == ["charge", "approval", "ship"]
    assert main(["show", f"{PLACE}/A-17-{arns[0].rpartition('/')[2]}", "--json"]) == 0
    assert len(shown(capsys)["operations"]) == 3


def test_all_executions_are_listed_and_one_must_be_chosen(arns: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--traces", PLACE, "--json"]) == 0
    listed = shown(capsys)["executions"]
    assert {each["name"] for each in listed} == {"A-17", "B-18"}
    assert {each["status"] for each in listed} == {"SUCCEEDED"}
    assert main(["show", PLACE]) == 2
    assert "2 executions match" in capsys.readouterr().err
    assert main(["show", "C-19", "--traces", PLACE]) == 2
    assert "2 executions, none match" in capsys.readouterr().err


def test_a_copy_in_a_folder_reads_the_same(bucket: Bucket, arns: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for name, body in bucket.objects.items():
        path = Path("copy") / name.removeprefix("traces/prod/orders/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    assert main(["show", "B-18", "--traces", "copy", "--json"]) == 0
    assert len(shown(capsys)["operations"]) == 3
    folder = next(path for path in Path("copy").iterdir() if path.name.startswith("A-17"))
    assert main(["show", str(folder), "--json"]) == 0
    assert len(shown(capsys)["operations"]) == 3
    shutil.rmtree(folder)
    assert main(["show", "copy", "--json"]) == 0
    assert shown(capsys)["name"] == "B-18"


def test_a_folder_of_the_local_engine_reads_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with LocalEngine(tmp_path / "store.db", time="skip") as engine:
        engine.register("orders", orders)
        run(engine, "A-17")
    assert main(["show", str(tmp_path / "traces"), "--json"]) == 0
    assert shown(capsys)["name"] == "A-17"


def test_a_history_from_the_api_is_shown_with_its_traces(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    """On AWS, the service has the history, and the bucket has the lines of the calls."""
    with LocalEngine(None, trace_sink=S3Sink("traces", "prod/orders", budget_seconds=30)) as engine:
        engine.register("orders", orders)
        arn = run(engine, "A-17")
        with served(engine) as (url, _):
            assert main(["show", arn, "--endpoint-url", url, "--json"]) == 0
            without = shown(capsys)
            assert main(["show", arn, "--endpoint-url", url, "--traces", PLACE, "--json"]) == 0
            found = shown(capsys)
    assert [each["name"] for each in found["operations"]] == [each["name"] for each in without["operations"]]
    assert "test_stored_traces.py" in json.dumps(found)
    assert "test_stored_traces.py" not in json.dumps(without)


@pytest.mark.parametrize(("operation", "code", "said"), [
    ("LIST", "AccessDenied", "grant s3:ListBucket"),
    ("GET", "AccessDenied", "grant s3:GetObject"),
    ("LIST", "NoSuchBucket", "there is no bucket traces"),
])  # fmt: skip
def test_what_s3_refuses_is_explained(
    bucket: Bucket, arns: list[str], capsys: pytest.CaptureFixture[str], operation: str, code: str, said: str
) -> None:
    bucket.refused[operation] = code
    assert main(["show", arns[0], "--traces", PLACE]) == 3
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("words", "code", "said"), [
    (["show", "x", "--traces", "nowhere"], 3, "nowhere is not a folder"),
    (["show", "x", "--traces", "s3://"], 3, "has no bucket"),
    (["show", "."], 2, ". is a directory: name a file in it"),
])  # fmt: skip
def test_a_place_without_traces_is_named(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert main(words) == code
    assert said in capsys.readouterr().err
