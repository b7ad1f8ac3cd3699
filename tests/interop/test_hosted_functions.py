"""Functions hosted by the server: in worker processes, and behind an address."""

import http.server
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from durable_execution.errors import EngineError
from durable_execution.local import EngineLimits, LocalEngine
from durable_execution.local.http import JsonLog, LocalServer, ProcessHost, RemoteHost
from durable_execution.local.http.server import host_function
from durable_execution.protocol import Wire
from tests.interop.serving import boto3_client
from tests.unit.local.scripts import PENDING, Session, details, done, history, kinds, step, wait

pytestmark = [pytest.mark.interop, pytest.mark.real_time]

ROOT = Path(__file__).resolve().parents[2]


class Cloud:
    """A served engine that hosts functions of `hosted.py`."""

    def __init__(self, directory: Path) -> None:
        self.log_file = directory / "functions.log"
        self.log = JsonLog(self.log_file)
        self.engine = LocalEngine(directory / "executions.db", limits=EngineLimits(retry_delay=timedelta(0)))
        self.server = LocalServer(self.engine, port=0)
        self.server.start()

    def host(self, name: str, target: str | None = None, **options: Any) -> None:
        spec = target or f"tests.interop.{'hosted_aws' if name.startswith('aws_') else 'hosted'}:{name}"
        host = host_function(name, spec, self.log, self.server.url, self.engine.store_path)
        self.engine.register(name, host, durable=getattr(host, "is_durable", True), **options)

    def invoke(self, name: str, payload: Any, **options: Any) -> Wire:
        client = boto3_client(self.server.url)
        try:
            answer = client.invoke(FunctionName=name, Payload=json.dumps(payload).encode(), **options)
            return {**answer, "Payload": json.loads(answer["Payload"].read())}
        finally:
            client.close()

    def logged(self) -> list[Wire]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def close(self) -> None:
        self.server.close()
        self.engine.close()
        self.log.close()


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.chdir(ROOT)
    made = Cloud(tmp_path)
    yield made
    made.close()


def test_a_plain_function_runs_in_a_process_of_its_own_which_is_kept(cloud: Cloud) -> None:
    import os

    cloud.host("plain", tenant_isolated=True)
    first = cloud.invoke("plain", [1], TenantId="acme")
    second = cloud.invoke("plain", [2], TenantId="acme")
    found = first["Payload"]
    assert found["event"] == [1]
    assert found["tenant"] == "acme"
    assert found["name"] == "plain"
    assert found["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:plain:$LATEST"
    assert 0 < found["remaining"] <= 900_000
    assert found["trace"] is None
    assert found["pid"] not in (os.getpid(), None)
    assert second["Payload"]["pid"] == found["pid"]
    assert second["Payload"]["request_id"] != found["request_id"]


@pytest.mark.parametrize(
    ("event", "kind", "text"),
    [
        ("raise", "ValueError", "no"),
        ("exit", "Runtime.ExitError", "exit status 3"),
        ("_exit", "Runtime.ExitError", "exit status 4"),
        ("kill", "Runtime.ExitError", "signal: SIGKILL"),
        ("set", "Runtime.MarshalError", "not JSON serializable"),
        ("hang", "Sandbox.Timedout", "timed out after 1.00 seconds"),
    ],
)
def test_what_a_function_does_to_its_process_never_takes_the_server_down(
    cloud: Cloud, event: str, kind: str, text: str
) -> None:
    host = ProcessHost("tests.interop.hosted:misbehaves", log=cloud.log, environment={}, timeout=timedelta(seconds=1))
    cloud.engine.register("misbehaves", host, durable=False)
    answer = cloud.invoke("misbehaves", event)
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == kind
    assert text in answer["Payload"]["errorMessage"]
    assert cloud.invoke("misbehaves", "")["Payload"] == "fine"


def test_streams_cannot_be_confused(cloud: Cloud) -> None:
    cloud.host("misbehaves")
    assert cloud.invoke("misbehaves", "read stdin")["Payload"] == ""
    assert cloud.invoke("misbehaves", "write to descriptor 1")["Payload"] == "fine"
    assert len(cloud.invoke("misbehaves", "large")["Payload"]) == 3_000_000
    assert "straight to the descriptor" in [line.get("message") for line in cloud.logged()]


def test_what_a_function_writes_is_logged_with_its_request(cloud: Cloud) -> None:
    cloud.host("talks")
    for event in ("first", "second"):
        cloud.invoke("talks", event)
    lines = cloud.logged()
    by_request: dict[str, list[Wire]] = {}
    for line in lines:
        assert line["function"] == "talks"
        assert line["timestamp"]
        by_request.setdefault(line["requestId"], []).append(line)
    assert len(by_request) == 2
    for found, event in zip(by_request.values(), ("first", "second"), strict=True):
        messages = [line.get("message") for line in found]
        assert "plain words" in messages
        assert "to the other stream" in messages
        assert [line["hook"] for line in found if line.get("plugin") == "P"] == [event]
        (sold,) = (line for line in found if line.get("logger") == "shop")
        assert (sold["level"], sold["message"], sold["sku"]) == ("WARNING", "sold out", 7)


def test_a_handler_of_this_sdk_talks_to_the_server_with_boto3(cloud: Cloud) -> None:
    cloud.host("greets")
    answer = cloud.invoke("greets:$LATEST", {"who": "you"})
    assert answer["Payload"] == "hello you"
    arn = answer["DurableExecutionArn"]
    assert kinds(cloud.engine, arn) == [
        "ExecutionStarted",
        "WaitStarted",
        "InvocationCompleted",
        "WaitSucceeded",
        "StepStarted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    (record,) = (line for line in cloud.logged() if line.get("message") == "greeting")
    assert record["executionArn"] == arn
    assert list((cloud.log_file.parent / "traces").glob("*.trace.jsonl"))


def test_a_step_that_ends_its_process_is_an_interrupted_step(cloud: Cloud) -> None:
    cloud.host("dies_once")
    answer = cloud.invoke("dies_once:$LATEST", {})
    arn = answer["DurableExecutionArn"]
    assert answer["Payload"] == "StepInterruptedError"
    events = history(cloud.engine, arn)
    assert [event["EventType"] for event in events] == [
        "ExecutionStarted",
        "StepStarted",
        "InvocationCompleted",
        "StepFailed",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    assert details(events[2])["Error"]["Payload"]["ErrorType"] == "Runtime.ExitError"
    bodies = [line for line in cloud.logged() if line.get("message") == "running the body"]
    assert [line["executionArn"] for line in bodies] == [arn]


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV], ids=lambda found: found.name)
def test_what_a_step_had_begun_when_its_process_died_at_once_is_recorded(
    cloud: Cloud, tmp_path: Path, death: signal.Signals
) -> None:
    cloud.host("dies_once_in_a_branch")
    payload = {"marker": str(tmp_path / "marker"), "signal": death}
    answer = cloud.invoke("dies_once_in_a_branch:$LATEST", payload)
    assert answer["Payload"] == ["alive"]
    assert kinds(cloud.engine, answer["DurableExecutionArn"])[1:] == [
        "StepStarted",
        "StepSucceeded",
        "ContextStarted",
        "ContextStarted",
        "StepStarted",
        "InvocationCompleted",
        "StepSucceeded",
        "ContextSucceeded",
        "ContextSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("aws_a_step", {"who": "me"}, {"hello": "me"}),
        ("aws_a_parallel", {}, ["quick", "slow"]),
        ("aws_a_map", {}, [10, 21, 32]),
        ("aws_a_large_result", {}, "x" * 6_291_420),
    ],
)
def test_a_handler_of_awss_sdk_in_a_process(cloud: Cloud, name: str, payload: Any, expected: Any) -> None:
    cloud.host(name)
    answer = cloud.invoke(f"{name}:$LATEST", payload)
    assert answer["Payload"] == expected
    assert kinds(cloud.engine, answer["DurableExecutionArn"])[-1] == "ExecutionSucceeded"


def test_awss_sdk_in_a_process_that_dies_in_a_step(cloud: Cloud) -> None:
    cloud.host("aws_an_at_most_once_step_that_crashes")
    answer = cloud.invoke("aws_an_at_most_once_step_that_crashes:$LATEST", {})
    assert answer["FunctionError"] == "Unhandled"
    assert kinds(cloud.engine, answer["DurableExecutionArn"])[1:] == [
        "StepStarted",
        "InvocationCompleted",
        "StepFailed",
        "InvocationCompleted",
        "ExecutionFailed",
    ]


def test_a_function_may_be_a_file(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("WORD = 'beside'\n")
    (tmp_path / "my-function.py").write_text("import beside\ndef handler(event, context):\n    return beside.WORD\n")
    cloud.host("filed", f"{tmp_path}/my-function.py:handler")
    assert cloud.invoke("filed", {})["Payload"] == "beside"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("tests.interop.nowhere:handler", "ModuleNotFoundError"),
        ("tests.interop.hosted:nothing", "AttributeError"),
        ("tests.interop.hosted:WORDS", "is not callable"),
        ("no/such/file.py:handler", "there is no file"),
        ("tests.interop.hosted", "does not name a handler"),
        ("http://", "is not the address of a function"),
        ("http://localhost:x", "is not the address of a function"),
    ],
)
def test_a_function_that_cannot_be_loaded_says_why_at_once(cloud: Cloud, target: str, reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        cloud.host("f", target)


class Emulator(http.server.ThreadingHTTPServer):
    """Something that speaks the protocol of Lambda's runtime interface emulator."""

    def __init__(self, answer: Any) -> None:
        self.seen: list[tuple[str, Any, Wire]] = []
        self.answer = answer
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        emulator = cast("Emulator", self.server)
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        emulator.seen.append((self.path, dict(self.headers), event))
        status, headers, body = emulator.answer(event)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # named so by the standard library
        """Say nothing."""


def test_a_durable_function_behind_an_address(cloud: Cloud) -> None:
    client = boto3_client(cloud.server.url)

    def answer(event: Wire) -> tuple[int, Wire, bytes]:
        session = Session(client, event)
        if session.status("w") is None:
            session.send(step("a", "SUCCEED", Payload="1"), wait("w", 1))
            return 200, {}, json.dumps(PENDING).encode()
        return 200, {}, json.dumps(done()).encode()

    with Emulator(answer) as emulator:
        cloud.host("remote", emulator.url)
        found = cloud.invoke("remote:$LATEST", {})
        emulator.shutdown()
    client.close()
    assert found["Payload"] == "done"
    paths = {path for path, _, _ in emulator.seen}
    headers = emulator.seen[0][1]
    assert paths == {"/2015-03-31/functions/function/invocations"}
    assert headers["X-Dex-Handler-Invoke"] == "true"
    assert len(emulator.seen) == 2


ERROR_BODY = json.dumps({"errorType": "Boom", "errorMessage": "no", "stackTrace": ["a"]}).encode()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((200, {}, ERROR_BODY), "Boom"),
        ((200, {"X-Amz-Function-Error": "Unhandled"}, ERROR_BODY), "Boom"),
        ((502, {}, b'"bad gateway"'), "Runtime.Unknown"),
        ((200, {}, b"<html>"), "Runtime.MarshalError"),
        ((404, {}, b""), "ResourceNotFoundException"),
    ],
    ids=["error body", "error header", "gateway", "no json", "missing"],
)
def test_failures_behind_an_address(cloud: Cloud, answer: Any, kind: str) -> None:
    with Emulator(lambda event: answer) as emulator:
        cloud.engine.register("remote", RemoteHost(emulator.url), durable=False)
        found = cloud.invoke("remote", {})
        emulator.shutdown()
    assert found["Payload"]["errorType"] == kind


def test_nobody_behind_the_address(cloud: Cloud) -> None:
    with Emulator(None) as emulator:
        url = emulator.url
        emulator.shutdown()
    cloud.engine.register("remote", RemoteHost(url), durable=False)
    found = cloud.invoke("remote", {})
    assert found["Payload"]["errorType"] == "Runtime.ExitError"
    assert "did not answer" in found["Payload"]["errorMessage"]


def test_a_slow_function_behind_an_address(cloud: Cloud) -> None:
    release = threading.Event()

    def answer(event: Wire) -> tuple[int, Wire, bytes]:
        release.wait(20)
        return 200, {}, b"1"

    with Emulator(answer) as emulator:
        cloud.engine.register("remote", RemoteHost(emulator.url, timeout=timedelta(milliseconds=200)), durable=False)
        found = cloud.invoke("remote", {})
        release.set()
        emulator.shutdown()
    assert found["Payload"]["errorType"] == "Sandbox.Timedout"


def test_the_server_binds_to_this_computer_only() -> None:
    with LocalEngine(None) as engine:
        for host in ("0.0.0.0", "192.0.2.1", "example.com", "::"):
            with pytest.raises(EngineError, match=r"other computers can reach .*--allow-remote"):
                LocalServer(engine, host=host, port=0)
        with LocalServer(engine, port=0) as server:
            assert server.url.startswith("http://127.0.0.1:")
            with pytest.raises(EngineError, match=r"cannot listen on 127\.0\.0\.1 port"):
                LocalServer(engine, port=int(server.url.rpartition(":")[2]))
        with LocalServer(engine, host="0.0.0.0", port=0, allow_remote=True) as server:
            assert server.url.startswith("http://0.0.0.0:")


FUNCTIONS = """
from datetime import timedelta
from durable_execution import durable_execution

@durable_execution
async def flow(payload, ctx):
    await ctx.step(lambda _: 1, name="before")
    await ctx.wait(timedelta(seconds=2), name="nap")
    return await ctx.step(lambda _: payload["n"] * 2, name="after")
"""

SERVE = "from durable_execution.local.http import serve\nserve({'flow': 'functions.py:flow'}, port=0, announce=lambda url: print(url, flush=True))"


@contextmanager
def serving(directory: Path, stop: int) -> Iterator[Any]:
    """A client of a server in a process of its own, which is ended with a signal."""
    process = subprocess.Popen([sys.executable, "-c", SERVE], cwd=directory, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        client = boto3_client(process.stdout.readline().strip())
        yield client
        client.close()
    finally:
        process.send_signal(stop)
        process.communicate(timeout=20)


def test_a_server_that_is_killed_and_started_again_finishes_what_it_had_begun(tmp_path: Path) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    with serving(tmp_path, signal.SIGKILL) as client:
        arn = client.invoke(FunctionName="flow:$LATEST", InvocationType="Event", Payload=b'{"n": 21}')[
            "DurableExecutionArn"
        ]

        def last_event() -> str:
            events = client.get_durable_execution_history(DurableExecutionArn=arn)["Events"]
            return str(events[-1]["EventType"])

        while last_event() != "InvocationCompleted":
            pass
    with serving(tmp_path, signal.SIGINT) as client:
        while client.get_durable_execution(DurableExecutionArn=arn)["Status"] == "RUNNING":
            pass
        found = client.get_durable_execution(DurableExecutionArn=arn)
        again = client.invoke(FunctionName="flow:$LATEST", Payload=b'{"n": 4}')
        assert json.loads(again["Payload"].read()) == 8
    assert found["Result"] == "42"
    assert (tmp_path / ".durable" / "traces").is_dir()
