"""The server: the local engine on a TCP port."""

import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import uvicorn

from durable_execution.errors import EngineError
from durable_execution.local.engine import DEFAULT_STORE, LocalEngine
from durable_execution.local.function_registry import LATEST, FunctionProfile
from durable_execution.local.hosts import FunctionHost, log_stream_of
from durable_execution.local.http.application import BODY_SECONDS, JsonLog, LambdaApi
from durable_execution.local.http.connections import HEAD_SECONDS, MAX_CONNECTIONS, impatient_protocol
from durable_execution.local.http.manifest import URL_SCHEMES, FunctionSettings
from durable_execution.local.http.processes import VERSION_VARIABLE, ProcessHost
from durable_execution.local.http.remote import RemoteHost
from durable_execution.local.id_source import RandomIds
from durable_execution.local.versions import digest_of
from durable_execution.protocol.service_side import LOCAL_REGION

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 9014
CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables that locate AWS credentials. If none is set, functions get dummy credentials, which the server does not check."""


class LocalServer:
    """Serves an engine over HTTP. The constructor binds the socket, so `url` is known before `start`.

    Args:
        engine: The engine.
        host: Address to bind to.
        port: Port to bind to; 0 for any free port.
        allow_remote: Whether to allow an address that other computers can reach.
        body_seconds: How long a client may take to send a request's body.
        head_seconds: How long a client may take to send a request's line and headers.
        max_connections: Connections whose requests are answered at the same time. Others get status 503.
        allowed_hosts: Names by which clients may address the server, besides `host` and those of this computer.

    Attributes:
        url: Base URL of the API.

    Raises:
        EngineError: The address is in use, or is not a loopback address and `allow_remote` is False.
    """

    def __init__(
        self,
        engine: LocalEngine,
        *,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        allow_remote: bool = False,
        body_seconds: float = BODY_SECONDS,
        head_seconds: float = HEAD_SECONDS,
        max_connections: int = MAX_CONNECTIONS,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        self._engine = engine
        self._socket = _bound(host, port, allow_remote)
        address = f"[{host}]" if ":" in host else host
        self.url = f"http://{address}:{self._socket.getsockname()[1]}"
        self._api = LambdaApi(
            engine.client, RandomIds(), body_seconds=body_seconds, allowed_hosts=(host, *allowed_hosts)
        )
        config = uvicorn.Config(
            self._api,
            http=impatient_protocol(head_seconds, max_connections),
            ws="none",
            limit_concurrency=max_connections,
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
        """Answer requests on a background thread."""
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
            pass  # the normal way to stop
        finally:
            self.close()

    def close(self) -> None:
        """Stop answering requests. The engine stays open."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None
        self._socket.close()
        self._api.close()


def serve(
    functions: Mapping[str, str | FunctionSettings],
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    store: str | Path | None = DEFAULT_STORE,
    time: Literal["real", "skip"] = "real",
    log_file: Path | None = None,
    plain: Collection[str] = (),
    allow_remote: bool = False,
    allowed_hosts: Collection[str] = (),
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve functions on the Lambda API until Ctrl+C, and continue unfinished executions of the store.

    A function's first worker process starts with its first invocation.

    Args:
        functions: Functions by name: their settings, or only `module:handler`, `path/to/file.py:handler`, or the
            `http://host:port` of a server that speaks the protocol of Lambda's runtime interface emulator.
        host: Address to bind to.
        port: Port to bind to; 0 for any free port.
        store: File that keeps the executions; None for memory.
        time: `real`, or `skip` to jump over waits and retry delays.
        log_file: File for the output of functions, as lines of JSON with the execution's ARN; None for standard error.
        plain: Names of functions behind an address that are not durable. Python functions are detected.
        allow_remote: Whether to allow an address that other computers can reach.
        allowed_hosts: Names by which clients may address the server, besides `host` and those of this computer.
        announce: Called with the URL when the server starts to answer requests.

    Raises:
        EngineError: A function's file or module does not exist, or the address or the store is not usable.
    """
    log = JsonLog(log_file)
    try:
        with LocalEngine(store, time=time) as engine:
            server = LocalServer(engine, host=host, port=port, allow_remote=allow_remote, allowed_hosts=allowed_hosts)
            try:
                for name, each in functions.items():
                    settings = FunctionSettings(handler=each) if isinstance(each, str) else each
                    if name in plain:
                        settings = settings.model_copy(update={"durable": False})
                    register_function(engine, name, settings, log, server.url)
                engine.resume()
                if announce is not None:
                    announce(server.url)
                server.run()
            finally:
                server.close()
    finally:
        log.close()


def register_function(engine: LocalEngine, name: str, settings: FunctionSettings, log: JsonLog, url: str) -> None:
    """Register a function with its settings. Its processes start with its first invocation.

    Args:
        engine: The engine that runs it.
        name: The function's name.
        settings: Its settings.
        log: Receives its output.
        url: URL at which functions reach the API.

    Raises:
        EngineError: A handler has no valid form, or its file or module does not exist.
    """

    def host(handler: str, version: str) -> FunctionHost:
        return host_function(name, handler, log, url, engine.store_path, settings=settings, version=version)

    retention = None if settings.retention_days is None else timedelta(days=settings.retention_days)
    engine.register(
        name,
        host(settings.handler, LATEST),
        durable=True if settings.durable is None and settings.is_remote else settings.durable,
        execution_timeout=settings.execution_timeout,
        retention=retention,
        timeout=settings.timeout,
        tenant_isolated=settings.tenant_isolation,
        versions={version: host(handler, version) for version, handler in settings.versions.items()},
        aliases=settings.aliases,
        profile=replace(
            _profile(settings.handler, settings),
            versions={version: _profile(handler, settings) for version, handler in settings.versions.items()},
        ),
    )


def _profile(target: str, settings: FunctionSettings) -> FunctionProfile:
    return FunctionProfile(
        handler=lambda_form(target),
        digest=digest_of(target.encode(), _source(target)),
        memory_mb=settings.memory,
        environment=settings.environment,
    )


def host_function(
    name: str,
    target: str,
    log: JsonLog,
    url: str,
    store: Path | None,
    *,
    settings: FunctionSettings | None = None,
    version: str = LATEST,
) -> FunctionHost:
    """Make the host for `module:handler`, `path/to/file.py:handler` or `http://host:port`.

    Args:
        name: The function's name.
        target: The target to run.
        log: Receives its output.
        url: URL at which functions reach the API.
        store: The engine's file; replay traces are written beside it.
        settings: The function's settings. With them, the first worker process starts with the first invocation.
        version: The version that it runs.

    Raises:
        EngineError: The target has none of these forms, or cannot be loaded.
    """
    timeout = (settings.timeout if settings is not None else None) or timedelta(minutes=15)
    if target.startswith(URL_SCHEMES):
        return RemoteHost(target, timeout=timeout)
    if ":" not in target:
        raise EngineError(
            f"{target!r} does not name a handler: write {name}=module:handler, {name}=path/to/file.py:handler or "
            f"{name}=http://host:port."
        )
    environment = worker_environment(name, target, url, store) | {VERSION_VARIABLE: version}
    if settings is None:
        return ProcessHost(target, log=log, environment=environment)
    environment |= {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory), **settings.environment}
    return ProcessHost(
        target,
        log=log,
        environment=environment,
        timeout=timeout,
        is_lazy=True,
        is_tenant_isolated=settings.tenant_isolation,
    )


def worker_environment(name: str, target: str, url: str, store: Path | None) -> dict[str, str]:
    """The environment variables Lambda sets for a function, with the API at a URL."""
    environment = {
        "AWS_LAMBDA_FUNCTION_NAME": name,
        VERSION_VARIABLE: LATEST,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream_of(LATEST),
        "AWS_ENDPOINT_URL_LAMBDA": url,
        "AWS_REGION": LOCAL_REGION,
        "AWS_DEFAULT_REGION": LOCAL_REGION,
        "_HANDLER": lambda_form(target),
    }
    shared = (Path.home() / ".aws" / "credentials", Path.home() / ".aws" / "config")
    if not any(os.environ.get(variable) for variable in CREDENTIAL_VARIABLES) and not any(map(Path.exists, shared)):
        environment |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    if store is not None and "DURABLE_REPLAY_TRACE" not in os.environ:
        environment["DURABLE_REPLAY_TRACE"] = f"dir:{store.resolve().parent / 'traces'}"
    return environment


def lambda_form(target: str) -> str:
    """A handler as Lambda writes it: `shop/orders.handler` for `shop/orders.py:handler`; an address stays as it is."""
    if target.startswith(URL_SCHEMES):
        return target
    place, _, attribute = target.rpartition(":")
    if place.endswith(".py"):
        path = Path(place)
        beside = path.resolve().is_relative_to(Path.cwd())
        place = str(path.resolve().relative_to(Path.cwd()) if beside else path).removesuffix(".py")
    return f"{place}.{attribute}"


def _source(target: str) -> bytes:
    """The source of a handler's file; empty if it is not known without importing it."""
    place = Path(target.rpartition(":")[0])
    return place.read_bytes() if place.suffix == ".py" and place.is_file() else b""


def _bound(host: str, port: int, allow_remote: bool) -> socket.socket:
    if not allow_remote and not _is_loopback(host):
        raise EngineError(
            f"other computers can reach {host}, and this server has no authentication. Bind to 127.0.0.1, or pass "
            "--allow-remote (allow_remote=True)."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, because asyncio sets TCP_NODELAY only then.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(128)  # requests from now on wait until the server answers
    except OSError as error:
        bound.close()
        raise EngineError(
            f"cannot listen on {host} port {port}: {error.strerror or error}. Another server may use the port; name a "
            "different one with --port, or 0 for any free port."
        ) from error
    return bound


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
