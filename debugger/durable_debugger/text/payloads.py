"""Serialized payloads as people read them: one short line, or indented JSON."""

import json
from typing import Any

from durable_debugger.text.cells import cut, safe

PARSE_LIMIT = 200_000
"""Characters above which a payload is shown as text, not taken apart."""

SCAN_FACTOR = 4


def summary(payload: str | None, cells: int, *, absent: str = "not recorded") -> str:
    """A payload on one line.

    Args:
        payload: Serialized value; None when there is none.
        cells: Room for it.
        absent: What to say when there is none.
    """
    if payload is None:
        return cut(absent, cells)
    if payload == "":
        return cut("(empty)", cells)
    whole = payload if len(payload) > PARSE_LIMIT else _compact(payload)
    return cut(safe(whole[: cells * SCAN_FACTOR + 64]), cells)


def pretty(payload: str, *, limit: int = PARSE_LIMIT) -> list[str]:
    """A payload as safe lines: indented when it is JSON, as text when not."""
    if len(payload) > limit:
        shown = payload[:limit].splitlines() or [payload[:limit]]
        return [*map(safe, shown), f"… {len(payload) - limit:,} more characters: export the execution to see them"]
    value = parse(payload)
    if isinstance(value, (dict, list)) or (isinstance(value, str) and "\n" not in value):
        text = json.dumps(value, indent=2, ensure_ascii=False)
    else:
        text = value if isinstance(value, str) else payload
    return [safe(line) for line in text.splitlines()] or [""]


def parse(payload: str) -> Any:
    """The JSON value of a payload; the text itself when it is not JSON."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload


def size(count: int) -> str:
    """A number of bytes or characters, short."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MiB"


def _compact(payload: str) -> str:
    """One line: the JSON without its indentation, or the text as it is."""
    if "\n" not in payload:
        return payload
    value = parse(payload)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else payload
