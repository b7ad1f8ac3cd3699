"""A function behind an address: a process that answers as Lambda's runtime interface emulator does, started again if it dies."""

import http.server
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

from durable_execution.local.http.function_process import load, run
from tests.conformance.log_capture import USER_LOGGER, JsonHandler, record_of

SPEC = "handler.txt"


class RemoteFunction:
    """Keeps the process of a function alive, as Lambda replaces an environment.

    Args:
        environment: Environment variables of its process.
        folder: Where it finds the name of the handler to run, and writes its log.

    Attributes:
        url: Its address.
        starts: How many processes there have been.
    """

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment, self._folder = environment, folder
        self._log = folder / "log.jsonl"
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.starts = 0
        self._is_closed = False
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._keep_alive, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        if self._process is not None:
            self._process.kill()
        self._thread.join()
        self._socket.close()

    @contextmanager
    def running(self, spec: str) -> Iterator[list[dict[str, Any]]]:
        """Answer with this handler from now on; at the end, the list has what it has logged and printed."""
        (self._folder / SPEC).write_text(spec)
        seen = self._log.stat().st_size if self._log.exists() else 0
        records: list[dict[str, Any]] = []
        yield records
        with self._log.open() as log:
            log.seek(seen)
            records += [record_of(line) for line in log.read().splitlines()]

    def _keep_alive(self) -> None:
        command = [sys.executable, "-m", "tests.conformance.remote", str(self._folder), str(self._socket.fileno())]
        with self._log.open("a") as log:
            while not self._is_closed:
                self.starts += 1
                self._process = subprocess.Popen(
                    command, env={**os.environ, **self._environment}, pass_fds=[self._socket.fileno()], stdout=log
                )
                self._process.wait()


class _Handler(http.server.BaseHTTPRequestHandler):
    folder: Path

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        context = {
            "aws_request_id": self.headers["Lambda-Runtime-Aws-Request-Id"],
            "invoked_function_arn": self.headers["X-Amz-Invoked-Function-Arn"],
            "remaining_ms": 60_000,
        }
        answer = json.loads(run(loaded((self.folder / SPEC).read_text()), {"event": event, "context": context}))
        body = json.dumps(answer.get("answer", answer.get("failure"))).encode()
        self.send_response(200)
        if "failure" in answer:
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it is called with
        pass


loaded = cache(load)


def serve(folder: Path, descriptor: int) -> None:
    """Answer invocations on an inherited socket, one at a time."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a text file, which a process may leave at once
    logger = logging.getLogger(USER_LOGGER)
    logger.addHandler(JsonHandler())
    logger.setLevel(logging.INFO)
    _Handler.folder = folder
    server = http.server.HTTPServer(("127.0.0.1", 0), _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=descriptor)
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
