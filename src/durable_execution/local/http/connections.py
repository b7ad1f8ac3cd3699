"""Connections of the server: bounded in number, and closed when a client does not finish what it began to send.

uvicorn limits the time between requests, but not the time that a request's line and headers take, so that a few hundred slow
clients would occupy the server for ever.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""How long a client may take to send a request's line and headers."""

MAX_CONNECTIONS = 1024
"""Connections at the same time. Requests on further ones are answered with status 503, which clients retry. From twice as many
on, connections are closed at once, so that a flood of them cannot use up the files of the process."""


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 with a limit on the time for a request's line and headers."""

    head_seconds = HEAD_SECONDS
    most_connections = 2 * MAX_CONNECTIONS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock: a client connects in order to send something."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self.transport.abort()
            return
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Read what has arrived. The clock runs from the start of a request until it is complete."""
        super().data_received(data)
        if self._is_answering():
            self._stop_clock()
        elif self._deadline is None:
            self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle  # None before the first request, unlike its annotation
        return cycle is not None and not cycle.response_complete

    def _start_clock(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self._is_answering() and not self.transport.is_closing():
            self.transport.close()


def impatient_protocol(head_seconds: float, max_connections: int) -> type[ImpatientProtocol]:
    """The protocol with limits of its own."""
    limits = {"head_seconds": head_seconds, "most_connections": 2 * max_connections}
    return type("ImpatientProtocol", (ImpatientProtocol,), limits)
