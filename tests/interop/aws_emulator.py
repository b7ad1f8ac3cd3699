"""AWS's emulator of the service as its web server, and functions of ours at the Lambda endpoint that it calls."""

import asyncio
import json
import os
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

from aws_durable_execution_sdk_python_testing.child_dispatcher import FunctionConfigs
from aws_durable_execution_sdk_python_testing.executor import Executor
from aws_durable_execution_sdk_python_testing.runner import WebRunner, WebRunnerConfig
from aws_durable_execution_sdk_python_testing.web.server import WebServiceConfig

from tests.interop.serving import boto3_client

FunctionHandler = Callable[[Any, Any], Any]

PATIENCE_SECONDS = 15
ENDED = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"})
HOST = "127.0.0.1"


class FunctionEndpoint:
    """Lambda's Invoke, for functions of this process.

    Attributes:
        functions: By name.
        url: Where it listens.
    """

    def __init__(self) -> None:
        self.functions: dict[str, FunctionHandler] = {}
        functions = self.functions

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name http.server gives it
                name = unquote(urlsplit(self.path).path.split("/")[3]).partition(":")[0]
                payload = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
                try:
                    answer, failure = functions[name](payload, None), None
                except Exception as error:  # noqa: BLE001  # whatever a function raises is its answer
                    answer, failure = {"errorMessage": str(error), "errorType": type(error).__name__}, "Unhandled"
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                if failure is not None:
                    self.send_header("X-Amz-Function-Error", failure)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name http.server gives it
                """Say nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


class AwsEmulator:
    """The emulator's API.

    Attributes:
        client: An unmodified boto3 client for it.
        endpoint: Where the functions are.
    """

    def __init__(self, url: str, endpoint: FunctionEndpoint) -> None:
        self.client = boto3_client(url)
        self.endpoint = endpoint
        self._url = url
        self._started = 0

    def start(self, function: str, payload: Any) -> str:
        """Start an execution; the emulator has a route of its own for that."""
        self._started += 1
        wanted = {
            "AccountId": "123456789012",
            "FunctionName": function,
            "FunctionQualifier": "$LATEST",
            "ExecutionName": f"{function}-{self._started}",
            "ExecutionTimeoutSeconds": 3600,
            "ExecutionRetentionPeriodDays": 1,
            "Input": json.dumps(payload),
        }
        request = urllib.request.Request(
            f"{self._url}/start-durable-execution",
            data=json.dumps(wanted).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            arn: str = json.load(response)["ExecutionArn"]
        return arn

    def until(self, look: Callable[[], Any]) -> Any:
        """Look again and again until there is something to see."""
        pause, end = threading.Event(), time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            pause.wait(0.02)
        raise TimeoutError("the emulator does not get there")

    def ended(self, arn: str) -> dict[str, Any]:
        """The execution, once it has ended."""

        def look() -> dict[str, Any] | None:
            execution: dict[str, Any] = self.client.get_durable_execution(DurableExecutionArn=arn)
            return execution if execution["Status"] in ENDED else None

        found: dict[str, Any] = self.until(look)
        return found

    def history(self, arn: str) -> list[dict[str, Any]]:
        """Every event."""
        page = self.client.get_durable_execution_history(
            DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=1000
        )
        events: list[dict[str, Any]] = page["Events"]
        return events

    def callback_id(self, arn: str) -> str:
        """The id of the callback the execution waits for."""

        def look() -> str | None:
            started = [event for event in self.history(arn) if event["EventType"] == "CallbackStarted"]
            return started[0]["CallbackStartedDetails"]["CallbackId"] if started else None

        found: str = self.until(look)
        return found


def keep_wake_ups() -> Any:
    """Have the emulator not lose a timer: a patch of version 1.4.0, which else leaves an execution waiting for ever.

    A timer first completes what is due, on the execution's own thread, and then, on the scheduler's, has the handler
    invoked. When the invocation that has set the timer ends in between, `_finish_invocation` finds nothing pending any more
    and cancels the timer (`_schedule_earliest_pending`): what was due is completed, and nobody is told. On two cores with
    three busy processes, 14 of 147 executions ended so; in the 5 that were looked into, the timer was cancelled just there.
    A timer that has begun is therefore not cancelled here: 145 of 145 ended.
    """
    original = Executor._fire_due_and_invoke_handler

    def patched(executor: Executor, arn: str) -> Callable[[], Awaitable[None]]:
        fire = original(executor, arn)

        async def to_the_end() -> None:
            await asyncio.shield(asyncio.ensure_future(fire()))

        return to_the_end

    return mock.patch.object(Executor, "_fire_due_and_invoke_handler", patched)


@contextmanager
def aws_emulator(functions: dict[str, Any]) -> Iterator[AwsEmulator]:
    """The emulator, skipping time.

    Args:
        functions: What it needs to know of functions that are invoked by others.
    """
    endpoint = FunctionEndpoint()
    made_up = mock.patch.dict(os.environ, {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"})
    made_up.start()  # the emulator signs its calls, and nobody checks the signature
    kept = keep_wake_ups()
    kept.start()
    config = WebRunnerConfig(
        web_service=WebServiceConfig(host=HOST, port=0),
        lambda_endpoint=endpoint.url,
        skip_time=True,
        function_configs=FunctionConfigs.from_dict(functions),
    )
    runner = WebRunner(config)
    runner.start()
    server: Any = runner._server
    scheduler: Any = runner._scheduler
    thread = threading.Thread(target=runner.serve_forever, daemon=True)
    thread.start()
    emulator = AwsEmulator(f"http://{HOST}:{server.server_address[1]}", endpoint)
    try:
        yield emulator
    finally:
        server.shutdown()
        thread.join(timeout=PATIENCE_SECONDS)
        runner.stop()
        scheduler._loop.close()  # which the emulator leaves to the garbage collector
        emulator.client.close()
        endpoint.close()
        kept.stop()
        made_up.stop()
