"""Spreads customers over partitions of the ledger."""

from dataclasses import dataclass

from tests.replay.causes.common.timing import note

SHARDS = 8


@dataclass(frozen=True)
class Shard:
    number: int
    is_archived: bool = False

    @property
    def name(self) -> str:
        return f"ledger_{self.number}"


ALL = tuple(Shard(number, is_archived=False) for number in range(SHARDS))


def key_of(customer: str, country: str) -> str:
    return f"{country.lower()}/{customer}"


def shard_of(customer: str, country: str) -> Shard:
    """The partition that holds a customer's entries."""
    key = key_of(customer, country)
    number = hash(key) % SHARDS  # CAUSE
    shard = ALL[number]
    note("shard", key=key, number=shard.number)
    if shard.is_archived:
        return ALL[0]
    return shard


def balance(entries: list[int]) -> int:
    total = 0
    for entry in entries:
        total += entry
    return total
