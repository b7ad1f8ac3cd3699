"""What an execution used, and an estimate of what that costs, from a price table with a date.

The estimate leaves out free tiers, discounts, retention beyond what you name, invoked functions, and everything that is
not in a history: traffic, logs, and other services.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from durable_execution.errors import DurableError
from durable_execution.history.event_fold import details, mapping
from durable_execution.history.recorded import RecordedExecution
from durable_execution.local.wire import DATA_MEMBERS
from durable_execution.protocol.operation import to_datetime

GB = 2**30
DAYS_PER_MONTH = Decimal(30)
DAY = timedelta(days=1)
CENT, MILLIONTH = Decimal("0.01"), Decimal("0.000001")


class PriceError(DurableError):
    """A price table cannot be used."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in US dollars.

    Attributes:
        date: The day from which the prices are known.
        region: The region they are for.
        per_million_operations: A million durable operations.
        per_gb_written: A GB of data written by operations.
        per_gb_month_retained: A GB of data kept for a month.
        per_million_requests: A million invocations.
        per_gb_second: A second of a function with 1 GB of memory.
    """

    date: str = "2026-09-20"
    region: str = "us-east-1"
    per_million_operations: Decimal = Decimal("8.00")
    per_gb_written: Decimal = Decimal("0.25")
    per_gb_month_retained: Decimal = Decimal("0.15")
    per_million_requests: Decimal = Decimal("0.20")
    per_gb_second: Decimal = Decimal("0.0000166667")


def read_prices(path: Path) -> Prices:
    """Read a price table: a JSON object with members of `Prices`; those it does not name keep their value.

    Raises:
        PriceError: It is not such a table.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal, parse_int=Decimal)
    except (OSError, ValueError) as error:
        raise PriceError(f"cannot read the prices in {path}: {error}") from error
    known = {one.name for one in fields(Prices)}
    if not isinstance(found, dict) or not set(found) <= known:
        raise PriceError(f"{path} is not a price table: expected a JSON object with {', '.join(sorted(known))}")
    for name, value in found.items():
        if name in ("date", "region"):
            if not isinstance(value, str):
                raise PriceError(f"{path}: {name} must be text")
        elif not isinstance(value, Decimal) or value < 0:
            raise PriceError(f"{path}: {name} must be a number of dollars, 0 or more")
    return replace(Prices(), **found)


@dataclass(slots=True)
class Usage:
    """What executions used.

    Attributes:
        operations: Calls with a record.
        bytes_written: Bytes of payloads written.
        invocations: Invocations of the function.
        seconds: Time in which the function ran.
        replayed: Calls that invocations replayed instead of making them.
        byte_days: Bytes written, times the days for which their execution was open.
        executions: Executions. The start of each is an operation, too.
    """

    operations: int = 0
    bytes_written: int = 0
    invocations: int = 0
    seconds: float = 0.0
    replayed: int = 0
    byte_days: float = 0.0
    executions: int = 0

    def add(self, other: "Usage") -> None:
        """Add what another execution used."""
        self.operations += other.operations
        self.bytes_written += other.bytes_written
        self.invocations += other.invocations
        self.seconds += other.seconds
        self.replayed += other.replayed
        self.byte_days += other.byte_days
        self.executions += other.executions

    @property
    def billed_operations(self) -> int:
        """Operations that are paid for: the starts of executions and the calls."""
        return self.executions + self.operations

    def keep(self, started: datetime | None, until: datetime | None) -> None:
        """Count what was written as kept while the execution was open, all of it for the whole time, as AWS's example does."""
        if started is not None and until is not None:
            self.byte_days = self.bytes_written * max(0.0, (until - started) / DAY)

    @property
    def replayed_share(self) -> float:
        """Share of the calls of all invocations that were replays."""
        made = self.operations + self.replayed
        return self.replayed / made if made else 0.0


@dataclass(frozen=True, slots=True)
class Bill:
    """An estimate in US dollars.

    Attributes:
        operations: For durable operations.
        data: For data written.
        retention: For data kept.
        requests: For invocations.
        duration: For the time in which the function ran, by its memory.
    """

    operations: Decimal
    data: Decimal
    retention: Decimal
    requests: Decimal
    duration: Decimal

    @property
    def total(self) -> Decimal:
        """The sum."""
        return self.operations + self.data + self.retention + self.requests + self.duration


@dataclass(frozen=True, slots=True)
class CostTerms:
    """What an estimate assumes.

    Attributes:
        prices: The prices.
        memory_mb: Memory of the function, in MB; a history does not contain it.
        retention_days: How many days data is kept after the end of an execution.
    """

    prices: Prices = field(default_factory=Prices)
    memory_mb: int = 128
    retention_days: int = 14

    def bill(self, usage: Usage) -> Bill:
        """Estimate what was used."""
        prices, million, gb = self.prices, Decimal(1_000_000), Decimal(usage.bytes_written) / GB
        gb_seconds = Decimal(str(usage.seconds)) * self.memory_mb / 1024
        gb_days = gb * self.retention_days + Decimal(str(usage.byte_days)) / GB
        return Bill(
            operations=prices.per_million_operations * usage.billed_operations / million,
            data=prices.per_gb_written * gb,
            retention=prices.per_gb_month_retained * gb_days / DAYS_PER_MONTH,
            requests=prices.per_million_requests * usage.invocations / million,
            duration=prices.per_gb_second * gb_seconds,
        )

    def total(self, usage: Usage) -> Decimal:
        """The estimate, in US dollars."""
        return self.bill(usage).total

    def report(self, usage: Usage) -> dict[str, Any]:
        """The estimate as JSON-ready values."""
        bill = self.bill(usage)
        amounts = {one.name: f"{getattr(bill, one.name):f}" for one in fields(Bill)}
        return {
            "schema": "durable-cost-estimate",
            "version": 1,
            "is_estimate": True,
            "currency": "USD",
            "prices": {name: str(value) for name, value in asdict(self.prices).items()},
            "memory_mb": self.memory_mb,
            "retention_days": self.retention_days,
            "usage": {**asdict(usage), "replayed_share": round(usage.replayed_share, 4)},
            "amounts": {**amounts, "total": f"{bill.total:f}"},
        }


def usage_of(execution: RecordedExecution) -> Usage:
    """What one execution used."""
    found = Usage(operations=len(execution.operations), executions=1)
    found.invocations = len(execution.invocations)
    for invocation in execution.invocations:
        if invocation.started_at is not None and invocation.ended_at is not None:
            found.seconds += max(0.0, (invocation.ended_at - invocation.started_at).total_seconds())
    found.bytes_written = sum(payload_bytes(event, event.get("EventType")) for event in execution.events)
    found.replayed = sum(len(operation.replayed_by) for operation in execution.operations)
    last = execution.events[-1].get("EventTimestamp") if execution.events else None
    found.keep(execution.started_at, execution.ended_at or _moment(last))
    return found


def payload_bytes(event: Mapping[str, Any], kind: Any) -> int:
    """Size of the payload of an event, in bytes. A truncated payload counts as empty."""
    member = DATA_MEMBERS.get(kind)
    if member is None:
        return 0
    payload = mapping(details(event).get(member)).get("Payload")
    if isinstance(payload, str):
        return len(payload) if payload.isascii() else len(payload.encode("utf-8", "surrogatepass"))
    return len(json.dumps(payload)) if payload is not None else 0


def usage_of_invocation(usage: Usage, event: Mapping[str, Any], recorded: int) -> None:
    """Add an invocation, which replays what had ended before it."""
    found = details(event)
    started, ended = _moment(found.get("StartTimestamp")), _moment(found.get("EndTimestamp"))
    usage.invocations += 1
    if started is not None and ended is not None:
        usage.seconds += max(0.0, (ended - started).total_seconds())
    usage.replayed += recorded


def _moment(value: Any) -> datetime | None:
    try:
        return to_datetime(value)
    except (ValueError, OverflowError):
        return None


def dollars(amount: Decimal) -> str:
    """An amount for people: in cents from one cent on, below that in millionths of a dollar."""
    if amount == 0 or amount >= CENT:
        return f"${amount.quantize(CENT):,}"
    return f"${amount:.6f}" if amount >= MILLIONTH else "<$0.000001"
