"""Reads the texts of objects, `Order(id='17', total=240)`, back into attributes: which of them differ, and which have changed.

A slice compares texts of two replays. Where a whole object differs, the attribute that differs tells which statement made it.
"""

import re
from collections.abc import Iterator, Mapping

_HEAD = re.compile(r"[A-Za-z_]\w*\(")
_NAME = re.compile(r"([A-Za-z_]\w*)=")
_KEY = re.compile(r"('[^'\\\\]*'|\"[^\"\\\\]*\"|-?\d+): ")
_OPENING, _CLOSING, _QUOTES = "([{<", ")]}>", "'\""
_MEMBER = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
"""The text of a member of an enum."""


def attributes_in(text: str | None) -> Mapping[str, str]:
    """The attributes of an object by name, as texts and in their order; none if the text is not that of an object, or was cut."""
    if text is None or not _HEAD.match(text) or not text.endswith(")") or "…" in text:
        return {}
    found: dict[str, str] = {}
    for part in _parts(text[text.index("(") + 1 : -1]):
        name = _NAME.match(part)
        if name is None:
            return {}
        found[name[1]] = part[name.end() :]
    return found


def entries_in(text: str | None) -> Mapping[str, str]:
    """The values of a dictionary by key, as texts; none if the text is not that of a dictionary, or was cut."""
    if text is None or not (text.startswith("{") and text.endswith("}")) or "…" in text:
        return {}
    found = [_KEY.match(part) for part in _parts(text[1:-1])]
    return {one[1]: one.string[one.end() :] for one in found if one is not None} if all(found) else {}


def changes(before: str | None, after: str | None) -> list[tuple[str, str]]:
    """The attributes that are new or have a different value in the text of an object, in their order."""
    known = attributes_in(before)
    return [(name, text) for name, text in attributes_in(after).items() if known.get(name) != text]


def differing(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    """Yield the class and the name of each attribute whose own value differs between two texts of an object, also of inner ones."""
    left, right = attributes_in(ours), attributes_in(theirs)
    for name in left.keys() & right.keys() if ours.partition("(")[0] == theirs.partition("(")[0] else ():
        if left[name] != right[name]:
            inner = list(differing(left[name], right[name]))
            yield from inner or [(ours.partition("(")[0], name)]


def enum_of(text: str | None) -> str | None:
    """The name of the enum that a text is a member of; None if it is not one."""
    return text.partition(".")[0] if text is not None and _MEMBER.fullmatch(text) else None


def _parts(text: str) -> list[str]:
    """The texts between commas, not counting those in brackets and strings."""
    found: list[str] = []
    start = depth = at = 0
    while at < len(text):
        one = text[at]
        if one in _QUOTES:
            at = _end_of_string(text, at)
        elif one in _OPENING:
            depth += 1
        elif one in _CLOSING:
            depth -= 1
        elif one == "," and depth == 0:
            found.append(text[start:at].strip())
            start = at + 1
        at += 1
    last = text[start:].strip()
    return [*found, last] if last else found


def _end_of_string(text: str, start: int) -> int:
    at = start + 1
    while at < len(text) and text[at] != text[start]:
        at += 2 if text[at] == "\\" else 1
    return at
