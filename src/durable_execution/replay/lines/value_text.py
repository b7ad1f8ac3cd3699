"""Short text of a value, built from its structure and never by the user's own `__repr__`.

Line recording writes the same value many times and compares the texts, also between processes. So the text is bounded, the
same for equal values, and free of side effects: sets are sorted, dictionaries keep their order, and no text contains an
address or an `id()`. Rendering runs no user code: attributes are read from `__dict__` and `__slots__` only.
"""

import array
import contextvars
import datetime as dt
import decimal
import enum
import fractions
import functools
import itertools
import logging
import pathlib
import queue
import random
import re
import types
import uuid
import weakref
import zlib
from collections import ChainMap, deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from durable_execution.batch_result import BatchItem, BatchResult
from durable_execution.config.completion import BatchItemStatus
from durable_execution.counts import counted
from durable_execution.replay.lines.stored_values import OPAQUE, attributes_of, is_value_class
from durable_execution.replay.lines.value_shape import MAX_ITEMS, shape_of

MAX_DEPTH = 4
MAX_TEXT = 160
"""Longest text of one string, in characters. A longer one is cut and keeps a checksum, so that a difference still shows."""

SHORTEST_SECRET = 6
"""Shorter values are hidden under their own name only: they turn up in other texts by chance."""

MAX_KNOWN = 500
MAX_KEPT = 20_000_000
"""Most bytes of shapes and texts that are remembered."""

HIDDEN: Final = "<redacted>"

ATOMS = frozenset({int, float, complex, bool, type(None), str, bytes})
"""Types whose values never change, so that an unchanged object needs no new text."""

PLAIN = frozenset({int, float, bool, type(None)})
"""Types that `repr` shows as this module does."""

_NESTED = frozenset({list, tuple, dict})

_BUILT_IN_TEXT: dict[type, Callable[[Any], str]] = dict.fromkeys((int, float, complex, bool, type(None), dt.timedelta, dt.timezone, decimal.Decimal, fractions.Fraction, uuid.UUID, range, type(...), type(NotImplemented)), repr)  # fmt: skip


PLAIN_TYPES = ATOMS | _BUILT_IN_TEXT.keys() | {dt.date, dt.time, dt.datetime, re.Pattern, logging.Logger}
"""Types whose values hold nothing that can change; a logger's is not the application's."""


class Secrets(Protocol):
    """The rules that hide secret values; `durable_execution.trace` has an implementation."""

    def hides(self, key: str) -> bool:
        """Whether the value with this name is hidden."""
        ...

    def text(self, text: str) -> str:
        """Return the text with secrets replaced."""
        ...


class ValueText:
    """Renders values.

    A secret is known by the name before it, and code passes it on under other names. So a value that was hidden once is hidden
    in every later text.

    Args:
        secrets: Rules for values that must not be shown; None shows all.
        known: Secrets that are known from the start.
        longest: Longest text. A longer one is cut and keeps a checksum, so that a difference still shows.
    """

    def __init__(
        self, secrets: Secrets | None = None, known: Iterable[str] = (), *, longest: int | None = None
    ) -> None:
        self._longest = longest
        self._secrets = secrets
        self._hidden: dict[str, bool] = {}
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._texts: dict[bytes, str] = {}
        self._kept = 0
        for each in known:
            self._learn(each)

    def of(self, name: str, value: Any) -> str:
        """Return the text of the variable `name`."""
        if self._hides(name) and value is not None:
            self._learn(value)
            return HIDDEN
        return self.value(value)

    def value(self, value: Any) -> str:
        """Return the text of a value without a name."""
        try:
            text = self._text(value, 0, set())
        except (RecursionError, RuntimeError):  # a container that a different thread changes
            return f"<{type(value).__name__}>"
        if self._longest is None or len(text) <= self._longest:
            return text
        return f"{text[: self._longest]}…#{_sum(text.encode(errors='replace'))}"

    def shape(self, value: Any) -> bytes | None:
        """Return bytes that are equal for two values only if their texts are, in a quarter of the time of a text.

        Most values are the same at the next line. Returns None where secrets are hidden, as a text depends on what was learned,
        and for values that are too large.
        """
        return shape_of(value, self.value, _has_own_text) if self._secrets is None else None

    def of_shape(self, name: str, value: Any, shape: bytes | None) -> str:
        """Return the text of a variable whose shape is known: values of one shape have one text."""
        if shape is None:
            return self.of(name, value)
        return self._remembered(shape, lambda: self.value(value))

    def _remembered(self, shape: bytes, render: Callable[[], str]) -> str:
        text = self._texts.get(shape)
        if text is None:
            text = render()
            self._kept += len(shape) + len(text)
            if self._kept > MAX_KEPT:
                self._texts.clear()
                self._kept = 0
            self._texts[shape] = text
        return text

    def _hides(self, name: str) -> bool:
        if self._secrets is None:
            return False
        found = self._hidden.get(name)
        if found is None:
            found = self._hidden[name] = self._secrets.hides(name)
        return found

    def _text(self, value: Any, depth: int, seen: set[int]) -> str:
        kind = type(value)
        known = _BUILT_IN_TEXT.get(kind)
        if known is not None:
            return known(value)
        if kind is str:
            return self._string(value)
        if kind in (bytes, bytearray):
            return (
                cut(repr(bytes(value[:MAX_TEXT]))) if len(value) <= MAX_TEXT else f"<{len(value)} bytes #{_sum(value)}>"
            )
        if depth >= MAX_DEPTH or id(value) in seen:
            return f"<{kind.__name__}>"
        seen.add(id(value))
        try:
            return self._structure(value, kind, depth, seen)
        finally:
            seen.discard(id(value))

    def _structure(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        for base, render in _CONTAINERS:
            if issubclass(kind, base):
                return render(self, value, kind, depth, seen)
        if issubclass(kind, (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
            return _definition(value)
        if issubclass(kind, (dt.date, dt.time)):
            return _moment(value)
        if issubclass(kind, (re.Pattern, pathlib.PurePath)):
            return f"{kind.__name__}({str(value.pattern if issubclass(kind, re.Pattern) else value)!r})"
        if issubclass(kind, BaseException):
            file = OSError.filename.__get__(value) if issubclass(kind, OSError) else None
            given = value.args if file is None else (*value.args, file)  # as it is given, and as its message shows it
            return f"{kind.__name__}({self._items(given, depth, seen)})"
        if hasattr(kind, "get_secret_value"):
            return HIDDEN
        return self._instance(value, kind, depth, seen)

    def _string(self, value: str) -> str:
        shown = self._without_known(self._secrets.text(value[: MAX_TEXT * 2])) if self._secrets is not None else value
        return (
            cut(repr(shown))
            if len(value) <= MAX_TEXT
            else f"{shown[:MAX_TEXT]!r}…#{_sum(value.encode(errors='replace'))}"
        )

    def _learn(self, value: Any) -> None:
        kind = type(value)
        if kind is str:
            if (
                SHORTEST_SECRET <= len(value) <= MAX_TEXT * 2
                and len(self._known) < MAX_KNOWN
                and value not in self._known
            ):
                self._known.add(value)
                self._pattern = None
        elif kind is dict or kind in (list, tuple):
            for each in itertools.islice(value.values() if kind is dict else value, MAX_ITEMS):
                if type(each) is str:
                    self._learn(each)

    def _without_known(self, text: str) -> str:
        if not self._known:
            return text
        if self._pattern is None:
            self._pattern = re.compile("|".join(map(re.escape, sorted(self._known, key=len, reverse=True))))
        return self._pattern.sub(HIDDEN, text)

    def _items(self, values: Iterable[Any], depth: int, seen: set[int]) -> str:
        return ", ".join(self._text(value, depth + 1, seen) for value in values)

    def _sequence(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        first = value if len(value) <= MAX_ITEMS else list(itertools.islice(value, MAX_ITEMS))
        shown = self._first(len(value), first, depth, lambda: self._shown(first, depth, seen))
        more = f", … {counted(len(value), 'item')}" if len(value) > MAX_ITEMS else ""
        left, right = ("(", ")") if issubclass(kind, tuple) else ("[", "]")
        body = f"{left}{shown}{more}{right}"
        return body if kind in (list, tuple) else f"{kind.__name__}({body})"

    def _first(self, count: int, items: Iterable[Any], depth: int, render: Callable[[], str]) -> str:
        """Return the text of the first items of a container; while a long one grows, they are the same."""
        shape = self.shape(items) if count > MAX_ITEMS else None
        if shape is None:
            return render()
        return self._remembered(depth.to_bytes() + shape, render)

    def _shown(self, items: Iterable[Any], depth: int, seen: set[int]) -> str:
        return repr(list(items))[1:-1] if self._is_plain(items, depth + 1) else self._items(items, depth, seen)

    def _pairs(self, items: Iterable[tuple[Any, Any]], depth: int, seen: set[int]) -> str:
        return ", ".join(
            f"{self._text(key, depth + 1, seen)}: {self._named(key, one, depth, seen)}" for key, one in items
        )

    def _is_plain(self, items: Iterable[Any], depth: int) -> bool:
        """Whether the texts of all items, at a depth, are what `repr` gives: long lists are rendered at every event."""
        kinds = set(map(type, items)) - PLAIN
        if str in kinds:
            if self._secrets is not None or any(type(one) is str and len(one) > MAX_TEXT for one in items):
                return False
            kinds.discard(str)
        if not kinds:
            return True
        if depth >= MAX_DEPTH or not kinds <= _NESTED or (dict in kinds and self._secrets is not None):
            return False
        for one in items:
            kind = type(one)
            if kind not in kinds:
                continue
            if len(one) > MAX_ITEMS or (kind is tuple and len(one) == 1):
                return False
            if not self._is_plain(one, depth + 1) or (kind is dict and not self._is_plain(one.values(), depth + 1)):
                return False
        return True

    def _set(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        texts = sorted(self._text(one, depth + 1, seen) for one in list(itertools.islice(value, MAX_ITEMS * 10)))
        more = f", … {counted(len(value), 'item')}" if len(texts) > MAX_ITEMS else ""
        body = f"{{{', '.join(texts[:MAX_ITEMS])}{more}}}" if texts else "{}"
        return body if kind is set and texts else f"{kind.__name__}({body})"

    def _dict(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        if kind is dict and len(value) <= MAX_ITEMS and self._is_plain((value,), depth):
            return repr(value)
        items = list(itertools.islice(dict.items(value), MAX_ITEMS))
        more = f", … {counted(len(value), 'item')}" if len(value) > MAX_ITEMS else ""
        shown = self._first(len(value), items, depth, lambda: self._pairs(items, depth, seen))
        body = f"{{{shown}{more}}}"
        return body if kind is dict else f"{kind.__name__}({body})"

    def _named(self, name: Any, value: Any, depth: int, seen: set[int]) -> str:
        if type(name) is str and value is not None and self._hides(name):
            self._learn(value)
            return HIDDEN
        return self._text(value, depth + 1, seen)

    def _partial(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        return f"{kind.__name__}({self._items((value.func, *value.args, value.keywords), depth, seen)})"

    def _random(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        if issubclass(kind, random.SystemRandom):
            return f"<{kind.__name__}>"
        numbers: tuple[int, ...] = random.Random.getstate(value)[1]
        return f"<{kind.__name__} #{hash(numbers) & 0xFFFFFFFF:08x}>"  # the same in every process, for numbers

    def _weak(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        return f"{kind.__name__}({len(list(value))} alive)"

    def _variable(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        try:
            return f"{kind.__name__}({value.name}={self._named(value.name, value.get(), depth, seen)})"
        except LookupError:
            return f"{kind.__name__}({value.name})"

    def _queue(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        return f"{kind.__name__}({self._text(value.queue, depth + 1, seen)})"

    def _chain(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        return f"{kind.__name__}({self._items(value.maps, depth, seen)})"

    def _view(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        more = f", … {counted(len(value), 'item')}" if len(value) > MAX_ITEMS else ""
        return f"{kind.__name__}([{self._items(itertools.islice(value, MAX_ITEMS), depth, seen)}{more}])"

    def _batch(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        more = f", … {counted(len(value.all), 'item')}" if len(value.all) > MAX_ITEMS else ""
        shown = ", ".join(self._outcome(item, depth, seen) for item in value.all[:MAX_ITEMS])
        return f"{kind.__name__}([{shown}{more}])"

    def _outcome(self, item: BatchItem[Any], depth: int, seen: set[int]) -> str:
        if item.status is BatchItemStatus.FAILED:
            return f"failed({self._string(str(item.error))})"
        return self._text(item.result, depth + 1, seen) if item.status is BatchItemStatus.SUCCEEDED else "unfinished"

    def _proxy(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        return f"{kind.__name__}({self._text(dict(value), depth + 1, seen)})"

    def _enum(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        return f"{kind.__name__}.{value._name_}" if value._name_ else f"{kind.__name__}({value._value_!r})"

    def _instance(self, value: Any, kind: type, depth: int, seen: set[int]) -> str:
        standard = _STANDARD.get(kind)
        if standard is not None:
            return standard(self, value, kind, depth, seen)
        package = kind.__module__.partition(".")[0]
        if (package == "durable_execution" and not is_value_class(kind)) or (package in OPAQUE and package != "types"):
            return f"<{kind.__name__}>"
        found = attributes_of(value)
        if not found:
            return f"<{kind.__name__}>"
        items = list(found.items())[:MAX_ITEMS]
        return f"{kind.__name__}({', '.join(f'{name}={self._named(name, one, depth, seen)}' for name, one in items)})"


Render = Callable[[ValueText, Any, type, int, set[int]], str]
_CONTAINERS: tuple[tuple[type | tuple[type, ...], Render], ...] = (
    (enum.Enum, ValueText._enum),  # noqa: SLF001  # of this module
    (dict, ValueText._dict),  # noqa: SLF001
    ((list, tuple, deque, array.array), ValueText._sequence),  # noqa: SLF001
    ((set, frozenset), ValueText._set),  # noqa: SLF001
    (functools.partial, ValueText._partial),  # noqa: SLF001
    (random.Random, ValueText._random),  # noqa: SLF001
)
_STANDARD: dict[type, Render] = {
    **dict.fromkeys((weakref.WeakSet, weakref.WeakKeyDictionary, weakref.WeakValueDictionary), ValueText._weak),  # noqa: SLF001
    **dict.fromkeys((queue.Queue, queue.LifoQueue, queue.PriorityQueue), ValueText._queue),  # noqa: SLF001
    **dict.fromkeys(map(type, ({}.keys(), {}.values(), {}.items())), ValueText._view),  # noqa: SLF001
    BatchResult: ValueText._batch,  # noqa: SLF001
    types.MappingProxyType: ValueText._proxy,  # noqa: SLF001
    contextvars.ContextVar: ValueText._variable,  # noqa: SLF001
    ChainMap: ValueText._chain,  # noqa: SLF001
}
"""What the standard library and this SDK keep values in, besides the types above."""


@functools.lru_cache(maxsize=4_096)
def _has_own_text(kind: type) -> bool:
    """Whether instances of a class are rendered by a rule of this module, and not by their attributes."""
    return kind in _BUILT_IN_TEXT or kind in _STANDARD or any(issubclass(kind, base) for base, _ in _CONTAINERS)


def cut(text: str) -> str:
    """Return the text, cut to a bounded length with a checksum of the whole."""
    return text if len(text) <= MAX_TEXT + 40 else f"{text[:MAX_TEXT]}…#{_sum(text.encode(errors='replace'))}"


def _moment(value: dt.date | dt.time) -> str:
    """A date or time in ISO 8601, with the standard class's name: a subclass that shifts the clock renders the same."""
    for base in (dt.datetime, dt.date, dt.time):
        if base in type(value).__mro__:
            return f"{base.__name__}({base.isoformat(value)})"  # type: ignore[arg-type]
    return f"<{type(value).__name__}>"


def _definition(value: Any) -> str:
    kind = "class" if isinstance(value, type) else "module" if isinstance(value, types.ModuleType) else "function"
    return f"<{kind} {getattr(value, '__qualname__', None) or getattr(value, '__name__', '?')}>"


def _sum(data: bytes | bytearray) -> str:
    return f"{zlib.crc32(data):08x}"
