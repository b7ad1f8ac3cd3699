"""`durable-debug serve` with a configuration file, as boto3 and the AWS CLI see it."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.exceptions import ClientError

from durable_debugger.cli.entry import main
from durable_execution.local import LocalEngine
from durable_execution.local.http import JsonLog, LocalServer, ProcessHost
from durable_execution.local.http.manifest import FunctionSettings, read_manifest
from durable_execution.local.http.server import register_function
from tests.interop.serving import Serving, boto3_client

pytestmark = [pytest.mark.interop, pytest.mark.real_time]

CODE = """
import os, sys, time
from durable_execution import durable_execution


@durable_execution
async def orders(event, ctx):
    ctx.logger.info("processing %s", event["id"])
    await ctx.step(lambda _: "RELEASE", name="charge")
    callback = await ctx.create_callback("approval")
    return [await callback.result(), os.environ["TABLE"], os.environ["AWS_LAMBDA_FUNCTION_VERSION"], "RELEASE"]


def plain(event, context):
    print("said by the function")
    return {
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "handler": os.environ["_HANDLER"],
        "memory": context.memory_limit_in_mb,
        "versions": [context.function_version, os.environ["AWS_LAMBDA_FUNCTION_VERSION"]],
        "streams": [context.log_stream_name, os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]],
        "pid": os.getpid(),
    }


def slow(event, context):
    print("going to sleep")
    sys.stdout.flush()
    time.sleep(60)


@durable_execution
async def waits(event, ctx):
    await (await ctx.create_callback("never")).result()
"""
CONFIG = """
[functions.orders]
handler = "code/orders.py:orders"
execution_timeout = "2d"
retention_days = 3
environment = { TABLE = "orders-local" }
versions = { 1 = "releases/orders_1.py:orders" }
aliases = { live = 1 }

[functions.plain]
handler = "code/orders.py:plain"
memory = 512

[functions.tenants]
handler = "code/orders.py:plain"
tenant_isolation = true

[functions.slow]
handler = "code/orders.py:slow"
timeout = 1

[functions.waits]
handler = "code/orders.py:waits"
execution_timeout = 1

[functions.broken]
handler = "code/broken.py:handler"
"""


def write(directory: Path) -> Path:
    for folder in ("code", "releases"):
        (directory / folder).mkdir()
    (directory / "code" / "orders.py").write_text(CODE.replace("RELEASE", "second release"))
    (directory / "code" / "broken.py").write_text("import no_such_module_anywhere\n")
    (directory / "releases" / "orders_1.py").write_text(CODE.replace("RELEASE", "first release"))
    path = directory / "durable.toml"
    path.write_text(CONFIG)
    return path


class Served:
    def __init__(self, directory: Path) -> None:
        self.log_file = directory / "log.jsonl"
        self.log = JsonLog(self.log_file)
        self.engine = LocalEngine(directory / "executions.db")
        self.server = LocalServer(self.engine, port=0)
        self.server.start()
        for name, settings in read_manifest(write(directory)).items():
            register_function(self.engine, name, settings, self.log, self.server.url)
        self.client = boto3_client(self.server.url)

    def close(self) -> None:
        self.client.close()
        self.server.close()
        self.engine.close()
        self.log.close()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.chdir(tmp_path)
    made = Served(tmp_path)
    yield made
    made.close()


def payload(answer: Any) -> Any:
    return json.loads(answer["Payload"].read())


def test_the_trace_header_the_handler_and_the_memory_reach_the_function(served: Served) -> None:
    def add_header(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["X-Amzn-Trace-Id"] = "Root=1-0-1;Sampled=1"

    served.client.meta.events.register("before-call.lambda.Invoke", add_header)
    found = payload(served.client.invoke(FunctionName="plain"))
    assert found["trace"] == "Root=1-0-1;Sampled=1"
    assert found["handler"] == "code/orders.plain"
    assert found["memory"] == 512


REPORT = re.compile(
    r"REPORT RequestId: \S+\tDuration: (?P<duration>[0-9.]+) ms\tBilled Duration: (?P<billed>[0-9]+) ms\t"
    r"Memory Size: 512 MB\tMax Memory Used: (?P<used>[0-9]+) MB"
)


def test_the_tail_of_the_log_is_returned(served: Served) -> None:
    answer = served.client.invoke(FunctionName="plain", LogType="Tail")
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["START", "said", "END", "REPORT"]
    report = REPORT.fullmatch(lines[-1])
    assert report is not None, lines[-1]
    assert float(report["duration"]) <= int(report["billed"]) < float(report["duration"]) + 1
    assert sys.platform != "linux" or 5 < int(report["used"]) < 512
    answer = served.client.invoke(FunctionName="slow", LogType="Tail")
    assert payload(answer)["errorType"] == "Sandbox.Timedout"
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert "going to sleep\n" in tail
    assert "Task timed out after 1.00 seconds" in tail
    assert tail.endswith(" MB\tStatus: timeout\n")
    assert "LogResult" not in served.client.invoke(FunctionName="plain")


def test_tenants_are_required_and_do_not_share_a_process(served: Served) -> None:
    with pytest.raises(ClientError, match="is enabled with tenancy configuration"):
        served.client.invoke(FunctionName="tenants")
    with pytest.raises(ClientError, match=r"InvalidParameterValueException.*not enabled with tenancy configuration"):
        served.client.invoke(FunctionName="plain", TenantId="a")
    found = [payload(served.client.invoke(FunctionName="tenants", TenantId=tenant))["pid"] for tenant in "abab"]
    assert found[0] == found[2] != found[1] == found[3]
    shown = served.client.get_function(FunctionName="tenants")["Configuration"]
    assert shown["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}


def test_the_environment_of_a_published_version_has_its_number(served: Served) -> None:
    version = served.client.publish_version(FunctionName="plain")["Version"]
    served.client.create_alias(FunctionName="plain", Name="live", FunctionVersion=version)
    targets = {"plain": "$LATEST", f"plain:{version}": version, "plain:live": version}
    found = {target: payload(served.client.invoke(FunctionName=target)) for target in targets}
    assert {target: one["versions"] for target, one in found.items()} == {
        target: [expected, expected] for target, expected in targets.items()
    }
    assert found["plain:live"]["streams"] == [f"local/[{version}]"] * 2
    assert found["plain"]["pid"] != found["plain:live"]["pid"] == found[f"plain:{version}"]["pid"]
    assert payload(served.client.invoke(FunctionName="plain"))["pid"] == found["plain"]["pid"]


def test_an_execution_times_out_as_configured(served: Served) -> None:
    answer = served.client.invoke(FunctionName="waits:$LATEST")
    assert answer["FunctionError"] == "Unhandled"
    found = served.client.get_durable_execution(DurableExecutionArn=answer["DurableExecutionArn"])
    assert found["Status"] == "TIMED_OUT"
    assert found["DurableConfig"]["ExecutionTimeout"] == 1


def test_a_function_that_cannot_be_imported_says_so_when_it_is_invoked(served: Served) -> None:
    answer = served.client.invoke(FunctionName="broken", DurableExecutionName="x")
    assert payload(answer)["errorType"] == "Runtime.ImportModuleError"
    (served.log_file.parent / "code" / "broken.py").write_text("def handler(event, context):\n    return 'mended'\n")
    assert payload(served.client.invoke(FunctionName="broken")) == "mended"


def test_unknown_paths_are_refused_as_lambda_refuses_them(served: Served) -> None:
    with pytest.raises(ClientError) as refused:
        served.client.list_layers()
    assert refused.value.response["Error"] == {
        "Code": "AccessDeniedException",
        "Message": "Unable to determine service/operation name to be authorized",
    }


def test_no_process_starts_before_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "flows.py").write_text("def handler(event, context):\n    return 1\n")
    log = JsonLog(tmp_path / "log.jsonl")
    with LocalEngine(None) as engine:
        for number in range(85):
            register_function(engine, f"f{number}", FunctionSettings(handler=f"{tmp_path}/flows.py:handler"), log, "")
        hosts = [engine._functions.require(f"f{number}").host for number in range(85)]
        assert all(isinstance(host, ProcessHost) and not host._all for host in hosts)
        assert len(engine.client.list_functions()["Functions"]) == 85
        assert not any(isinstance(host, ProcessHost) and host._all for host in hosts)
    log.close()


def test_a_boto3_script_uses_everything_against_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Serving(tmp_path, "--config", str(write(tmp_path))) as serving:
        client = serving.client()
        assert {
            one["FunctionName"] for one in client.get_paginator("list_functions").paginate().search("Functions")
        } > {"orders"}
        started = client.invoke(
            FunctionName="orders",
            Qualifier="live",
            InvocationType="Event",
            DurableExecutionName="A-17",
            Payload=b'{"id": 17}',
        )
        arn = started["DurableExecutionArn"]
        assert started["ExecutedVersion"] == "1"
        shown = client.get_function(FunctionName="orders", Qualifier="live")["Configuration"]
        assert (shown["Version"], shown["Handler"]) == ("1", "releases/orders_1.orders")
        callback = serving.wait_for_callbacks(1, "orders")[0]
        client.pause_durable_execution(DurableExecutionArn=arn, Reason="deploying")
        while client.get_durable_execution(DurableExecutionArn=arn)["Status"] != "PAUSED":
            pass
        client.send_durable_execution_callback_success(CallbackId=callback, Result=b"yes")
        assert client.publish_version(FunctionName="orders")["Version"] == "2"
        client.create_alias(FunctionName="orders", Name="next", FunctionVersion="2")
        client.resume_durable_execution(DurableExecutionArn=arn)
        while client.get_durable_execution(DurableExecutionArn=arn)["Status"] != "SUCCEEDED":
            pass
        found = client.get_durable_execution(DurableExecutionArn=arn)
        assert json.loads(found["Result"]) == ["yes", "orders-local", "1", "first release"]
        assert found["DurableConfig"] == {"RetentionPeriodInDays": 3, "ExecutionTimeout": 172_800}
        pages = client.get_paginator("get_durable_execution_history").paginate(
            DurableExecutionArn=arn, PaginationConfig={"PageSize": 2}
        )
        kinds = [event["EventType"] for page in pages for event in page["Events"]]
        assert kinds[0] == "ExecutionStarted"
        assert kinds[-1] == "ExecutionSucceeded"
        assert {"ExecutionPaused", "ExecutionResumed", "CallbackSucceeded"} <= set(kinds)
        second = client.invoke(FunctionName="orders:next", InvocationType="Event", Payload=b'{"id": 18}')
        assert second["ExecutedVersion"] == "2"
        client.stop_durable_execution(
            DurableExecutionArn=second["DurableExecutionArn"], Error={"ErrorMessage": "enough"}
        )
        for each in (arn, second["DurableExecutionArn"]):
            client.delete_durable_execution(DurableExecutionArn=each)
        assert not client.list_durable_executions_by_function(FunctionName="orders")["DurableExecutions"]
        client.close()


@pytest.mark.skipif(shutil.which("aws") is None, reason="the AWS CLI is not installed")
@pytest.mark.timeout(180)  # each command of the CLI starts a process of its own, a second each
def test_the_aws_cli_works_against_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_DATA_PATH": str(Path(botocore.__file__).parent / "data"),  # teaches an older CLI the newest operations
    }
    with Serving(tmp_path, "--config", str(write(tmp_path))) as serving:
        client = serving.client()

        def status() -> str:
            return str(client.get_durable_execution(DurableExecutionArn=arn)["Status"])

        def aws(*words: str) -> str:
            command = ["aws", "lambda", "--endpoint-url", serving.url, "--output", "text", *words]
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

        Path("event.json").write_text('{"id": 17}')
        event = ("--payload", "fileb://event.json", "out.json")
        options = ("--function-name", "orders:live", "--invocation-type", "Event", "--query", "DurableExecutionArn")
        arn = aws("invoke", *options, *event)
        callback = serving.wait_for_callbacks(1, "orders")[0]
        history = ("get-durable-execution-history", "--durable-execution-arn", arn, "--page-size", "2")
        assert "CallbackStarted" in aws(*history, "--query", "Events[].EventType")
        aws("pause-durable-execution", "--durable-execution-arn", arn, "--reason", "deploying")
        while status() == "PAUSING":
            pass
        assert status() == "PAUSED"
        aws("send-durable-execution-callback-success", "--callback-id", callback)
        assert status() == "PAUSED"
        aws("resume-durable-execution", "--durable-execution-arn", arn)
        while status() != "SUCCEEDED":
            pass
        aws("delete-durable-execution", "--durable-execution-arn", arn)
        with pytest.raises(ClientError, match="Durable execution not found"):
            status()
        aws("stop-durable-execution", "--durable-execution-arn", aws("invoke", *options, *event))
        client.close()


@pytest.mark.parametrize(("words", "code", "said"), [
    (["--config", "nowhere.toml"], 3, "cannot read the configuration"),
    (["--config", "durable.toml", "--function", "plain=a:b"], 2, "both in durable.toml and on the command line"),
    (["--function", "f=nowhere.py:handler"], 3, "there is no file nowhere.py"),
    (["--function", "f=no_such_module:handler"], 3, "No module named 'no_such_module'"),
    (["--function", "f=wrong.py:handler"], 3, "SyntaxError"),
])  # fmt: skip
def test_what_cannot_be_served_is_said_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: Any,
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    Path("wrong.py").write_text("def handler(:\n")
    assert main(["serve", "--store", ":memory:", "--port", "0", *words]) == code
    assert said in capsys.readouterr().err


def test_a_broken_function_is_loaded_once_for_an_invocation(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    spawn = ProcessHost._spawn

    def counting(host: ProcessHost, version: str) -> Any:
        loads.append(host._spec)
        return spawn(host, version)

    monkeypatch.setattr(ProcessHost, "_spawn", counting)
    served.client.invoke(FunctionName="broken")
    assert len(loads) == 2  # to know what it is, and to run it
