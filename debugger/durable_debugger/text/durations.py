"""Durations, ages and clock times in few cells."""

import re
from datetime import UTC, datetime, timedelta

from durable_execution.counts import counted

UNKNOWN = "—"
SECOND = 1.0
MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0
UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}


def short(seconds: float | None) -> str:
    """Format a duration in at most seven cells: `0ms`, `120ms`, `6.1s`, `02:41`, `3h 04m`, `12d 3h`; a dash when unknown."""
    if seconds is None:
        return UNKNOWN
    seconds = max(seconds, 0.0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    return _long(round(seconds))


def _long(whole: int) -> str:
    if whole < HOUR:
        return f"{whole // 60:02d}:{whole % 60:02d}"
    if whole < DAY:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def offset(seconds: float | None) -> str:
    """Format an offset from the start of an execution: `00:41.2`, `1:02:03`, `2d 03:04`."""
    if seconds is None:
        return UNKNOWN
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    tenths = round(seconds * 10)
    if tenths < HOUR * 10:
        return f"{sign}{tenths // 600:02d}:{tenths % 600 // 10:02d}.{tenths % 10}"
    whole = tenths // 10
    if whole < DAY:
        return f"{sign}{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{sign}{whole // 86400}d {whole % 86400 // 3600:02d}:{whole % 3600 // 60:02d}"


def tick(seconds: float) -> str:
    """Format a tick of a time axis as short as possible: `0s`, `250ms`, `8.6s`, `2m`, `3h`, `5d`."""
    if seconds < SECOND:
        return f"{seconds * 1000:.0f}ms" if seconds else "0s"
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")):
        if seconds >= size:
            value = seconds / size
            return f"{value:.0f}{unit}" if abs(value - round(value)) < 0.05 else f"{value:.1f}{unit}"
    return "0s"


def age(since: datetime, now: datetime) -> str:
    """Say how long ago a time was."""
    seconds = (now - since).total_seconds()
    if seconds < 5:
        return "just now"
    for size, unit in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{counted(count, unit)} ago"
    return "just now"


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Return the seconds from start to end; None when either is unknown."""
    return (end - start).total_seconds() if start is not None and end is not None else None


def stamp(at: datetime | None) -> str:
    """Format a time with its date in UTC, to the millisecond."""
    if at is None:
        return UNKNOWN
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def span(delta: timedelta) -> str:
    """Format a timedelta like `short`."""
    return short(delta.total_seconds())


def moment_in(text: str, now: datetime) -> datetime | None:
    """Read a time: an age such as `90s`, `30m`, `1.5h`, `7d` or `2w`, or an ISO 8601 time, in UTC unless it has an offset.

    Returns:
        The time; None if the text is neither, or lies outside the calendar.
    """
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([smhdw])", text.strip().lower())
    try:
        if match is not None:
            return now - timedelta(seconds=float(match[1]) * UNITS[match[2]])
        found = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
