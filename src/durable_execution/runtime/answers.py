"""Reads answers of the service, and refuses those that are not what the Lambda API promises.

An empty or malformed answer comes from a proxy, a wrong endpoint or a server that is failing. Taken at its word, it would look
like the answer that ends an invocation, or would raise far from its cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from durable_execution.errors import ServiceError
from durable_execution.paging import MALFORMED, Markers
from durable_execution.protocol import Wire
from durable_execution.protocol.enums import TERMINAL_OPERATION_STATUSES
from durable_execution.runtime.service import CheckpointAnswer, ServiceClient, StatePage


def checkpoint_answer(answer: Any) -> CheckpointAnswer:
    """Read the answer to a checkpoint, as boto3 or the transport parsed it.

    Raises:
        ServiceError: It is not the answer to a checkpoint. An answer needs a new token, or the new state, or both: with a state
            and without a token, it ends the invocation.
    """
    found = _object(answer, "the answer to a checkpoint")
    token = _text(found.get("CheckpointToken"), "CheckpointToken")
    state = found.get("NewExecutionState")
    if state is None and token is None:
        raise malformed("the answer to a checkpoint has neither CheckpointToken nor NewExecutionState")
    state = _object(state or {}, "NewExecutionState")
    operations = operations_in(state.get("Operations"))
    return CheckpointAnswer(token, operations, _text(state.get("NextMarker"), "NextMarker"))


def state_page(answer: Any) -> StatePage:
    """Read a page of operations, as boto3 or the transport parsed it.

    Raises:
        ServiceError: It is not a page of operations.
    """
    found = _object(answer, "a page of operations")
    if found.get("Operations") is None:
        raise malformed("a page of operations has no Operations")
    return StatePage(operations_in(found["Operations"]), _text(found.get("NextMarker"), "NextMarker"))


def operations_in(value: Any) -> list[Wire]:
    """Return the operations of an answer, after a check of the members that the runtime relies on.

    Raises:
        ServiceError: One of them has no `Id`, `Type` or `Status`, or is not an object.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise malformed(f"Operations is {value!r:.60}, not a list")
    for wire in value:
        try:
            is_whole = all((wire["Id"], wire["Type"], wire["Status"]))
        except (KeyError, TypeError, IndexError):
            is_whole = False
        if not is_whole or not (
            isinstance(wire["Id"], str) and isinstance(wire["Type"], str) and isinstance(wire["Status"], str)
        ):
            raise malformed(f"an operation has no Id, Type or Status: {_members(wire)}")
    return value


async def further_pages(client: ServiceClient, arn: str, token: str, marker: str, known: Iterable[Wire]) -> list[Wire]:
    """Read the pages after the first one.

    Args:
        client: The service.
        arn: ARN of the execution.
        token: Checkpoint token of the invocation.
        marker: Marker of the second page.
        known: Operations of the first page.

    Returns:
        The operations of the further pages.

    Raises:
        ServiceError: A page cannot be read, or the pages do not end.
    """
    ids = {wire["Id"] for wire in known}
    markers = Markers("GetDurableExecutionState")
    following = markers.following(marker, len(ids))
    found: list[Wire] = []
    while following is not None:
        page = await client.get_state(arn, token, following)
        found += page.operations
        before = len(ids)
        ids.update(wire["Id"] for wire in page.operations)
        following = markers.following(page.next_marker, len(ids) - before)
    return found


def merge(operations: MutableMapping[str, Wire], news: Iterable[Wire]) -> None:
    """Add operations to those that are known. What has ended stays ended: a page may be older than what is known."""
    for wire in news:
        known = operations.get(wire["Id"])
        if known is None or not is_stale(known, wire):
            operations[wire["Id"]] = wire


def is_stale(known: Wire, wire: Wire) -> bool:
    """Whether a record is older than the known one: an operation that has ended never changes its status again."""
    return known["Status"] in TERMINAL_OPERATION_STATUSES and wire["Status"] != known["Status"]


def malformed(what: str) -> ServiceError:
    """The error for an answer that cannot be read. Lambda retries the invocation: nothing is known to be lost."""
    return ServiceError(MALFORMED, f"{what}. This is not an answer of the Lambda API. Check the endpoint and the proxy")


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if type(value) is not dict and not isinstance(value, Mapping):  # asking an abstract class takes longer
        raise malformed(f"{what} is {value!r:.60}, not an object")
    return value


def _text(value: Any, member: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise malformed(f"{member} is {value!r:.60}, not text")
    return value


def _members(wire: Any) -> str:
    return (
        f"its members are {', '.join(sorted(map(str, wire))[:6]) or 'none'}"
        if isinstance(wire, Mapping)
        else f"{wire!r:.60}"
    )
