"""Collects invoices until there are enough for one upload."""

from typing import ClassVar

from tests.replay.causes.common.timing import note, timed


class InvoiceBatch:
    """Invoices that wait for the next upload."""

    limit: ClassVar[int] = 2
    pending: ClassVar[list[str]] = []

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.added = 0

    def add(self, invoice: str) -> None:
        with timed("add"):
            self.pending.append(invoice)  # CAUSE
            self.added += 1
        note("invoice added", owner=self.owner, added=self.added)

    @property
    def is_full(self) -> bool:
        return len(self.pending) >= self.limit  # CAUSE

    def taken(self) -> list[str]:
        """The invoices of this upload."""
        return list(self.pending)

    def __len__(self) -> int:
        return self.added


def invoice_number(order_id: str, year: int = 2024) -> str:
    return f"inv-{year}-{order_id.rpartition('-')[2]}"


def totals(numbers: list[str]) -> str:
    return f"{len(numbers)} invoices"
