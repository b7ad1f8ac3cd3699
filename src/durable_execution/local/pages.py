"""Pages and markers. A marker holds the position of the next page, so pages stay correct while an execution grows."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from durable_execution.local.faults import invalid
from durable_execution.local.limits import EngineLimits
from durable_execution.local.rows import OperationRow
from durable_execution.local.store import Store
from durable_execution.local.wire import operation_size

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
