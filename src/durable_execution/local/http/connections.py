"""Connections of the server: bounded in number, and closed when a client does not finish what it began to send.

uvicorn limits the time between requests, but not the time that a request's line and headers take, so that a few hundred slow
clients would occupy the server for ever. And it closes the connection of a client that has sent its request and closes its side,
although such a client still reads.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""How long a client may take to send a request's line and headers."""

MAX_CONNECTIONS = 1024
"""Connections at the same time. Requests on further ones are answered with status 503, which clients retry. From twice as many
on, connections are closed at once, so that a flood of them cannot use up the files of the process."""


UNFINISHED = "The connection was closed before the request was complete."


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 with a limit on the time for a request's line and headers, and answers for clients that close their side."""

    head_seconds = HEAD_SECONDS
    most_connections = 2 * MAX_CONNECTIONS
    _deadline: asyncio.TimerHandle | None = None
    _has_all = False
    """Whether the client has closed its side, so nothing more arrives."""

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

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio closes the transport unless this is true
        """The client sends no more, and may still read: its complete requests are answered."""
        self._has_all = True
        if self._is_answering() and not self.cycle.more_body:
            return True
        self._refuse_unfinished()
        return None

    def on_response_complete(self) -> None:
        """Go on with the next request that has arrived. Behind the last of a client that sends no more, close."""
        super().on_response_complete()
        if self._has_all and not (self._is_answering() and not self.cycle.more_body):
            self._refuse_unfinished()
            self.transport.close()

    def _refuse_unfinished(self) -> None:
        cycle: Any = self.cycle
        is_in_body = self._is_answering() and not cycle.response_started
        if self.transport.is_closing() or not (is_in_body or (not self._is_answering() and self.conn.trailing_data[0])):
            return
        self.send_400_response(UNFINISHED)
        if is_in_body:
            cycle.disconnected = True
            cycle.message_event.set()

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
