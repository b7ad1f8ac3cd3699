"""Serialized payloads as shown: one short line, or indented JSON."""

import json
import re
from contextlib import suppress
from typing import Any

from durable_debugger.text import stored_values
from durable_debugger.text.cells import cut, safe
from durable_debugger.text.stored_values import Batch, Remark
from durable_execution.counts import counted

PARSE_LIMIT = 270_000
"""Payloads longer than this many characters, which is more than a checkpoint holds, are shown as text without parsing."""

SCAN_FACTOR = 4


def summary(payload: str | None, cells: int, *, absent: str = "not recorded") -> str:
    """Format a payload on one line, as a person thinks of its value.

    Args:
        payload: Serialized value; None when there is no value.
        cells: Available width.
        absent: Text to show when there is no value.
    """
    return _summary(one_line(payload) if payload else payload, cells, absent)


def record_summary(payload: str, cells: int) -> str:
    """Format a payload on one line as it is recorded, without type tags."""
    is_short = len(payload) <= PARSE_LIMIT and ("\n" in payload or not stored_values.is_plain(payload))
    value = parse(payload) if is_short else payload
    return _summary(
        json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else payload, cells, "not recorded"
    )


def one_line(payload: str) -> str:
    """Return the value of a payload on one line: JSON, apart from remarks on items of a batch; or the text unchanged."""
    if len(payload) > PARSE_LIMIT or ("\n" not in payload and stored_values.is_plain(payload)):
        return payload
    value = stored_values.read(payload)
    try:
        return stored_values.one_line(value) if isinstance(value, (dict, list, Batch, Remark)) else payload
    except RecursionError:
        return payload


def _summary(text: str | None, cells: int, absent: str) -> str:
    if text is None:
        return cut(absent, cells)
    if text == "":
        return cut("(empty)", cells)
    return cut(safe(text[: cells * SCAN_FACTOR + 64]), cells)


def pretty(payload: str, *, limit: int = PARSE_LIMIT) -> list[str]:
    """Format a payload as safe lines: indented if it is JSON, as text if not."""
    if len(payload) > limit:
        shown = payload[:limit].splitlines() or [payload[:limit]]
        return [
            *map(safe, shown),
            f"… {counted(len(payload) - limit, 'more character')}: export the execution to see them",
        ]
    value = stored_values.read(payload)
    text = value if isinstance(value, str) else payload
    if isinstance(value, (dict, list, Batch, Remark)) or (isinstance(value, str) and "\n" not in value):
        with suppress(RecursionError):
            text = stored_values.indented(value)
    return [safe(line) for line in text.splitlines()] or [""]


def parse(payload: str) -> Any:
    """Return the JSON value of a payload without the SDK's type tags; the text itself when it is not JSON."""
    try:
        return stored_values.untagged(json.loads(payload))
    except (ValueError, RecursionError):
        return payload


def size(count: int) -> str:
    """Format a number of bytes or characters."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MiB"


MAX_CHARACTERS = 60_000
"""Size of one answer. Assistants pay for what they read, and drop what is too long."""

CUTS = ((200, 4_000), (100, 2_000), (50, 800), (20, 300), (8, 120), (3, 60))
"""Items of a list and characters of a text that are kept, from generous to small."""

MAX_DEPTH = 40


def bounded(value: Any, limit: int = MAX_CHARACTERS) -> str:
    """A value as JSON text of a limited length: long lists and texts are cut, and say what is missing."""
    text = json.dumps(value, ensure_ascii=False)
    for items, characters in CUTS:
        if len(text) <= limit:
            return text
        text = json.dumps(_cut(value, items, characters, 0), ensure_ascii=False)
    if len(text) <= limit:
        return text
    return json.dumps({"truncated": True, "characters": len(text), "advice": "ask for a part of it"})


def _cut(value: Any, items: int, characters: int, depth: int) -> Any:
    if isinstance(value, str) and len(value) > characters:
        return f"{value[:characters]}… ({counted(len(value) - characters, 'more character')})"
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {key: _cut(inner, items, characters, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        kept = [_cut(inner, items, characters, depth + 1) for inner in value[:items]]
        return [*kept, f"… ({len(value) - items} more)"] if len(value) > items else kept
    return value


OPENING, CLOSING = "([{", ")]}"
STRUCTURE = re.compile(r"""'(?:[^'\\\\]|\\\\.)*'|"(?:[^"\\\\]|\\\\.)*"|[\[\](){},]|: |=""")
"""Strings, brackets and separators in the short text of a value."""


def expanded(text: str, cells: int, *, used: int = 0, depth: int = 16) -> list[str]:
    """Return the short text of a value on several lines, one for each member of what does not fit on one line.

    Args:
        text: The text, as `durable_execution.replay.lines.value_text` writes it.
        cells: Available width.
        used: Width of what stands before it on its first line.
        depth: How deep members are expanded.
    """
    parts = members(text) if len(text) > cells - used and depth else None
    if parts is None:
        return [text]
    head, named, tail = parts
    lines = [head]
    for number, (name, value) in enumerate(named, start=1):
        first, *rest = expanded(value, cells - 2, used=len(name), depth=depth - 1)
        inner = [f"{name}{first}", *rest]
        inner[-1] += "," if number < len(named) else ""
        lines += [f"  {line}" for line in inner]
    return [*lines, tail]


def members(text: str) -> tuple[str, list[tuple[str, str]], str] | None:
    """Return the text up to the first bracket, the named members in it, and its end; None where there is nothing to expand."""
    level, start, value_at = 0, 0, 0
    head, found = "", []
    for match in STRUCTURE.finditer(text):
        sign = match[0]
        if sign in OPENING:
            level += 1
            if level == 1:
                if head:
                    return None
                head, start, value_at = text[: match.end()], match.end(), match.end()
        elif sign in CLOSING:
            level -= 1
            if level == 0:
                if match.end() != len(text):
                    return None
                found.append((text[start:value_at].lstrip(), text[value_at : match.start()].strip()))
                return (head, found, sign) if any(value for _, value in found) else None
        elif level == 1 and sign == ",":
            found.append((text[start:value_at].lstrip(), text[value_at : match.start()].strip()))
            start = value_at = match.end()
        elif level == 1 and sign in (": ", "=") and value_at == start:
            value_at = match.end()
    return None
