"""Bounds text to what any backend can store: no control characters, no lone surrogates, limited length."""

from durable_execution.counts import counted

MAX_NAME = 256
"""Characters in a span name: the maximum length of an operation name in the service's model."""

MAX_VALUE = 4_096
"""Characters in an attribute value."""

MAX_TEXT = 16_384
"""Characters in a stack trace or an error message."""

ELLIPSIS = "…"
REPLACEMENT = "�"
KEPT_CONTROLS = frozenset("\n\t")


def bounded_name(text: str) -> str:
    """Return a span name: one printable line of at most `MAX_NAME` characters."""
    if text and len(text) <= MAX_NAME and text.isprintable():
        return text
    return _printable(_cut(text, MAX_NAME), kept=frozenset()) or REPLACEMENT


def bounded(text: str, limit: int = MAX_VALUE) -> str:
    """Return an attribute value: line breaks and tabs stay, other control characters are replaced, the end is cut."""
    if len(text) <= limit and text.isprintable():
        return text
    return _printable(_cut(text, limit), kept=KEPT_CONTROLS)


def bounded_trace(text: str) -> str:
    """Return a stack trace cut in the middle: its start has the entry point, its end the error."""
    if len(text) > MAX_TEXT:
        half = (MAX_TEXT - 40) // 2
        text = f"{text[:half]}\n{ELLIPSIS} {counted(len(text) - 2 * half, 'character')} left out {ELLIPSIS}\n{text[-half:]}"
    return _printable(text, kept=KEPT_CONTROLS)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def _printable(text: str, *, kept: frozenset[str]) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in kept or _is_space(character) else REPLACEMENT
        for character in text
    )


def _is_space(character: str) -> bool:
    """Python treats non-ASCII spaces as unprintable, but every backend can show them."""
    return character.isspace() and ord(character) >= 0xA0
