"""Timestamps as the protocol writes them.

The handler's event carries integers in Unix milliseconds, the HTTP API carries Unix seconds (rest-json), the AWS CLI
prints ISO 8601, and boto3 hands out `datetime` objects. Everything inside this project is an aware `datetime` in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

MILLISECONDS_FROM = 100_000_000_000
"""Numbers from here on are milliseconds: as seconds this is the year 5138, as milliseconds 1973."""


def to_datetime(value: Any) -> datetime | None:
    """Read a timestamp in any form the protocol uses.

    Args:
        value: Unix milliseconds, Unix seconds, ISO 8601 text, a `datetime`, or None.

    Returns:
        An aware UTC datetime, or None when there is none.

    Raises:
        ValueError: The value is none of these forms.
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
    """Unix milliseconds, as timestamps stand in the handler's event."""
    return round(value.timestamp() * 1000)
