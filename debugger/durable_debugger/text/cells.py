"""The width of text in terminal cells, and how to cut, pad and wrap text by cells.

Payloads and names are untrusted: they may contain escape sequences, right-to-left text, or characters whose width differs
between terminals. `safe` makes every character visible and of a known width, so columns stay aligned and no text can
control the terminal.
"""

import unicodedata
from functools import lru_cache

ELLIPSIS = "…"
PUNCTUATION = "=(,./"
"""A word that is too wide for a line goes on after one of these."""
DROPPED = frozenset("\u200d\u200c\ufe0e\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
"""Joiners and modifiers. They only change how a neighbour looks, and terminals disagree about the resulting width."""

DISPUTED = (
    (0x1160, 0x11FF),
    (0x2028, 0x2029),
    (0x2630, 0x2637),
    (0x268A, 0x268F),
    (0x302E, 0x302F),
    (0x3164, 0x3164),
    (0x4DC0, 0x4DFF),
    (0xD7B0, 0xD7FF),
    (0x16FF0, 0x16FF1),
    (0x1D300, 0x1D376),
    (0x1F1E6, 0x1F1FF),
)
"""Code points whose width differs between Unicode versions, hence between terminals."""

ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
ZERO_WIDTH_CATEGORIES = frozenset({"Mn", "Me", "Mc"})


def width(text: str) -> int:
    """Return the width of safe text in cells."""
    return len(text) if text.isascii() else sum(map(char_width, text))


@lru_cache(maxsize=8192)
def char_width(char: str) -> int:
    """Return the width of one character: 0, 1 or 2 cells."""
    if unicodedata.category(char) in ZERO_WIDTH_CATEGORIES:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def safe(text: str) -> str:
    """Return the text on one line, with every invisible, unassigned or disputed-width character escaped.

    Args:
        text: Any text.

    Returns:
        Text that has the width computed by `width` in any terminal.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def cut(text: str, cells: int) -> str:
    """Cut safe text to at most that many cells; an ellipsis marks the cut."""
    if cells <= 0:
        return ""
    if width(text) <= cells:
        return text
    return take(text, cells - 1) + ELLIPSIS


def take(text: str, cells: int) -> str:
    """Return the longest prefix of safe text that fits."""
    if text.isascii():
        return text[: max(cells, 0)]
    used = 0
    for index, char in enumerate(text):
        used += char_width(char)
        if used > cells:
            return text[:index]
    return text


def pad(text: str, cells: int) -> str:
    """Cut safe text or fill it with blanks to exactly that many cells."""
    fitted = cut(text, cells)
    return fitted + " " * (cells - width(fitted))


def pad_left(text: str, cells: int) -> str:
    """Like `pad`, but aligned right."""
    fitted = cut(text, cells)
    return " " * (cells - width(fitted)) + fitted


def wrap(text: str, cells: int) -> list[str]:
    """Wrap safe text into lines of at most that many cells: at blanks where possible, else after punctuation."""
    cells = max(cells, 1)
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        if line and width(line) + 1 + width(word) > cells:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
        while width(line) > cells:
            head = _head(line, cells)
            lines.append(head)
            line = line[len(head) :]
    lines.append(line)
    return lines


def _head(word: str, cells: int) -> str:
    """The beginning of a word that is wider than a line, up to punctuation in its second half if it has some there."""
    head = take(word, cells) or word[:1]
    at = max(map(head.rfind, PUNCTUATION)) + 1
    return head[:at] if at > len(head) // 2 else head


def wrap_most(text: str, cells: int, most: int) -> list[str]:
    """Wrap safe text into that many lines at most; an ellipsis marks what does not fit."""
    lines = wrap(text, cells)
    return lines if len(lines) <= most else [*lines[: most - 1], cut(" ".join(lines[most - 1 :]), cells)]


@lru_cache(maxsize=8192)
def _visible(char: str) -> str:
    if char in DROPPED:
        return ""
    if char in ESCAPES:
        return ESCAPES[char]
    code = ord(char)
    category = unicodedata.category(char)
    if category == "Zs":
        return " "
    if category in HIDDEN_CATEGORIES or any(low <= code <= high for low, high in DISPUTED):
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return char
