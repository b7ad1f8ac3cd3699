"""Functions in worker processes: a crash or `os._exit` ends only the function's process."""

import asyncio
import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from importlib.machinery import PathFinder
from pathlib import Path
from typing import IO, Any
from weakref import WeakSet

from durable_execution.errors import EngineError, ServiceError
from durable_execution.local.function_registry import LATEST
from durable_execution.local.hosts import Answer, Failure, Invocation, Outcome, exit_error, log_stream_of
from durable_execution.local.http.application import JsonLog
from durable_execution.local.http.function_process import END_OF_LOG
from durable_execution.module_files import place_of
from durable_execution.protocol import ErrorObject, Wire
from durable_execution.runtime.client import read_notes

WORKER = Path(__file__).with_name("function_process.py")
START_SECONDS = 60.0
"""Maximum time to load a function."""

VERSION_VARIABLE = "AWS_LAMBDA_FUNCTION_VERSION"
TAIL_LINES = 200
"""How many of the last lines of an invocation are kept for `LogType=Tail`."""

LOG_SECONDS = 1.0
"""How long to wait for the last log lines of an invocation."""


class ProcessHost:
    """Runs `module:handler` or `path/to/file.py:handler` in worker processes, with one invocation at a time in each.

    Workers are reused for later invocations, like Lambda's environments.

    Args:
        spec: The handler to run.
        log: Receives its output.
        environment: Environment variables of the workers, in addition to this process's own.
        timeout: Maximum duration of one invocation.
        is_lazy: Whether to start the first worker with the first invocation, and not at once.
        is_tenant_isolated: Whether a worker serves one tenant only, as Lambda's environments do with tenant isolation.

    Attributes:
        ends_overdue: It kills the process of an invocation that takes too long.
        problem: Why the handler could not be loaded the last time; None if it could, or was not yet.

    Raises:
        EngineError: The handler cannot be loaded, or, with `is_lazy`, its file or module does not exist.
    """

    ends_overdue = True

    def __init__(
        self,
        spec: str,
        *,
        log: JsonLog,
        environment: Mapping[str, str],
        timeout: timedelta = timedelta(minutes=15),
        is_lazy: bool = False,
        is_tenant_isolated: bool = False,
    ) -> None:
        self._spec = spec
        self._is_tenant_isolated = is_tenant_isolated
        self._log = log
        self._environment = {**os.environ, **environment}
        self._timeout = timeout / timedelta(seconds=1)
        self.problem: str | None = None
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._durable: bool | None = None
        self._idle: list[tuple[str, str | None, _Worker]] = []
        self._all: set[_Worker] = set()
        self._is_closed = False
        self._lifeline = Lifeline()
        if is_lazy:
            require_source(spec)
        else:
            self._load()

    @property
    def is_durable(self) -> bool:
        """Whether the handler accepts the durable envelope. Loads it, unless it is loaded. False if that fails."""
        with self._loading:
            if self._durable is None:
                try:
                    self._load()
                except EngineError as error:
                    self._log.write({"level": "ERROR", "message": str(error), "errorType": "Runtime.ImportModuleError"})
            return bool(self._durable)

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run it once."""
        version = invocation.context.function_version
        tenant = invocation.context.tenant_id if self._is_tenant_isolated else None
        try:
            worker = self._take(version, tenant)
        except EngineError as error:
            return Failure(ErrorObject(str(error), "Runtime.ImportModuleError"))
        allowed = self._timeout if invocation.timeout is None else invocation.timeout / timedelta(seconds=1)
        outcome = worker.run(invocation, min(self._timeout, allowed))
        with self._lock:
            if worker.is_alive and not self._is_closed:
                self._idle.append((version, tenant, worker))
                return outcome
            self._all.discard(worker)
        worker.close()
        return outcome

    def close(self) -> None:
        """End the worker processes."""
        with self._lock:
            self._is_closed = True
            workers, self._all = self._all, set()
            self._idle.clear()
        for worker in workers:
            worker.close()
        self._lifeline.close()

    def _take(self, version: str, tenant: str | None) -> "_Worker":
        """A worker for a version, as its environment says: versions without code of their own share this host."""
        with self._lock:
            idle = reversed(self._idle)
            found = next((one for one in idle if one[0] == version and one[1] in (tenant, None)), None)
            if found is not None:  # a worker without a tenant has not served anybody yet, or serves everybody
                self._idle.remove(found)
                return found[2]
        return self._spawn(version)

    def _load(self) -> None:
        version = self._environment.get(VERSION_VARIABLE, LATEST)
        worker = self._spawn(version)
        with self._lock:
            self._durable = worker.is_durable
            self._idle.append((version, None, worker))

    def _spawn(self, version: str) -> "_Worker":
        environment = {
            **self._environment,
            VERSION_VARIABLE: version,
            "AWS_LAMBDA_LOG_STREAM_NAME": log_stream_of(version),
        }
        try:
            worker = _Worker(self._spec, self._log, environment, self._lifeline)
        except EngineError as error:
            self.problem = str(error)
            raise
        self.problem = None
        with self._lock:
            if not self._is_closed:
                self._all.add(worker)
                return worker
        worker.close()
        raise EngineError("the engine is closed.")


def require_source(spec: str) -> None:
    """Check that the file or module of a handler exists and is Python, without running it.

    Args:
        spec: `module:handler` or `path/to/file.py:handler`.

    Raises:
        EngineError: It does not exist, or is not valid Python.
    """
    place, _, _attribute = spec.rpartition(":")
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise unloadable(spec, "ModuleNotFoundError", f"there is no file {path}")
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OSError) as error:
            raise unloadable(spec, type(error).__name__, str(error)) from None
    elif PathFinder.find_spec(place.partition(".")[0], [str(Path.cwd()), *sys.path]) is None:
        raise unloadable(spec, "ModuleNotFoundError", f"No module named {place.partition('.')[0]!r}")


def unloadable(spec: str, kind: str, message: str) -> EngineError:
    """The error for a handler that cannot be loaded."""
    return EngineError(
        f"cannot load the function {spec}: {kind}: {message}. Write module:handler for a module that is importable from the "
        "current directory, or path/to/file.py:handler."
    )


class Lifeline:
    """A pipe whose writing end only this process holds: when it is killed, the kernel closes the pipe and ends the workers."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        _lifelines.add(self)

    def close(self) -> None:
        """Close both ends."""
        for descriptor in (self.reader, self._writer):
            if descriptor >= 0:
                os.close(descriptor)
        self.reader = self._writer = -1


_lifelines: "WeakSet[Lifeline]" = WeakSet()


def _close_in_fork() -> None:
    """Close the pipes that a fork has inherited: it would keep its parent's workers alive."""
    for lifeline in list(_lifelines):
        lifeline.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_fork)


def _in_package(spec: str, environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the function and the environment of its process: a file in a package is imported under the package's name."""
    place, _, attribute = spec.rpartition(":")
    file = Path(place).resolve()
    if place.endswith(".py") and file.is_file():
        root, name = place_of(file)
        if "." in name:
            paths = os.pathsep.join(filter(None, (str(root), environment.get("PYTHONPATH"))))
            return f"{name}:{attribute}", {**environment, "PYTHONPATH": paths}
    return spec, dict(environment)


class _Worker:
    """One process."""

    def __init__(self, spec: str, log: JsonLog, environment: Mapping[str, str], lifeline: Lifeline) -> None:
        self._log = log
        self._about: dict[str, Any] = {}
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        target, environment = _in_package(spec, environment)
        self._notes = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), target, str(self._notes.fileno()), str(lifeline.reader)],
            pass_fds=[self._notes.fileno(), lifeline.reader],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # a Ctrl+C at the terminal is the server's to handle
        )
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._logged: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._listen(self._process.stdout, self._answers.put, "answers")
        self._listen(self._process.stderr, self._write_log, "log")
        self._peak_memory_mb: int | None = None
        self.is_durable = self._await_ready(spec)
        self._measure()

    @property
    def is_alive(self) -> bool:
        """Whether it can run another invocation."""
        return self._process.poll() is None

    def run(self, invocation: Invocation, timeout: float) -> Outcome:
        """Run one invocation, and kill the process if it times out."""
        request_id = invocation.context.aws_request_id
        self._lines = deque(maxlen=TAIL_LINES)
        self._about = {"function": invocation.context.function_name, "requestId": request_id}
        if invocation.execution_arn is not None:
            self._about["executionArn"] = invocation.execution_arn
        try:
            line = self._ask(_request(invocation), timeout)
        except queue.Empty:
            self._measure()
            self._kill()
            self._send_unsent(invocation)
            message = f"{request_id} Task timed out after {timeout:.2f} seconds"
            self._log.write({**self._about, "level": "ERROR", "message": message})
            return Failure(ErrorObject(message, "Sandbox.Timedout"), (*self._lines, message), self._peak_memory_mb)
        if line is None:
            self._process.wait()
            self._send_unsent(invocation)
            return self._crashed(request_id)
        self._await_log(f"{END_OF_LOG}{request_id}")
        self._measure()
        return replace(_outcome(json.loads(line)), log=tuple(self._lines), peak_memory_mb=self._peak_memory_mb)

    def close(self) -> None:
        """End the process: an idle worker exits when its input ends, and a busy one is killed."""
        if self._process.stdin is not None:
            _close(self._process.stdin)
        try:
            self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            self._kill()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                _close(stream)
        self._notes.close()

    def _ask(self, request: str, timeout: float) -> str | None:
        stdin = self._process.stdin
        try:
            if stdin is not None:
                stdin.write(request + "\n")
                stdin.flush()
        except OSError:
            return None  # it died before it received the request
        return self._answers.get(timeout=timeout)

    def _send_unsent(self, invocation: Invocation) -> None:
        """Checkpoint what the dead process started but did not send, so that the next invocation finds it started."""
        size = os.fstat(self._notes.fileno()).st_size
        found = read_notes(os.pread(self._notes.fileno(), size, 0).decode())
        if found is None or invocation.execution_arn is None:
            return
        with contextlib.suppress(ServiceError):  # its last call delivered them, or the execution has ended
            asyncio.run(_checkpoint(invocation, invocation.execution_arn, *found))

    def _crashed(self, request_id: str) -> Outcome:
        code = self._process.wait()
        self._await_log(None)
        how = f"exit status {code}" if code >= 0 else f"signal: {signal.Signals(-code).name}"
        message = f"RequestId: {request_id} Error: Runtime exited with error: {how}"
        self._log.write({**self._about, "level": "ERROR", "message": message, "errorType": "Runtime.ExitError"})
        return Failure(exit_error(message), (*self._lines, message), self._peak_memory_mb)

    def _measure(self) -> None:
        """Note the memory that the process has used. What a process that died used last is not known."""
        self._peak_memory_mb = peak_memory_mb(self._process.pid) or self._peak_memory_mb

    def _await_ready(self, spec: str) -> bool:
        try:
            line = self._answers.get(timeout=START_SECONDS)
        except queue.Empty:
            line = None
        found = json.loads(line) if line else {}
        if "ready" in found:
            return bool(found["durable"])
        self._kill()
        self.close()
        broken = found.get(
            "broken", {"errorType": "Runtime.ExitError", "errorMessage": "its process ended while loading"}
        )
        raise unloadable(spec, broken["errorType"], broken["errorMessage"])

    def _listen(self, stream: IO[str] | None, consume: Callable[[str | None], None], name: str) -> None:
        def read() -> None:
            try:
                for line in stream or ():
                    consume(line.rstrip("\n"))
            except (OSError, ValueError):
                pass  # closed while reading, which counts as its end
            consume(None)

        threading.Thread(target=read, name=f"durable-worker-{name}-{self._process.pid}", daemon=True).start()

    def _write_log(self, line: str | None) -> None:
        if line is None or line.startswith(END_OF_LOG):
            self._logged.put(line)
        elif line:
            self._lines.append(line)
            self._log.write_line(line, self._about)

    def _await_log(self, end: str | None) -> None:
        """Wait until the invocation's lines are in the log, so that they are not attributed to the next invocation."""
        try:
            while self._logged.get(timeout=LOG_SECONDS) not in (end, None):
                pass
        except queue.Empty:
            pass  # a process started by the function keeps the stream open

    def _kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):  # nothing that the function started outlives it
            os.killpg(self._process.pid, signal.SIGKILL)


def peak_memory_mb(process_id: int) -> int | None:
    """The most memory that a running process has used, in MB; None where the system does not say."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), None)
    return None if peak is None else math.ceil(int(peak) / 1024)


async def _checkpoint(invocation: Invocation, execution_arn: str, token: str, updates: list[Wire]) -> None:
    await invocation.client.checkpoint(execution_arn, token, updates)


def _request(invocation: Invocation) -> str:
    context = invocation.context
    return json.dumps(
        {
            "event": invocation.event,
            "trace": invocation.trace_header,
            "context": {
                "aws_request_id": context.aws_request_id,
                "function_name": context.function_name,
                "function_version": context.function_version,
                "invoked_function_arn": context.invoked_function_arn,
                "tenant_id": context.tenant_id,
                "client_context": context.client_context,
                "memory_limit_in_mb": context.memory_limit_in_mb,
                "log_group_name": context.log_group_name,
                "log_stream_name": context.log_stream_name,
                "remaining_ms": context.get_remaining_time_in_millis(),
            },
        }
    )


def _outcome(found: dict[str, Any]) -> Answer | Failure:
    if "failure" not in found:
        return Answer(found["answer"])
    failure = found["failure"]
    trace = failure.get("stackTrace")
    return Failure(
        ErrorObject(failure["errorMessage"], failure["errorType"], None, tuple(trace) if trace is not None else None)
    )


def _close(stream: IO[str]) -> None:
    with contextlib.suppress(OSError):  # the peer is gone
        stream.close()
