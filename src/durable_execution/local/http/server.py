"""The server: the local engine on a port of this computer."""

import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import uvicorn

from durable_execution.errors import EngineError
from durable_execution.local.engine import DEFAULT_STORE, LocalEngine
from durable_execution.local.hosts import FunctionHost
from durable_execution.local.http.application import BODY_SECONDS, LambdaApi
from durable_execution.local.http.log import JsonLog
from durable_execution.local.http.processes import ProcessHost
from durable_execution.local.http.remote import RemoteHost
from durable_execution.local.identity import RandomIds
from durable_execution.protocol.arn import LOCAL_REGION

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 9014
CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables that say where credentials are; with none of them, functions get made-up ones, which nobody checks."""


class LocalServer:
    """Serves an engine. The socket is bound at once, so that `url` is known; requests are answered after `start`.

    Args:
        engine: The engine.
        host: Address to bind to.
        port: Port to bind to; 0 for any that is free.
        allow_remote: Whether an address that other computers can reach is meant.
        body_seconds: How long a client may take to send a request's body.

    Attributes:
        url: Where it can be reached.

    Raises:
        EngineError: The address is not a loopback address and that was not asked for, or is taken.
    """

    def __init__(
        self,
        engine: LocalEngine,
        *,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        allow_remote: bool = False,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._engine = engine
        self._socket = _bound(host, port, allow_remote)
        address = f"[{host}]" if ":" in host else host
        self.url = f"http://{address}:{self._socket.getsockname()[1]}"
        self._api = LambdaApi(engine.client, RandomIds(), body_seconds=body_seconds)
        config = uvicorn.Config(
            self._api,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Answer requests on a thread of its own."""
        self._engine.drive()
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="durable-server", daemon=True
        )
        self._thread.start()

    def run(self) -> None:
        """Answer requests until Ctrl+C."""
        self._engine.drive()
        try:
            self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:
            pass  # the wanted end
        finally:
            self.close()

    def close(self) -> None:
        """Answer no more requests. The engine stays open."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None
        self._socket.close()
        self._api.close()


def serve(
    functions: Mapping[str, str],
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    store: str | Path | None = DEFAULT_STORE,
    time: Literal["real", "skip"] = "real",
    log_file: Path | None = None,
    plain: Collection[str] = (),
    allow_remote: bool = False,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve functions on the Lambda API until Ctrl+C. Unfinished executions of the store are continued.

    Args:
        functions: By name: `module:handler`, `path/to/file.py:handler`, or `http://host:port` of something that speaks the
            protocol of Lambda's runtime interface emulator.
        host: Address to bind to.
        port: Port to bind to; 0 for any that is free.
        store: File to keep executions in; None for memory.
        time: `real`, or `skip` to jump over waits and retry delays.
        log_file: Where the output of functions goes, as lines of JSON with the execution's ARN; None for standard error.
        plain: Names of functions behind an address that are not durable. Those in Python are recognised.
        allow_remote: Whether an address that other computers can reach is meant.
        announce: Told of the URL once requests are answered.

    Raises:
        EngineError: A function cannot be loaded, the address cannot be used, or the store cannot be opened.
    """
    log = JsonLog(log_file)
    try:
        with LocalEngine(store, time=time) as engine:
            server = LocalServer(engine, host=host, port=port, allow_remote=allow_remote)
            try:
                for name, target in functions.items():
                    hosted = host_function(name, target, log, server.url, engine.store_path)
                    is_durable = name not in plain and getattr(hosted, "is_durable", True)
                    engine.register(name, hosted, durable=is_durable)
                engine.resume()
                if announce is not None:
                    announce(server.url)
                server.run()
            finally:
                server.close()
    finally:
        log.close()


def host_function(name: str, target: str, log: JsonLog, url: str, store: Path | None) -> FunctionHost:
    """A host for `module:handler`, `path/to/file.py:handler` or `http://host:port`.

    Args:
        name: The function's name.
        target: What to run.
        log: Where its output goes.
        url: Where functions reach the API.
        store: The engine's file; replay traces are written beside it.

    Raises:
        EngineError: It is none of these, or cannot be loaded.
    """
    if target.startswith(("http://", "https://")):
        return RemoteHost(target)
    if ":" not in target:
        raise EngineError(
            f"{target!r} does not say which handler: write {name}=module:handler, {name}=path/to/file.py:handler or "
            f"{name}=http://host:port."
        )
    return ProcessHost(target, log=log, environment=worker_environment(name, target, url, store))


def worker_environment(name: str, target: str, url: str, store: Path | None) -> dict[str, str]:
    """The variables Lambda sets for a function, with the API at a URL."""
    environment = {
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_ENDPOINT_URL_LAMBDA": url,
        "AWS_REGION": LOCAL_REGION,
        "AWS_DEFAULT_REGION": LOCAL_REGION,
        "_HANDLER": target,
    }
    shared = (Path.home() / ".aws" / "credentials", Path.home() / ".aws" / "config")
    if not any(os.environ.get(variable) for variable in CREDENTIAL_VARIABLES) and not any(map(Path.exists, shared)):
        environment |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    if store is not None and "DURABLE_REPLAY_TRACE" not in os.environ:
        environment["DURABLE_REPLAY_TRACE"] = f"dir:{store.resolve().parent / 'traces'}"
    return environment


def _bound(host: str, port: int, allow_remote: bool) -> socket.socket:
    if not allow_remote and not _is_loopback(host):
        raise EngineError(
            f"{host} can be reached from other computers, and this server asks nobody for a password. Bind to 127.0.0.1, or say "
            "that you mean it with --allow-remote (allow_remote=True)."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(128)  # requests made from here on wait until they can be answered
    except OSError as error:
        bound.close()
        raise EngineError(
            f"cannot listen on {host} port {port}: {error.strerror or error}. Another server may be running there; name another "
            "port with --port, or 0 for any that is free."
        ) from error
    return bound


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
