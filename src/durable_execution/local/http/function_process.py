"""The worker process that runs a hosted function.

It runs as a script and uses only the standard library, so that it adds no cost to the function's own. It reads one JSON
object per line from standard input, runs the handler, and writes one JSON object per line to the original standard output.
The function's own output goes to standard error. The worker exits when its standard input ends.
"""

import importlib
import importlib.util
import json
import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

END_OF_LOG = "\0end "
"""Prefix of the line that marks the end of an invocation's log."""

AWS_WRAPPER = "aws_durable_execution_sdk_python.execution"
STANDARD_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Log records in Lambda's JSON format, including extra members."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line of JSON."""
        line: dict[str, Any] = {
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["errorType"] = record.exc_info[0].__name__
            line["errorMessage"] = str(record.exc_info[1])
            line["stackTrace"] = traceback.format_exception(*record.exc_info)
        extras = {name: value for name, value in vars(record).items() if name not in STANDARD_RECORD}
        return json.dumps({**line, **extras}, default=str)


def load(spec: str) -> Any:
    """Load the handler named by `module:handler` or `path/to/file.py:handler`."""
    place, _, attribute = spec.rpartition(":")
    if place.endswith(".py"):
        path = Path(place).resolve()
        sys.path.insert(0, str(path.parent))
        found = importlib.util.spec_from_file_location(path.stem, path)
        if found is None or found.loader is None or not path.exists():
            raise ModuleNotFoundError(f"there is no file {path}")
        module = importlib.util.module_from_spec(found)
        sys.modules[path.stem] = module
        found.loader.exec_module(module)
    else:
        sys.path.insert(0, str(Path.cwd()))
        module = importlib.import_module(place)
    target: Any = module
    for name in attribute.split("."):
        target = getattr(target, name)
    return target


def is_durable(handler: Any) -> bool:
    """Whether a handler accepts the durable envelope: one made with this SDK or with AWS's SDK for Python."""
    while handler is not None:  # a decorator that uses functools.wraps keeps the function it wraps
        if hasattr(handler, "invoke") and hasattr(handler, "function"):
            return True
        if getattr(handler, "__globals__", {}).get("__name__") == AWS_WRAPPER:
            return True
        handler = getattr(handler, "__wrapped__", None)
    return False


def error_of(error: BaseException) -> dict[str, Any]:
    """An exception in the form Lambda reports it."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return {
        "errorType": name,
        "errorMessage": str(error),
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def context_of(members: dict[str, Any]) -> SimpleNamespace:
    """Make Lambda's context object."""
    deadline = time.monotonic() + members.pop("remaining_ms") / 1000
    context = SimpleNamespace(**members, identity=None)
    context.get_remaining_time_in_millis = lambda: max(0, int((deadline - time.monotonic()) * 1000))
    return context


def run(handler: Any, request: dict[str, Any]) -> str:
    """Run one invocation, and return the answer line."""
    trace = request.get("trace")
    if trace is None:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    else:
        os.environ["_X_AMZN_TRACE_ID"] = trace
    try:
        value = handler(request["event"], context_of(request["context"]))
    except Exception as error:  # noqa: BLE001  # any exception of user code is an answer
        return json.dumps({"failure": error_of(error)})
    try:
        return json.dumps({"answer": value})
    except (TypeError, ValueError) as error:
        return json.dumps(
            {"failure": {"errorType": "Runtime.MarshalError", "errorMessage": f"Unable to marshal response: {error}"}}
        )


def keep_notes(descriptor: int) -> None:
    """If the function uses this SDK, let the SDK keep notes of unsent updates in a file that survives the process."""
    os.set_inheritable(descriptor, False)
    if "durable_execution" in sys.modules:
        importlib.import_module("durable_execution.runtime.client").notebook.keep_in(descriptor)


def die_with_server(lifeline: int) -> None:
    """End this process, and what it has started, as soon as the server is gone, even in the middle of an invocation.

    Otherwise the body of a step would go on while the next server starts its next attempt. On Linux the kernel does it, so that
    it also happens while the function holds the interpreter's lock.

    Args:
        lifeline: Descriptor of a pipe whose other end closes with the server.
    """
    os.set_inheritable(lifeline, False)
    if sys.platform != "linux":
        threading.Thread(target=_await_end, args=(lifeline,), name="durable-lifeline", daemon=True).start()
        return
    fcntl = importlib.import_module("fcntl")
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # the server was gone before the signal was set
        os._exit(1)


def _await_end(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)


def main(spec: str, notes: int, lifeline: int) -> None:
    """Serve invocations until standard input ends.

    Args:
        spec: The function.
        notes: Descriptor of an open file for updates the function has not sent when it dies.
        lifeline: Descriptor of a pipe that closes when the server ends.
    """
    die_with_server(lifeline)
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"), handlers=[handler])
    for chatty in ("boto3", "botocore", "urllib3", "s3transfer"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

    def reply(line: str) -> None:
        answers.write(line + "\n")
        answers.flush()

    try:
        function = load(spec)
        if not callable(function):
            raise TypeError(f"{spec} is not callable")
    except BaseException as error:  # noqa: BLE001  # a module may also exit during its import
        traceback.print_exc()
        reply(json.dumps({"broken": error_of(error)}))
        return
    keep_notes(notes)
    reply(json.dumps({"ready": True, "durable": is_durable(function)}))
    for line in requests:
        request = json.loads(line)
        answer = run(function, request)
        sys.stdout.flush()
        sys.stderr.write(f"{END_OF_LOG}{request['context']['aws_request_id']}\n")
        sys.stderr.flush()
        reply(answer)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
