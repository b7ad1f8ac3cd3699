"""The serializer interface, and the two plainest serializers."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class SerDesContext(NamedTuple):
    """What a serializer may know of the value.

    Attributes:
        operation_id: Operation the value belongs to; the execution's ARN for payload and result of the handler.
        execution_arn: Execution the operation belongs to.
    """

    operation_id: str = ""
    execution_arn: str = ""


class SerDes(Protocol[T]):
    """Turns values into text and back. `deserialize(serialize(value))` is what the workflow gets, on the first run too.

    A serializer that waits for something (a network, a disk) may say so with an attribute `is_blocking = True`: steps, child
    contexts and branches then call it in a worker thread, so that the others go on.

    Raise `durable_execution.errors.SerializationError` for what can never work, and
    `durable_execution.errors.InvocationError` for passing trouble (a bucket that does not answer).
    """

    def serialize(self, value: T, context: SerDesContext) -> str:
        """The text to store."""
        ...

    def deserialize(self, data: str, context: SerDesContext) -> T:
        """The value a stored text stands for."""
        ...


class JsonSerDes:
    """Plain JSON, as `json.dumps` and `json.loads` have it: tuples come back as lists."""

    def serialize(self, value: Any, context: SerDesContext = SerDesContext()) -> str:  # noqa: B008  # immutable
        """JSON text."""
        return json.dumps(value)

    def deserialize(self, data: str, context: SerDesContext = SerDesContext()) -> Any:  # noqa: B008
        """The value of a JSON text."""
        return json.loads(data)


class PassThroughSerDes:
    """For values that are text already."""

    def serialize(self, value: str, context: SerDesContext = SerDesContext()) -> str:  # noqa: B008
        """The text itself."""
        return value

    def deserialize(self, data: str, context: SerDesContext = SerDesContext()) -> str:  # noqa: B008
        """The text itself."""
        return data
