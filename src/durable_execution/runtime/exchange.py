"""One HTTP request and its answer, on a connection of urllib3's pool.

urllib3 opens connections: it knows about TLS, proxies and certificates. On a connection that is already open, the request is
written in one piece and read by the standard library, which takes half of the time of `urlopen`.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any, NamedTuple

Headers = Mapping[str, str]


class Reply(NamedTuple):
    """An answer of the server, whole."""

    status: int
    headers: Any
    body: bytes


class Timeouts(NamedTuple):
    """Seconds to connect, to wait for the server, and for both together; None for no limit of its own."""

    connect: float
    read: float
    total: float | None = None


class DroppedError(Exception):
    """The server closed an idle connection before it read the request."""


def exchange(pool: Any, method: str, target: str, headers: Headers, body: bytes | None, timeouts: Timeouts) -> Reply:
    """Send a request and read its answer.

    Args:
        pool: urllib3's pool.
        method: HTTP method.
        target: Path and query, or the whole URL for a proxy that forwards.
        headers: All headers, with `Host`; not those of the transport, such as `Content-Length`.
        body: The content.
        timeouts: How long to wait.

    Raises:
        urllib3.exceptions.HTTPError: There is no answer.
    """
    connection = pool._get_conn()  # noqa: SLF001  # a new one, or one that is open and was not dropped by the server
    is_reusable = False
    try:
        if connection.sock is not None:
            reply, is_reusable = _exchange_on_open(pool, connection.sock, (method, target, headers, body), timeouts)
            return reply
    except DroppedError:
        pass  # the environment was frozen for longer than the server keeps connections
    finally:
        if not is_reusable:
            connection.close()
        pool._put_conn(connection)  # noqa: SLF001
    return _exchange_on_new(pool, method, target, headers, body, timeouts)


def _exchange_on_new(
    pool: Any, method: str, target: str, headers: Headers, body: bytes | None, timeouts: Timeouts
) -> Reply:
    from urllib3.util.timeout import Timeout

    timeout = Timeout(total=timeouts.total, connect=timeouts.connect, read=timeouts.read)
    response = pool.urlopen(
        method, target, body=body, headers=headers, retries=False, assert_same_host=False, timeout=timeout
    )
    return Reply(response.status, response.headers, response.data)


def _exchange_on_open(
    pool: Any, sock: Any, request: tuple[str, str, Headers, bytes | None], timeouts: Timeouts
) -> tuple[Reply, bool]:
    from urllib3.exceptions import ProtocolError, ReadTimeoutError

    response = HTTPResponse(sock, method=request[0])
    try:
        sock.settimeout(timeouts.read if timeouts.total is None else min(timeouts.read, timeouts.total))
        sock.sendall(_written(pool, *request))
        response.begin()
        reply = Reply(response.status, response.headers, response.read())
    except TimeoutError as error:
        raise ReadTimeoutError(pool, request[1], f"Read timed out. ({error})") from error
    except ConnectionError as error:  # RemoteDisconnected is one
        raise DroppedError from error
    except (OSError, HTTPException) as error:
        raise ProtocolError("Connection aborted.", error) from error
    else:
        return reply, not response.will_close
    finally:
        response.close()


def _written(pool: Any, method: str, target: str, headers: Headers, body: bytes | None) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Accept-Encoding: identity"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if pool.proxy is not None and pool.scheme == "http":
        lines += [f"{name}: {value}" for name, value in pool.proxy_headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + (body or b"")
