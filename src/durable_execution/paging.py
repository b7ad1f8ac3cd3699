"""Follows the markers of an answer that comes in pages, and notices a service that never comes to the last one.

Pages of the durable execution service, of histories and of lists of executions end with a marker: `NextMarker`. A proxy or a
faulty server that repeats a page would otherwise keep a reader busy for ever, or give it a part of a history as the whole.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from durable_execution.errors import ServiceError

MALFORMED = "ResponseParserError"
"""botocore's name for an answer that cannot be read."""

IDENTITY = {"Events": ("EventId", int), "DurableExecutions": ("DurableExecutionArn", str)}
"""The member that identifies each item of a list, and its type."""

MAX_PAGES = 100_000
"""Pages of 1000 items each: more than any list of the service."""

MAX_BARREN_PAGES = 1000
"""Pages in a row that bring nothing new. The service may answer with an empty page and a marker, but not without end."""


def pages(call: Callable[..., Any], items: str, **arguments: Any) -> Iterator[list[Any]]:
    """Read the pages of an answer one by one.

    Args:
        call: Method of a Lambda client that reads a page.
        items: Member of a page that holds its items: one of `IDENTITY`.
        arguments: Arguments of the call.

    Yields:
        The items of each page.

    Raises:
        ServiceError: A page has no list of items, or the pages do not end.
    """
    name = str(getattr(call, "__name__", items))
    markers = Markers(name)
    while True:
        page = call(**arguments)
        found = page.get(items) if isinstance(page, Mapping) else None
        if not isinstance(found, list) or not all(map(partial(_is_identified, *IDENTITY[items]), found)):
            member = IDENTITY[items][0]
            raise ServiceError(
                MALFORMED,
                f"{name} answered without a list {items} of objects with {member}. This is not an answer of the Lambda API. "
                "Check the endpoint and the proxy",
            )
        yield found
        marker = markers.following(page.get("NextMarker"), len(found))
        if marker is None:
            return
        arguments["Marker"] = marker


def _is_identified(member: str, type_: type, item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get(member), type_)


class Markers:
    """The markers of one answer.

    Args:
        call: Name of the call, for errors.
    """

    __slots__ = ("_barren", "_call", "_seen")

    def __init__(self, call: str) -> None:
        self._call = call
        self._seen: set[str] = set()
        self._barren = 0

    def following(self, marker: object, news: int) -> str | None:
        """Return the marker of the next page; None after the last page.

        Args:
            marker: `NextMarker` of the page that was read.
            news: How many items the page had that earlier pages did not have.

        Raises:
            ServiceError: The marker is not text, or the pages do not end.
        """
        if not marker:
            return None
        if not isinstance(marker, str):
            raise ServiceError(
                MALFORMED,
                f"{self._call} answered with the page marker {marker!r:.60}, which is not text. Check the endpoint and the proxy",
            )
        self._barren = 0 if news else self._barren + 1
        if marker in self._seen or self._barren >= MAX_BARREN_PAGES or len(self._seen) >= MAX_PAGES:
            raise ServiceError(
                "EndlessPages",
                f"the pages of {self._call} do not end: the service returned {self._reason(marker)}. Nothing was read from them. "
                "Check the endpoint and the proxy",
            )
        self._seen.add(marker)
        return marker

    def _reason(self, marker: str) -> str:
        if marker in self._seen:
            return "the same page marker twice"
        if self._barren >= MAX_BARREN_PAGES:
            return f"{MAX_BARREN_PAGES} pages in a row without anything new"
        return f"{MAX_PAGES} pages"
