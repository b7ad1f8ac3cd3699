"""A function behind an address: a process that answers as Lambda's runtime interface emulator does, started again if it dies."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from typing import Any, Self

from durable_execution.local.http.function_process import load, run


class RemoteFunction:
    """Keeps the process of a function alive, as Lambda replaces an environment.

    Args:
        spec: The handler.
        environment: Environment variables of its process.

    Attributes:
        url: Its address.
        starts: How many processes there have been.
    """

    def __init__(self, spec: str, environment: dict[str, str]) -> None:
        self._spec, self._environment = spec, environment
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

    def _keep_alive(self) -> None:
        command = [sys.executable, "-m", "tests.conformance.remote", self._spec, str(self._socket.fileno())]
        while not self._is_closed:
            self.starts += 1
            self._process = subprocess.Popen(
                command, env={**os.environ, **self._environment}, pass_fds=[self._socket.fileno()]
            )
            self._process.wait()


class _Handler(http.server.BaseHTTPRequestHandler):
    function: Any = None

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        context = {
            "aws_request_id": self.headers["Lambda-Runtime-Aws-Request-Id"],
            "invoked_function_arn": self.headers["X-Amz-Invoked-Function-Arn"],
            "remaining_ms": 60_000,
        }
        answer = json.loads(run(type(self).function, {"event": event, "context": context}))
        body = json.dumps(answer.get("answer", answer.get("failure"))).encode()
        self.send_response(200)
        if "failure" in answer:
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it is called with
        pass


def serve(spec: str, descriptor: int) -> None:
    """Answer invocations on an inherited socket, one at a time."""
    _Handler.function = staticmethod(load(spec))
    server = http.server.HTTPServer(("127.0.0.1", 0), _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=descriptor)
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
