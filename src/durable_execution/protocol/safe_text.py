"""Text and JSON that may hold anything a recording holds, written so that no terminal or parser stumbles over it.

Names and payloads are untrusted. A control character moves the cursor or retitles the window, a bidirectional override
reorders a line, and half of a surrogate pair cannot be encoded at all. Reports, findings and exports are written through
this module.
"""

import json
import re
from typing import Any

CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb"
UNSAFE = re.compile(f"[{CONTROLS}]")
UNSAFE_OR_WIDE = re.compile(f"[{CONTROLS}]|[^\x00-\x7f]")


def printable(text: str) -> str:
    """Return text with every control character escaped, except tabs and line ends."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def json_text(value: Any, *, indent: int | None = 2, is_ascii: bool = False) -> str:
    """Return a value as JSON in which control characters and lone surrogates are escaped.

    Args:
        value: The value; moments are written in ISO format, anything else that JSON lacks as text.
        indent: How many blanks to indent by; None writes one line.
        is_ascii: Whether to escape everything that is not ASCII.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=_encoded)
    return escaped_json(text, is_ascii=is_ascii)


def escaped_json(text: str, *, is_ascii: bool = False) -> str:
    """Return JSON text with control characters, and everything that is not ASCII if asked for, escaped."""
    return (UNSAFE_OR_WIDE if is_ascii else UNSAFE).sub(lambda found: json.dumps(found[0])[1:-1], text)


def _encoded(value: Any) -> str:
    return str(value.isoformat() if hasattr(value, "isoformat") else value)
