"""A serializer for one type, to nest inside others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_execution.serdes.codec import typed_codec

if TYPE_CHECKING:
    from durable_execution.serdes.interface import SerDesContext


class TypedSerDes:
    """Serializes values of one type, as the SDK does for an annotated function: `TypedSerDes(Order)`.

    Args:
        annotation: A pydantic model, dataclass, TypedDict, enum, `list[Order]` …
    """

    def __init__(self, annotation: Any) -> None:
        self._codec = typed_codec(annotation)

    def serialize(self, value: Any, context: SerDesContext | None = None) -> str:
        """JSON text that `deserialize` restores to a value of the type."""
        return self._codec.encode(value)

    def deserialize(self, data: str, context: SerDesContext | None = None) -> Any:
        """The value."""
        return self._codec.decode(data)
