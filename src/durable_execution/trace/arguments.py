"""Keyed digests of the arguments of a call and of a map's items, so that a trace can tell that they changed without keeping them.

A value is digested as the JSON it would be stored as, so that values that mean the same are the same: a list and a tuple, a
Decimal and a float, a dataclass and a dictionary. A value that has no such form, like an object with an address in its text, has
no digest and is not compared.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import blake2b
from pathlib import PurePath
from typing import Any
from uuid import UUID

from durable_execution.counts import enumerated, plural

DIGITS = 8
"""Hexadecimal digits of a digest."""

UNKNOWN = "-" * DIGITS
"""In place of the digest of an item that has none."""

MAX_TEXT = 100_000
"""Characters of a value, as JSON, that are digested."""

MAX_ITEMS = 1_000
"""Items of a map that are digested."""

KNOWN_UP_TO = 256
"""Characters of a value whose digest is kept: most calls of an execution are given some values that earlier calls had."""

MAX_KNOWN = 256

PLAIN = frozenset({int, float, bool, type(None)})


def arguments_of(bound: Any) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a durable step, a durable context or a partial, by the names of the function's parameters."""
    function, given, options, skipped = _parts(bound)
    names = _parameters(function, skipped) if given else ()
    for index, value in enumerate(given):
        yield names[index] if index < len(names) else f"*{index}", value
    yield from options.items()


def _parts(bound: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any], int]:
    """Return a function, the arguments it is bound to, and how many of its parameters are given later, before them."""
    given = getattr(bound, "_arguments", None)
    if given is not None:  # the first parameter takes the step or the context
        return getattr(bound, "function", None) or getattr(bound, "func", None), given, bound._options, 1  # noqa: SLF001
    given, options = getattr(bound, "args", None), getattr(bound, "keywords", None)
    if isinstance(given, tuple) and isinstance(options, dict):
        return getattr(bound, "func", None), given, options, 0
    return None, (), {}, 0


def _parameters(function: Any, skipped: int) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    return code.co_varnames[skipped : code.co_argcount] if code is not None else ()


def text_of(value: Any) -> str | None:
    """Return a value as text that is equal for values that mean the same; None if it has no such form."""
    kind = type(value)
    if kind is str:
        return f'"{value}' if len(value) <= MAX_TEXT else None
    if kind in PLAIN:
        return str(value)
    try:
        text = "".join(parts_of(value, 0))
    except (TypeError, ValueError, RecursionError, AttributeError):
        return None
    return text if len(text) <= MAX_TEXT else None


def _default(value: Any) -> Any:
    """Return a JSON value for a value that JSON lacks.

    Raises:
        TypeError: It has no such form.
    """
    for kinds, form in FORMS:
        if isinstance(value, kinds):
            return form(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if hasattr(type(value), "model_fields") and isinstance(getattr(value, "__dict__", None), dict):
        return dict(vars(value))
    raise TypeError(f"{type(value).__name__} has no stable text")


FORMS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.value),
    (Decimal, float),
    ((datetime, date, time), lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    ((UUID, PurePath), str),
    ((bytes, bytearray), lambda value: bytes(value).hex()),
    ((set, frozenset), lambda value: sorted(map(ENCODER.encode, value))),
)
ENCODER: json.JSONEncoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_default)
_MAKE: Any = getattr(json.encoder, "c_make_encoder", None)
parts_of: Callable[[Any, int], Iterable[str]] = (
    _MAKE(None, _default, json.encoder.encode_basestring_ascii, None, ":", ",", True, False, True)
    if _MAKE is not None
    else lambda value, _level: ENCODER.encode(value)
)
"""What `ENCODER.encode` returns, in parts. It makes a new encoder for each value, which takes longer than most values do."""


def key_for(execution_arn: str | None) -> bytes:
    """Return the key of the digests of an execution: equal values of two executions do not have equal digests."""
    return blake2b((execution_arn or "").encode("utf-8", "surrogatepass"), digest_size=32).digest()


def digest_of(text: str, key: bytes) -> str:
    """Return the digest of a value's text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGITS // 2, key=key).hexdigest()


class Digests:
    """Digests what the calls of one invocation are given.

    Args:
        execution_arn: The execution, whose key the digests have.
        hides: Tells whether values under a name are secrets. They are not digested.
    """

    def __init__(self, execution_arn: str | None, hides: Callable[[str], bool]) -> None:
        self._start = blake2b(digest_size=DIGITS // 2, key=key_for(execution_arn))
        self._hides = hides
        self._names: dict[int, tuple[Any, tuple[str, ...]]] = {}
        self._known: dict[str, str] = {}

    def arguments(self, bound: Any) -> str:
        """Return the digests of the arguments of a call as JSON; nothing if there are none."""
        function, given, options, skipped = _parts(bound)
        found = ""
        if given:
            known = self._names.get(id(function))
            if known is None or known[0] is not function or len(known[1]) < len(given):
                known = self._names[id(function)] = function, self._shown_names(function, skipped, len(given))
            for name, value in zip(known[1], given, strict=False):
                text = text_of(value) if name else None
                if text is not None:
                    found = f'{found},{name}:"{self._digest(text)}"'
        for name, value in options.items():
            text = text_of(value) if not self._hides(name) else None
            if text is not None:
                found = f'{found},{json.dumps(name)}:"{self._digest(text)}"'
        return f"{{{found[1:]}}}" if found else ""

    def _shown_names(self, function: Any, skipped: int, count: int) -> tuple[str, ...]:
        """Return the names of the first arguments as JSON; empty for those of secrets."""
        names = _parameters(function, skipped)
        names = (*names, *(f"*{index}" for index in range(len(names), count)))
        return tuple("" if self._hides(name) else json.dumps(name) for name in names)

    def items(self, items: Sequence[Any]) -> str | None:
        """Return the digests of a map's items, one after the other; None if there are too many."""
        if len(items) > MAX_ITEMS:
            return None
        return "".join(UNKNOWN if text is None else self._digest(text) for text in map(text_of, items))

    def _digest(self, text: str) -> str:
        found = self._known.get(text)
        if found is None:
            digest = self._start.copy()
            digest.update(text.encode("utf-8", "surrogatepass"))
            found = digest.hexdigest()
            if len(text) <= KNOWN_UP_TO:
                if len(self._known) >= MAX_KNOWN:
                    self._known.clear()
                self._known[text] = found
        return found


def texts_of(bound: Any, items: Sequence[Any] | None) -> dict[str, Any] | None:
    """Return the texts of the arguments and items of a replayed call; None if it has none."""
    texts = {name: text_of(value) for name, value in arguments_of(bound)} if bound is not None else {}
    found = list(map(text_of, items)) if items and len(items) <= MAX_ITEMS else None
    return {"texts": texts, "items": found} if texts or found else None


def changed_arguments(recorded: Mapping[str, str], texts: Mapping[str, str | None], key: bytes) -> list[str]:
    """Return the names of the arguments that changed; those that one side does not know are not compared."""
    known = ((name, text, recorded.get(name)) for name, text in texts.items())
    return [name for name, text, was in known if text is not None and was is not None and digest_of(text, key) != was]


def changed_items(recorded: str, texts: Sequence[str | None], key: bytes) -> tuple[list[int], bool]:
    """Return the indexes of the items that changed, and whether only their order did."""
    before = [recorded[at : at + DIGITS] for at in range(0, len(recorded), DIGITS)]
    today = [UNKNOWN if text is None else digest_of(text, key) for text in texts]
    if len(before) != len(today):
        return [], False
    changed = [
        index
        for index, (was, now) in enumerate(zip(before, today, strict=True))
        if was != now and UNKNOWN not in (was, now)
    ]
    return changed, bool(changed) and sorted(before) == sorted(today)


def listed(indexes: Sequence[int], most: int = 5) -> str:
    """Return indexes as text: "item 3", "items 1, 2 and 4", or with "and 7 more" after the first ones."""
    shown = [str(index) for index in indexes[:most]]
    more = [f"{len(indexes) - most} more"] if len(indexes) > most else []
    return f"{plural(len(indexes), 'item')} {enumerated([*shown, *more])}"
