"""Convert the protocol's timestamps.

The handler's event carries integers in Unix milliseconds, the HTTP API carries Unix seconds (rest-json), the AWS CLI
prints ISO 8601, and boto3 returns `datetime` objects. Inside this project, every time is an aware `datetime` in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

MILLISECONDS_FROM = 100_000_000_000
"""Numbers from this value on are milliseconds: as seconds it is the year 5138, as milliseconds 1973."""


def to_datetime(value: Any) -> datetime | None:
    """Read a timestamp in any form the protocol uses.

    Args:
        value: Unix milliseconds, Unix seconds, ISO 8601 text, a `datetime`, or None.

    Returns:
        An aware UTC datetime; None for None and empty text.

    Raises:
        ValueError: The value has none of these forms.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = value / 1000 if abs(value) >= MILLISECONDS_FROM else value
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (OverflowError, OSError, ValueError):
            raise ValueError(f"{value!r} is outside the range of timestamps") from None
    if isinstance(value, str):
        parsed = datetime.fromisoformat(value)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    raise ValueError(f"{value!r} is not a timestamp: use Unix seconds or milliseconds, ISO 8601 text or a datetime")


def to_millis(value: datetime) -> int:
    """Convert to Unix milliseconds, the form of the handler's event."""
    return round(value.timestamp() * 1000)
