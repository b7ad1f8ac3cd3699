"""The two durable calls over real HTTP on this machine, by a server that checks the signature of every request.

The server is a plain socket loop, so that its cost stays small beside a client's: tests and benchmarks share it. It verifies AWS
Signature Version 4 with its own implementation, and refuses a request whose signature, date or region is wrong.

`python -m tests.loopback_service LATENCY` serves until its standard input closes, and prints its URL first. It answers each
request after LATENCY seconds.
"""

import hashlib
import hmac
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

Wire = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]

SECRET_KEY = "loopback-secret"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIALOOPBACK",
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_SESSION_TOKEN": "loopback-session-token",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "3",
}
TIMER_SECONDS = 0.0002
STATUS_AFTER = {"START": "STARTED", "SUCCEED": "SUCCEEDED", "FAIL": "FAILED", "RETRY": "PENDING"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it arrived.

    Attributes:
        headers: By lower-case name.
        arrived_at: When its first line arrived, in seconds of `time.perf_counter`.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    arrived_at: float = 0

    @property
    def json(self) -> Wire:
        """The body."""
        found: Wire = json.loads(self.body)
        return found


@dataclass(slots=True)
class LoopbackService:
    """A durable execution service behind a socket.

    Attributes:
        requests: Everything that arrived, in order.
        script: Answers that are given first, each instead of a normal one; None closes the connection without an answer.
        secret: The secret key that requests must be signed with.
        is_recording: Whether `requests` is kept.
        latency_seconds: How long after a request its answer is sent. What the server does meanwhile is part of it.
        region: The region that requests must be signed for.
        tls: Encrypts the connections.
    """

    secret: str = SECRET_KEY
    region: str = "eu-west-1"
    is_recording: bool = True
    latency_seconds: float = 0
    requests: list[Request] = field(default_factory=list)
    script: list[Answer | Callable[[], Answer | None] | None] = field(default_factory=list)
    connections: int = 0
    tls: ssl.SSLContext | None = None
    _socket: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        port = self._socket.getsockname()[1]
        return f"http://127.0.0.1:{port}" if self.tls is None else f"https://localhost:{port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Close every connection, as a service does with idle ones."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            for request in _requests(connection):
                answer = self._answer(request)
                if answer is None:
                    break
                encoded = _encoded(*answer)
                if self.latency_seconds:
                    _sleep_until(request.arrived_at + self.latency_seconds)
                connection.sendall(encoded)
        except OSError:
            pass
        finally:
            connection.close()

    def _answer(self, request: Request) -> Answer | None:
        if self.is_recording:
            self.requests.append(request)
        if self.script:
            scripted = self.script.pop(0)
            return scripted() if callable(scripted) else scripted
        refusal = self.wrong_signature(request)
        if refusal is not None:
            return error(403, "InvalidSignatureException", refusal)
        if request.method == "GET":
            return 200, {}, b'{"Operations":[]}'
        return 200, {}, json.dumps(_checkpointed(request.json), separators=(",", ":")).encode()

    def wrong_signature(self, request: Request) -> str | None:
        """What is wrong with the signature of a request; None when it is right."""
        headers = request.headers
        scheme, _, fields = headers.get("authorization", "").partition(" ")
        if scheme != "AWS4-HMAC-SHA256":
            return "the request is not signed"
        pairs = (part.strip().partition("=") for part in fields.split(","))
        parts: dict[str, str] = {key: value for key, _, value in pairs}
        _, date, region, service, terminator = parts["Credential"].split("/")
        if (region, service, terminator) != (self.region, "lambda", "aws4_request"):
            return f"signed for {region}/{service}"
        if date != headers.get("x-amz-date", "")[:8]:
            return "the dates differ"
        if "x-amz-security-token" in headers and "x-amz-security-token" not in parts["SignedHeaders"].split(";"):
            return "the session token is not signed"
        expected = _signature(request, parts["SignedHeaders"], (date, region, service), self.secret)
        return None if hmac.compare_digest(expected, parts["Signature"]) else "the signature does not match"


def error(status: int, code: str, message: str) -> Answer:
    """An error of the Lambda API."""
    return status, {"x-amzn-ErrorType": f"{code}:"}, json.dumps({"Type": "User", "message": message}).encode()


def _signature(request: Request, signed: str, scope: tuple[str, str, str], secret: str) -> str:
    target = urlsplit(request.target)
    query = "&".join(sorted(target.query.split("&"))) if target.query else ""
    names = signed.split(";")
    canonical = "\n".join(
        [
            request.method,
            quote(target.path, safe="/~"),
            query,
            *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
            "",
            signed,
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    to_sign = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            request.headers["x-amz-date"],
            "/".join((*scope, "aws4_request")),
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _requests(connection: socket.socket) -> Iterator[Request]:
    stream = connection.makefile("rb", 65536)
    while line := stream.readline():
        arrived_at = time.perf_counter()
        method, target, _ = line.decode().split(" ", 2)
        headers: dict[str, str] = {}
        while (header := stream.readline().strip()) != b"":
            name, _, value = header.decode().partition(":")
            headers[name.lower()] = value.strip()
        yield Request(method, target, headers, stream.read(int(headers.get("content-length", 0))), arrived_at)


def _sleep_until(deadline: float) -> None:
    """Wait precisely: a timer is late by a part of what is measured, so the end of the time is waited for awake."""
    while (left := deadline - time.perf_counter()) > 0:
        if left > TIMER_SECONDS:
            time.sleep(left - TIMER_SECONDS)


def _encoded(status: int, headers: dict[str, str], body: bytes) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Status",
        "Content-Type: application/json",
        "x-amzn-RequestId: 00000000-0000-0000-0000-000000000000",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _checkpointed(request: Wire) -> Wire:
    changed: dict[str, Wire] = {}
    for update in request["Updates"]:
        operation = changed.setdefault(
            update["Id"], {key: update[key] for key in ("Id", "ParentId", "Name", "Type", "SubType") if key in update}
        )
        operation["Status"] = STATUS_AFTER[update["Action"]]
        operation["StartTimestamp"] = 1_767_225_600.123
        details: Wire = {"Result": update.get("Payload")}
        if update["Type"] == "STEP":
            operation["StepDetails"] = {"Attempt": 1, **details}
        elif update["Type"] == "CONTEXT":
            operation["ContextDetails"] = details | (update.get("ContextOptions") or {})
    return {
        "CheckpointToken": request["CheckpointToken"],
        "NewExecutionState": {"Operations": list(changed.values())},
    }


def arn_of(request: Request) -> str:
    """The execution that a request names."""
    return unquote(urlsplit(request.target).path.split("/durable-executions/", 1)[1].rpartition("/")[0])


@contextmanager
def served() -> Iterator[LoopbackService]:
    """A running service."""
    with LoopbackService() as service:
        yield service


if __name__ == "__main__":
    with LoopbackService(is_recording=False, latency_seconds=float(sys.argv[1])) as running:
        print(running.url, flush=True)
        sys.stdin.read()
