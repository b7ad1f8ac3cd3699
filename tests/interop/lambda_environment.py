"""A Lambda environment on this machine: the Runtime API, and AWS's own runtime interface client as the process that calls it.

The function runs as on Lambda: imported in an init phase, invoked one event at a time, frozen between invocations, and killed with
its environment at the time-out of the function.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from durable_execution.local.hosts import Answer, Failure, Invocation, Outcome
from durable_execution.protocol import ErrorObject

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/2018-06-01/runtime/"
PATIENCE_SECONDS = 60
FULL_PROCESSOR_MB = 1769
"""Memory size at which a function has one processor (Lambda's developer guide, "Configure Lambda function memory")."""

QUOTA_PERIOD_SECONDS = 0.02


@dataclass(slots=True)
class Event:
    """One invocation, and the answer when there is one."""

    payload: Any
    request_id: str
    deadline_millis: int
    function_arn: str
    trace_id: str | None = None
    is_answered: threading.Event = field(default_factory=threading.Event)
    outcome: Outcome | None = None

    def answer(self, outcome: Outcome) -> None:
        """Give the answer; the first one counts."""
        if self.outcome is None:
            self.outcome = outcome
        self.is_answered.set()


class RuntimeApi:
    """The HTTP interface between an environment and Lambda.

    Attributes:
        is_ready: Set when the environment asks for its next event: the function is imported, or has answered.
        init_error: What the environment reported instead.
    """

    def __init__(self) -> None:
        self.is_ready = threading.Event()
        self.init_error: ErrorObject | None = None
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._running: dict[str, Event] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        """The value of `AWS_LAMBDA_RUNTIME_API`."""
        return f"127.0.0.1:{self._server.server_port}"

    def put(self, event: Event) -> None:
        """Hand an event to the environment."""
        self.is_ready.clear()
        self._running[event.request_id] = event
        self._events.put(event)

    def next(self) -> Event | None:
        """Wait for the next event; None when the environment ends."""
        self.is_ready.set()
        return self._events.get()

    def answered(self, request_id: str, outcome: Outcome) -> None:
        """The environment has answered an event."""
        self._running.pop(request_id).answer(outcome)

    def failed_init(self, error: ErrorObject) -> None:
        """The function could not be imported."""
        self.init_error = error
        self.is_ready.set()

    def lost(self, kind: str, message: str) -> None:
        """The environment is gone: what it was working on has failed."""
        for event in list(self._running.values()):
            event.answer(Failure(ErrorObject(message, kind)))
        self._running.clear()

    def close(self) -> None:
        """Stop listening."""
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()


def _handler_for(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"api": api})


class _Handler(BaseHTTPRequestHandler):
    api: RuntimeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        event = self.api.next()
        if event is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": event.request_id,
            "Lambda-Runtime-Deadline-Ms": str(event.deadline_millis),
            "Lambda-Runtime-Invoked-Function-Arn": event.function_arn,
            "Content-Type": "application/json",
        }
        if event.trace_id is not None:
            headers["Lambda-Runtime-Trace-Id"] = event.trace_id
        self._send(200, json.dumps(event.payload).encode(), headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self.path.removeprefix(PREFIX).split("/"):
            case ["invocation", request_id, "response"]:
                self.api.answered(request_id, Answer(json.loads(body)))
            case ["invocation", request_id, "error"]:
                self.api.answered(request_id, Failure(_error(body)))
            case ["init", "error"]:
                self.api.failed_init(_error(body))
            case _:
                self._send(404, b"{}", {})
                return
        self._send(202, b"{}", {})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Be silent."""


def _error(body: bytes) -> ErrorObject:
    found = json.loads(body)
    return ErrorObject(found.get("errorMessage"), found.get("errorType"))


class Throttle:
    """Lets a process have the processor time that Lambda gives a function of this memory size: a share of one at 1,769 MB.

    The process is stopped whenever it is ahead of its share, as the quota of a control group does. This needs Linux, where the
    processor clock of another process can be read.
    """

    def __init__(self, process: subprocess.Popen[bytes], memory_mb: float) -> None:
        self._process = process
        self._share = memory_mb / FULL_PROCESSOR_MB
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        if self._share < 1:
            self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        if self._share < 1:
            self._thread.join()

    def _watch(self) -> None:
        began, used_before = time.perf_counter(), cpu_seconds(self._process)
        while not self._is_over.wait(0.001) and self._process.poll() is None:
            used = cpu_seconds(self._process) - used_before
            ahead = used - self._share * (time.perf_counter() - began + QUOTA_PERIOD_SECONDS)
            if ahead > 0:
                self._process.send_signal(signal.SIGSTOP)
                self._is_over.wait(ahead / self._share)
                self._process.send_signal(signal.SIGCONT)


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """The processor time that a process has used; 0 if it is gone."""
    try:
        return time.clock_gettime((~process.pid << 3) | 2)  # how Linux numbers the clock of another process
    except OSError:
        return 0


class Environment:
    """One process with AWS's runtime interface client.

    Args:
        handler: `module.handler`.
        variables: Environment variables of the function.
        timeout_seconds: The time-out of the function.
        is_frozen: Whether the process is stopped between invocations, as Lambda freezes an environment.
        memory_mb: The memory size of the function. It decides its share of a processor, except while it initializes.

    Attributes:
        init_cpu_seconds: The processor time until the function was ready.
    """

    def __init__(
        self,
        handler: str,
        variables: Mapping[str, str],
        *,
        timeout_seconds: float = 30,
        is_frozen: bool = True,
        memory_mb: int = FULL_PROCESSOR_MB,
    ) -> None:
        self.api = RuntimeApi()
        self._timeout_seconds = timeout_seconds
        self._is_frozen = is_frozen
        self._memory_mb = memory_mb
        environment = {
            **os.environ,
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "function",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
            "LAMBDA_TASK_ROOT": str(ROOT),
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
            **variables,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.output: list[bytes] = []
        threading.Thread(target=self._watch, daemon=True).start()
        if not self.api.is_ready.wait(PATIENCE_SECONDS):
            self.close()
            raise AssertionError(f"the environment did not start: {self.said}")
        self.init_cpu_seconds = cpu_seconds(self.process)
        self._freeze()

    @property
    def said(self) -> str:
        """Everything that the process has written."""
        return b"".join(self.output).decode("utf-8", "replace")

    @property
    def is_alive(self) -> bool:
        """Whether it can be invoked again."""
        return self.process.poll() is None and self.api.init_error is None

    def invoke(self, payload: Any, *, request_id: str, function_arn: str, trace_id: str | None = None) -> Outcome:
        """Invoke the function and wait for its answer, or for its time-out."""
        if self.api.init_error is not None:
            return Failure(self.api.init_error)
        deadline = time.time() + self._timeout_seconds
        event = Event(payload, request_id, int(deadline * 1000), function_arn, trace_id)
        self.thaw()
        self.api.put(event)
        with Throttle(self.process, self._memory_mb):
            event.is_answered.wait(self._timeout_seconds)
        if not event.is_answered.is_set():
            event.answer(
                Failure(ErrorObject(f"Task timed out after {self._timeout_seconds:.2f} seconds", "Sandbox.Timedout"))
            )
            self.process.kill()
        else:
            self.api.is_ready.wait(PATIENCE_SECONDS)
            self._freeze()
        assert event.outcome is not None
        return event.outcome

    def thaw(self) -> None:
        """Let the process run."""
        self._signal(signal.SIGCONT)

    def _freeze(self) -> None:
        if self._is_frozen:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    def _watch(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
        self.process.wait()
        self.api.lost("Runtime.ExitError", f"the environment ended with {self.process.returncode}")
        self.api.is_ready.set()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.api.close()


class LambdaHost:
    """Runs a function of the engine in Lambda environments, one at a time. A dead one is replaced, as on Lambda.

    Attributes:
        environments: Every environment, in order.
    """

    def __init__(self, handler: str, variables: Mapping[str, str], **options: Any) -> None:
        self._handler = handler
        self._variables = variables
        self._options = options
        self.environments: list[Environment] = []

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run it once."""
        if not self.environments or not self.environments[-1].is_alive:
            self.environments.append(Environment(self._handler, self._variables, **self._options))
        return self.environments[-1].invoke(
            invocation.event,
            request_id=invocation.context.aws_request_id,
            function_arn=invocation.context.invoked_function_arn,
            trace_id=invocation.trace_header,
        )

    def close(self) -> None:
        """End the environments."""
        for environment in self.environments:
            environment.close()


@contextmanager
def environment(handler: str, variables: Mapping[str, str], **options: Any) -> Iterator[Environment]:
    """One running environment."""
    running = Environment(handler, variables, **options)
    try:
        yield running
    finally:
        running.close()
