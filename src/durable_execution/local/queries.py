"""Queries: one execution, its history, and lists of executions.

Pages and markers. A marker holds the position of the next page, so pages stay correct while an execution grows.
"""

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from durable_execution.local.function_registry import Target
from durable_execution.local.rules.api_errors import invalid, unknown_execution
from durable_execution.local.rules.limits import EngineLimits
from durable_execution.local.store.database import Store
from durable_execution.local.store.rows import EventRow, ExecutionRow, OperationRow
from durable_execution.local.transaction import Backend
from durable_execution.local.wire import event_size, event_wire, operation_size
from durable_execution.protocol import ExecutionArn, ExecutionStatus, Wire

_STATUSES = frozenset(status.value for status in ExecutionStatus)


class Queries:
    """The read operations of the API. Timestamps are Unix milliseconds."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def intact(self) -> AbstractContextManager[None]:
        """Explain errors of reading a damaged store, inside the block."""
        return self._backend.store.intact()

    def execution(self, arn: str, *, with_data: bool = True) -> Wire:
        """One execution, in the form of GetDurableExecution."""
        store = self._backend.store
        with store.snapshot():
            row = self._row(arn)
            root = store.operations.root(row.key)
        wire = {
            **_summary(row, None),
            "Version": row.version,
            "ExecutionDataIncluded": with_data,
            "DurableConfig": {"RetentionPeriodInDays": row.retention_days, "ExecutionTimeout": row.timeout_seconds},
        }
        if row.trace_header is not None:
            wire["TraceHeader"] = {"XAmznTraceId": row.trace_header}
        if row.ended_ms is None:
            wire["ExpectedExecutionTimeoutTimestamp"] = row.timeout_ms or row.started_ms + row.timeout_seconds * 1000
        if row.pause_request_ms is not None:
            wire["PauseDetails"] = _pause(row, with_data)
        if with_data:
            wire["InputPayload"] = root.input or ""
            if row.ended_ms is not None and root.result is not None:
                wire["Result"] = root.result
            if row.ended_ms is not None and root.error is not None:
                wire["Error"] = json.loads(root.error)
        return wire

    def history(
        self,
        arn: str,
        *,
        with_data: bool = False,
        newest_first: bool = False,
        marker: Any = None,
        max_items: Any = None,
    ) -> Wire:
        """A page of an execution's events, in the form of GetDurableExecutionHistory."""
        size, kind = page_size(max_items, self._backend.limits), "newest" if newest_first else "oldest"
        position = read_marker(kind, marker, 1)
        store = self._backend.store
        with store.snapshot():
            row = self._row(arn)
            if newest_first:
                events = store.events.until(row.key, position[0] if position else row.event_count)
            else:
                events = store.events.since(row.key, position[0] if position else 1)
            weigh = event_size if with_data else _small
            page, following = cut(events, weigh, max_bytes=self._backend.limits.page_bytes, max_items=size)
        wire: Wire = {"Events": [event_wire(event, with_data=with_data) for event in page]}
        if following is not None:
            wire["NextMarker"] = make_marker(kind, following.id)
        return wire

    def executions(
        self,
        target: Target | None,
        *,
        name: str | None = None,
        statuses: Sequence[str] | None = None,
        started_after_ms: int | None = None,
        started_before_ms: int | None = None,
        oldest_first: bool = False,
        marker: Any = None,
        max_items: Any = None,
    ) -> Wire:
        """A page of executions, in the form of ListDurableExecutionsByFunction.

        Args:
            target: The function and, optionally, its version; None for the executions of all functions.
            name: Only executions with this name.
            statuses: Only executions with one of these statuses.
            started_after_ms: Only executions that started later.
            started_before_ms: Only executions that started earlier.
            oldest_first: Whether to list the oldest first instead of the newest.
            marker: `NextMarker` of the previous page.
            max_items: Maximum number of executions in the page.
        """
        size, kind = page_size(max_items, self._backend.limits), "early" if oldest_first else "late"
        position = read_marker(kind, marker, 2)
        conditions, values = _conditions(target, name, statuses, started_after_ms, started_before_ms)
        if position is not None:
            conditions.append(f"(started_ms, key) {'>=' if oldest_first else '<='} (?, ?)")
            values.extend(position)
        store = self._backend.store
        with store.snapshot():
            rows = store.executions.listed(conditions, tuple(values), newest_first=not oldest_first, limit=size + 1)
            wire: Wire = {"DurableExecutions": [_summary(row, store.forks.origin(row.key)) for row in rows[:size]]}
        if len(rows) > size:
            wire["NextMarker"] = make_marker(kind, rows[size].started_ms, rows[size].key)
        return wire

    def _row(self, arn: str) -> ExecutionRow:
        row = self._backend.store.executions.by_arn(arn)
        if row is None or not row.is_durable:
            raise unknown_execution(arn)
        return row


def _conditions(
    target: Target | None, name: str | None, statuses: Sequence[str] | None, after_ms: int | None, before_ms: int | None
) -> tuple[list[str], list[Any]]:
    found: list[tuple[str, list[Any]]] = []
    if target is not None:
        found.append(("function = ?", [target.name]))
        if target.qualifier is not None:
            found.append(("version = ?", [target.version]))
    if name is not None:
        found.append(("name = ?", [name]))
    if statuses is not None:
        is_acceptable = 1 <= len(statuses) <= 10 and all(str(status) in _STATUSES for status in statuses)
        if isinstance(statuses, str) or not is_acceptable:
            raise invalid(f"Statuses must be 1 to 10 of {', '.join(sorted(_STATUSES))}.")
        found.append((f"status IN ({', '.join('?' * len(statuses))})", list(statuses)))
    if after_ms is not None:
        found.append(("started_ms > ?", [after_ms]))
    if before_ms is not None:
        found.append(("started_ms < ?", [before_ms]))
    return [condition for condition, _ in found], [value for _, values in found for value in values]


def _summary(row: ExecutionRow, forked_from: tuple[str | None, str] | None) -> Wire:
    wire: Wire = {
        "DurableExecutionArn": row.arn,
        "DurableExecutionName": row.name,
        "FunctionArn": ExecutionArn.parse(row.arn).function_arn,
        "Status": row.status,
        "StartTimestamp": row.started_ms,
    }
    if row.ended_ms is not None:
        wire["EndTimestamp"] = row.ended_ms
    if forked_from is not None:  # not a member of the API: only this engine has forks
        wire["ForkedFrom"] = {"DurableExecutionArn": forked_from[0], "Call": forked_from[1]}
    return wire


def _pause(row: ExecutionRow, with_data: bool) -> Wire:
    wire: Wire = {"PauseRequestTimestamp": row.pause_request_ms, "ExecutionTimeoutPaused": row.pauses_timeout}
    if with_data and row.pause_reason is not None:
        wire["Reason"] = row.pause_reason
    return wire


def _small(_event: EventRow) -> int:
    return 300


T = TypeVar("T")
_MOST = 2**62


def make_marker(kind: str, *position: int) -> str:
    """Make the marker of a position in a listing of the given kind."""
    return b64encode(":".join((kind, *map(str, position))).encode()).decode()


def read_marker(kind: str, marker: Any, count: int) -> list[int] | None:
    """Read the position in a marker; None if there is no marker.

    Raises:
        ServiceError: The marker is not from this listing.
    """
    if marker is None or marker == "":
        return None
    try:
        found, *position = b64decode(marker, validate=True).decode("ascii").split(":")
        numbers = [int(part) for part in position]
    except (Base64Error, ValueError, TypeError):
        raise invalid(f"Invalid marker: {marker!r:.100}") from None
    if found != kind or len(numbers) != count or not all(0 <= number <= _MOST for number in numbers):
        raise invalid(f"Invalid marker: {marker!r:.100}")
    return numbers


def page_size(asked: Any, limits: EngineLimits) -> int:
    """The maximum number of items in a page.

    Raises:
        ServiceError: The requested number is out of range.
    """
    if asked is None:
        return limits.page_items
    if not isinstance(asked, int) or isinstance(asked, bool) or not 0 <= asked <= limits.max_page_items:
        raise invalid(f"MaxItems must be a whole number from 0 to {limits.max_page_items}, not {asked!r:.80}.")
    return asked or limits.page_items


def cut(items: Iterable[T], size: Callable[[T], int], *, max_bytes: int, max_items: int) -> tuple[list[T], T | None]:
    """Cut the first page off some items, and return it with the item that follows.

    Args:
        items: All items; read only as far as needed.
        size: Returns the size of an item, in bytes.
        max_bytes: Maximum bytes of a page. The first item is included regardless of its size.
        max_items: Maximum number of items in a page.
    """
    page: list[T] = []
    used = 0
    for item in items:
        used += size(item)
        if page and (used > max_bytes or len(page) >= max_items):
            return page, item
        page.append(item)
    return page, None


def visible_operations(store: Store, execution: int, sequence: int) -> Iterable[OperationRow]:
    """The operations from a sequence number on that a replay needs: all but those inside a context with a kept result."""
    closed: set[str] = set()
    for identity, parent, ended, replays in store.operations.contexts_before(execution, sequence):
        if parent in closed or (ended is not None and not replays):
            closed.add(identity)
    for operation in store.operations.since(execution, sequence):
        is_hidden = operation.parent_id in closed
        if operation.type == "CONTEXT" and (
            is_hidden or (operation.ended_ms is not None and not operation.replay_children)
        ):
            closed.add(operation.id)
        if not is_hidden:
            yield operation


def state_page(
    store: Store, execution: int, sequence: int, limits: EngineLimits, max_items: int
) -> tuple[list[OperationRow], str | None]:
    """A page of an execution's operations, and the marker of the next page."""
    page, following = cut(
        visible_operations(store, execution, sequence), operation_size, max_bytes=limits.page_bytes, max_items=max_items
    )
    return page, make_marker("state", following.sequence) if following else None
