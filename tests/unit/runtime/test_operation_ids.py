"""Ids are reserved in the order of the calls."""

from durable_execution.protocol import operation_id
from durable_execution.runtime.scope import OperationIdGenerator


def test_calls_are_numbered_from_one() -> None:
    ids = OperationIdGenerator(None)
    assert [ids.next_id() for _ in range(3)] == [operation_id(None, n) for n in (1, 2, 3)]
    assert ids.position == 3


def test_a_context_has_numbers_of_its_own() -> None:
    ids = OperationIdGenerator("parent")
    assert ids.next_id() == operation_id("parent", 1)


def test_looking_ahead_reserves_nothing() -> None:
    ids = OperationIdGenerator(None)
    ahead = [ids.peek(), ids.peek(2)]
    assert [ids.next_id(), ids.next_id()] == ahead
