"""The values the programs work on."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Line:
    """One line of an order."""

    sku: str
    quantity: int
    cents: int
    tags: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return self.quantity * self.cents


@dataclass
class Order:
    """An order with its lines."""

    id: str
    customer: str
    country: str = "DE"
    placed_at: float = 1_700_000_000.0
    lines: list[Line] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(line.total for line in self.lines)

    @classmethod
    def parse(cls, event: dict[str, Any]) -> "Order":
        lines = [
            Line(one["sku"], int(one.get("quantity", 1)), int(one.get("cents", 100)), tuple(one.get("tags", ())))
            for one in event.get("lines", [])
        ]
        return cls(
            id=event["id"],
            customer=event.get("customer", "c-1"),
            country=event.get("country", "DE"),
            placed_at=float(event.get("placed_at", 1_700_000_000.0)),
            lines=lines,
        )


EVENT: dict[str, Any] = {
    "id": "o-1001",
    "customer": "c-77",
    "country": "DE",
    "placed_at": 1_700_000_000.0,
    "lines": [
        {"sku": "lamp", "quantity": 2, "cents": 1999, "tags": ["fragile", "indoor"]},
        {"sku": "desk", "quantity": 1, "cents": 14900, "tags": ["bulky", "indoor"]},
        {"sku": "plant", "quantity": 3, "cents": 950, "tags": ["fragile", "alive", "cold"]},
        {"sku": "rug", "quantity": 1, "cents": 8900, "tags": ["bulky", "soft"]},
    ],
}
