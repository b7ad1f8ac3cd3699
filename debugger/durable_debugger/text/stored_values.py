"""Stored values as a person thinks of them: without type tags and wrappers, and a batch as the list of its results.

What is not a value of the user is a `Remark`: a failed or unfinished item, a text that is encrypted or stored elsewhere.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from durable_execution.counts import counted
from durable_execution.protocol import ErrorObject
from durable_execution.redaction.compressed import COMPRESSED, expanded

TAGGED = frozenset({"t", "v"})
"""The members of a value with a type tag: `{"t": "i", "v": 3}`. AWS's SDK for Python writes the same form."""

JSON_TAGS = frozenset("nsifblm")
"""Tags of values that JSON itself tells apart."""

WRAPPED = "durable:"
MARKS = ('"t":', f'"{WRAPPED}', '"completionReason"', '"completion_reason"')
"""What a stored text contains unless it is plain JSON."""

MAX_NESTED = 8
ENDS = {
    "MIN_SUCCESSFUL_REACHED": "enough succeeded",
    "FAILURE_TOLERANCE_EXCEEDED": "too many failed",
    "CUSTOM_COMPLETION_SUCCEEDED": "its own rule decided so",
    "CUSTOM_COMPLETION_FAILED": "its own rule decided that it failed",
}
"""Why a batch ended before all of its items."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Words in place of a value."""

    words: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The result of a map or parallel.

    Attributes:
        results: The result of each item; a remark where it failed or had not ended.
        end: Why it ended before all of its items; empty if it did not.
    """

    results: tuple[Any, ...]
    end: str = ""


def is_plain(text: str) -> bool:
    """Whether a stored text contains nothing but the user's value."""
    return not any(mark in text for mark in MARKS)


def untagged(value: Any) -> Any:
    """Return a JSON value without type tags."""
    if isinstance(value, list):
        return [untagged(each) for each in value]
    if not isinstance(value, dict):
        return value
    if _is_tagged(value):
        return untagged(value["v"])
    return {key: untagged(each) for key, each in value.items()}


def is_restored_untagged(value: Any) -> bool:
    """Whether a JSON value restores the same Python value without its type tags."""
    if isinstance(value, list):
        return all(map(is_restored_untagged, value))
    if not isinstance(value, dict):
        return True
    if _is_tagged(value):
        return value["t"] in JSON_TAGS and is_restored_untagged(value["v"])
    return all(map(is_restored_untagged, value.values()))


def _is_tagged(value: Mapping[str, Any]) -> bool:
    return frozenset(value) == TAGGED and isinstance(value["t"], str) and len(value["t"]) <= 2


@lru_cache(maxsize=32)
def read(text: str) -> Any:
    """Return the value of a stored text, with `Batch` and `Remark` in it; the text itself when it is not JSON."""
    try:
        return _value(json.loads(text), 0)
    except (ValueError, RecursionError):
        return text


def one_line(value: Any) -> str:
    """Format a value that `read` returned on one line, as JSON apart from its remarks."""
    match value:
        case Remark(words):
            return words
        case Batch(results) | list(results):
            return f"[{', '.join(map(one_line, results))}]"
        case dict():
            return f"{{{', '.join(f'{_text(key)}: {one_line(each)}' for key, each in value.items())}}}"
        case _:
            return _text(value)


def indented(value: Any, indent: str = "") -> str:
    """Format a value that `read` returned with one member on each line, as JSON apart from its remarks."""
    inner = f"{indent}  "
    match value:
        case Batch(results, end):
            return indented(list(results), indent) + (f"\n{indent}ended early: {end}" if end else "")
        case [_, *_]:
            members = [f"{inner}{indented(each, inner)}" for each in value]
            return "[\n" + ",\n".join(members) + f"\n{indent}]"
        case dict() if value:
            members = [f"{inner}{_text(key)}: {indented(each, inner)}" for key, each in value.items()]
            return "{\n" + ",\n".join(members) + f"\n{indent}}}"
        case _:
            return one_line(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _value(value: Any, nested: int) -> Any:
    if isinstance(value, list):
        return [_value(each, nested) for each in value]
    if not isinstance(value, dict):
        return value
    if _is_tagged(value):
        return _value(value["v"], nested)
    if len(value) == 1 and (name := next(iter(value))).startswith(WRAPPED):
        return _unwrapped(name, value[name], nested)
    found = {key: _value(each, nested) for key, each in value.items()}
    return _batch(found, nested) or _batch_summary(found) or found


def _unwrapped(name: str, content: Any, nested: int) -> Any:
    if name == COMPRESSED and isinstance(content, str):
        value = expanded({name: content})
        return Remark("compressed, and cannot be read") if value is None else _value(value, nested)
    if name == f"{WRAPPED}offloaded" and isinstance(content, Mapping):
        length = content.get("bytes")
        much = f"{counted(length, 'byte')} " if isinstance(length, int) else ""
        return Remark(f"{much}stored outside the execution as {content.get('key')}")
    if name == f"{WRAPPED}encrypted":
        return Remark("encrypted")
    return {name: content}


def _batch(found: Mapping[str, Any], nested: int) -> Batch | None:
    """Read a batch in one of the forms in which SDKs store it; None if it is something else."""
    items, reason = (
        found.get("all", found.get("items")),
        found.get("completionReason", found.get("completion_reason")),
    )
    if not isinstance(items, list) or not isinstance(reason, str):
        return None
    if not all(isinstance(item, dict) and isinstance(item.get("status"), str) for item in items):
        return None
    return Batch(tuple(_result(item, nested) for item in items), ENDS.get(_constant(reason), ""))


def _result(item: Mapping[str, Any], nested: int) -> Any:
    status = _constant(item["status"])
    if status == "FAILED":
        return Remark(f"failed: {_error(item.get('error') or item.get('err'))}")
    if status != "SUCCEEDED":
        return Remark("not finished")
    result = item.get("result")
    if item.get("isEncoded") and isinstance(result, str) and nested < MAX_NESTED:
        try:
            return _value(json.loads(result), nested + 1)
        except ValueError:
            return result
    return result


def _error(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error) if error is not None else "no error is recorded"
    found = ErrorObject.from_wire(error)
    if found is not None and (found.type or found.message):
        return str(found)
    name, message = error.get("errorType", error.get("name")), error.get("message")
    return ": ".join(str(each) for each in (name, message) if each) or _text(error)


def _batch_summary(found: Mapping[str, Any]) -> Remark | None:
    """Read what is stored in place of a batch that is larger than a checkpoint."""
    total, kind = found.get("totalCount"), str(found.get("type", ""))
    if not isinstance(total, int) or kind not in ("MapResult", "ParallelResult") or "completionReason" not in found:
        return None
    nouns = ("item", "items") if kind == "MapResult" else ("branch", "branches")
    words = f"{counted(total, *nouns)}, {found.get('failureCount', 0)} failed; too large to store as one result"
    return Remark(f"{words}: {found['summary']}" if found.get("summary") else words)


def _constant(word: str) -> str:
    """Convert `AllCompleted` to `ALL_COMPLETED`."""
    return word if word.isupper() else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).upper()
