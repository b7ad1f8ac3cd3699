"""Collects updates and sends them, one call at a time.

Updates queued while a call is in flight go into the next call, up to the client's limits. No timer delays a workflow that
waits. Updates that no code waits for are sent with the next ones, or when the loop has been idle for a while.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from durable_execution.errors import ServiceError
from durable_execution.protocol import Wire
from durable_execution.protocol.enums import MAX_BATCH_BYTES, MAX_BATCH_UPDATES, MAX_PAYLOAD_BYTES
from durable_execution.protocol.ids import kind_of
from durable_execution.runtime.answers import further_pages
from durable_execution.runtime.service import CheckpointAnswer, ServiceClient

if TYPE_CHECKING:
    from durable_execution.runtime.announcer import Announcer

UPDATE_OVERHEAD_BYTES = 320
"""Size of an update as JSON without its payload: id, parent id, names and braces."""

TURNS_TO_QUEUE = 4
"""Turns of the loop between a branch's last checkpoint and the first checkpoint of the branch that takes its place."""

TURNS_TO_SEND = 3
"""Turns of the loop until a requested call is handed to the client's thread."""

LINGER_SECONDS = 0.002
"""How long a call waits for bodies that usually end at once."""

IDLE_FLUSH_SECONDS = 0.5
"""How long an update that no code waits for may stay queued while a step's body runs.

The service's requirement is that the start of a step is recorded within a second. Half of that leaves time for the call.
"""


class Queued:
    """An update, its estimated size, and the future that is done when it is stored; None if no code waits for that."""

    __slots__ = ("size", "stored", "update")

    def __init__(self, update: Wire, size: int, stored: asyncio.Future[None] | None) -> None:
        self.update = update
        self.size = size
        self.stored = stored


class CheckpointBatcher:
    """Sends the updates of one invocation.

    Attributes:
        is_sending: Whether a call is in flight.
        is_immediate: Whether the service is in this process, so that a call never waits.
        can_call_now: Whether the client can make a call on the event loop's thread.
        context: The context variables that calls are made with.
        is_revoked: Whether the service has answered without a token, so that nothing more can be stored.
    """

    def __init__(
        self,
        *,
        client: ServiceClient,
        execution_arn: str,
        token: str,
        merge: Callable[[list[Wire]], None],
        on_failure: Callable[[Exception], None],
        on_revoked: Callable[[], None],
        announcer: Announcer | None,
    ) -> None:
        self.is_sending = False
        self.is_revoked = False
        self._client = client
        self.is_immediate = bool(getattr(client, "answers_immediately", False))
        self._call_now: Callable[[str, str, list[Wire]], CheckpointAnswer] | None = getattr(
            client, "checkpoint_now", None
        )
        self.can_call_now = self._call_now is not None
        self._note_unsent: Callable[[str, Wire], None] | None = getattr(client, "note_unsent", None)
        self._arn = execution_arn
        self._token = token
        self._merge = merge
        self._on_failure = on_failure
        self._on_revoked = on_revoked
        self._announcer = announcer
        self.context: Context = copy_context()
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Queued] = deque()
        self._is_wanted = False
        self._wake: asyncio.Future[None] | None = None
        self._flush_timer: asyncio.TimerHandle | None = None
        self._settled: asyncio.Future[None] | None = None
        self._expected: set[asyncio.Future[Any]] = set()

    @property
    def has_unsent(self) -> bool:
        """Whether updates wait to be sent."""
        return bool(self._queue)

    def add(self, update: Wire) -> None:
        """Queue an update that no code waits for."""
        self._queue.append(Queued(update, _size(update), None))
        if self._note_unsent is not None:
            self._note_unsent(self._token, update)

    def store(self, update: Wire) -> asyncio.Future[None]:
        """Queue an update and request a call. The future is done when the service has stored the update."""
        stored: asyncio.Future[None] = self._loop.create_future()
        self._queue.append(Queued(update, _size(update), stored))
        self.flush()
        return stored

    async def store_at_once(self, update: Wire) -> None:
        """Store an update, and everything queued, without a turn of the event loop.

        For a workflow in which nothing else runs: no other update could share the call, and a call that blocks the loop's
        thread delays nothing. See `ExecutionState.can_store_at_once`.
        """
        self.add(update)
        try:
            while self._queue and not self.is_revoked:
                await self._send_batch(self._call_now)
        except Exception as error:  # noqa: BLE001  # the invocation ends with this error
            self.is_sending = False
            self._on_failure(error)

    def call_in(self, context: Context) -> None:
        """Make calls with these context variables, whichever code requests them.

        Instrumentation of the client, such as OpenTelemetry's for botocore, then puts its spans under the invocation.
        """
        for variable, value in context.items():
            self.context.run(variable.set, value)

    def expect(self, body: asyncio.Future[Any]) -> None:
        """Register a body in a thread that usually ends at once; see `BodyTimes`."""
        self._expected.add(body)
        body.add_done_callback(self._expected.discard)

    def flush(self) -> None:
        """Request a call: it sends what is queued, or asks the service for changes when the queue is empty."""
        self._is_wanted = True
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def send_ahead(self) -> None:
        """Send what is queued, and return when the call is on its way, without its answer.

        For the start of a body that takes long or blocks the event loop: if the process dies in it, the start is recorded.
        """
        if self._queue and not self.is_sending:
            self.flush()
            for _ in range(TURNS_TO_SEND):
                await asyncio.sleep(0)

    def flush_later(self) -> bool:
        """Send what is queued after `IDLE_FLUSH_SECONDS`. Returns whether a timer was set."""
        if self._flush_timer is not None or not self._queue or self.is_sending:
            return False
        self._flush_timer = self._loop.call_later(IDLE_FLUSH_SECONDS, self._flush_on_timer)
        return True

    async def run(self) -> None:
        """Send batches until cancelled, failed or revoked."""
        try:
            while not self.is_revoked:
                if not self._is_wanted:
                    self._wake = self._loop.create_future()
                    await self._wake
                if self._expected:
                    await self._let_bodies_end()
                served = await self._send_batch()
                self._settle()
                if served > 1:
                    await self._let_branches_join()
        except Exception as error:  # noqa: BLE001  # the invocation ends with this error
            self.is_sending = False
            self._on_failure(error)
            self._settle()

    async def drain(self) -> None:
        """Send everything that is queued, and wait for the answers."""
        while self._queue and not self.is_revoked:
            self.flush()
            self._settled = self._loop.create_future()
            await self._settled

    async def settled(self) -> None:
        """Wait until the call in flight has been answered."""
        if self.is_sending:
            self._settled = self._loop.create_future()
            await self._settled

    def close(self) -> None:
        """Cancel the timer."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()

    async def _let_bodies_end(self) -> None:
        """Before a call, wait a moment for bodies in threads that usually end at once: their updates share the call."""
        if len(self._queue) >= MAX_BATCH_UPDATES:
            return
        await asyncio.wait(tuple(self._expected), timeout=LINGER_SECONDS)
        for _ in range(TURNS_TO_QUEUE):
            await asyncio.sleep(0)

    async def _let_branches_join(self) -> None:
        """After a call that several branches waited for, give them the turns they need to queue their next updates."""
        for _ in range(TURNS_TO_QUEUE):
            if len(self._queue) >= MAX_BATCH_UPDATES:
                return
            await asyncio.sleep(0)

    def _settle(self) -> None:
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(None)

    async def _send_batch(self, call_now: Callable[[str, str, list[Wire]], CheckpointAnswer] | None = None) -> int:
        """Make one call; answers how many waited for it."""
        batch, size = self._take()
        updates = [queued.update for queued in batch]
        self.is_sending = True
        began = time.perf_counter()
        try:
            if call_now is None:
                answer = await self._client.checkpoint(self._arn, self._token, updates)
            else:
                answer = self.context.run(call_now, self._arn, self._token, updates)
            operations = answer.operations
            if answer.next_marker and answer.token:
                more = await further_pages(self._client, self._arn, answer.token, answer.next_marker, operations)
                operations = [*operations, *more]
        except Exception as raised:
            error = _explained(raised, updates)
            if self._announcer is not None:
                self._announcer.checkpoint_sent(updates, size, time.perf_counter() - began, error)
            if error is raised:
                raise
            raise error from raised
        self.is_sending = False
        if self._announcer is not None:
            self._announcer.checkpoint_sent(updates, size, time.perf_counter() - began)
        self._merge(operations)
        served = 0
        for queued in batch:
            if queued.stored is not None and not queued.stored.done():
                queued.stored.set_result(None)
                served += 1
        self._renew(answer.token, updates)
        return served

    def _renew(self, token: str | None, updates: list[Wire]) -> None:
        if token:
            self._token = token
            if self._note_unsent is not None:
                for queued in self._queue:
                    self._note_unsent(token, queued.update)
            return
        self.is_revoked = True
        if not (updates and updates[-1]["Type"] == "EXECUTION"):
            self._on_revoked()

    def _take(self) -> tuple[list[Queued], int]:
        queue = self._queue
        batch: list[Queued] = []
        size = 0
        while queue and len(batch) < MAX_BATCH_UPDATES and (not batch or size + queue[0].size <= MAX_BATCH_BYTES):
            queued = queue.popleft()
            batch.append(queued)
            size += queued.size
        self._is_wanted = any(queued.stored is not None for queued in queue)
        return batch, size

    def _flush_on_timer(self) -> None:
        self._flush_timer = None
        if self._queue:
            self.flush()


def as_service_error(error: Exception) -> ServiceError:
    """Any error of a client as a `ServiceError`, the one error the runtime has rules for."""
    if isinstance(error, ServiceError):
        return error
    return ServiceError(type(error).__name__, str(error), status=None)


def _explained(error: Exception, updates: list[Wire]) -> Exception:
    """A refusal of a payload that is too large, with the operation and the cure; any other error as it is."""
    if not isinstance(error, ServiceError) or error.is_retriable or error.is_stale_token:
        return error
    from durable_execution.serdes.sizes import CURE, size_in_bytes

    size, update = max(((size_in_bytes(each.get("Payload") or ""), each) for each in updates), key=itemgetter(0))
    if size <= MAX_PAYLOAD_BYTES or update["Type"] == "EXECUTION":  # a result has a limit of its own
        return error
    kind = kind_of(update["Type"], update.get("SubType"))
    message = (
        f"{error.message} The payload of {kind} {update.get('Name') or update['Id']!r} has {size:,} bytes, more than the "
        f"{MAX_PAYLOAD_BYTES:,} that the service stores. {CURE}"
    )
    return ServiceError(error.code, message, status=error.status)


def _size(update: dict[str, Any]) -> int:
    payload: str | None = update.get("Payload")
    if payload is not None:
        return UPDATE_OVERHEAD_BYTES + (
            len(payload) + payload.count('"') + payload.count("\\") if payload.isascii() else len(json.dumps(payload))
        )
    error = update.get("Error")
    return UPDATE_OVERHEAD_BYTES + (len(str(error)) if error else 0)
