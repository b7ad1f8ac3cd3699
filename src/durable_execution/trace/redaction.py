"""Hides secrets before they are written: by the name of their key, by their form, or by their type.

Records the local variables at a call: names, and short, redacted values.
"""

import json
import re
import reprlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from durable_execution.call_site import CallSite
from durable_execution.trace.schema import HIDDEN

DEFAULT_KEYS = frozenset(
    {
        "password", "passwd", "passphrase", "secret", "token", "api_key", "apikey", "authorization", "cookie",
        "credential", "credentials", "private_key", "access_key", "card_number", "cvv", "cvc", "iban", "ssn",
    }
)  # fmt: skip
DEFAULT_PATTERNS = (
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),  # AWS access key ids
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),  # JSON web tokens
    re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\b\d(?:[ -]?\d){12,18}\b"),  # payment card numbers
)


@dataclass(frozen=True)
class Redaction:
    """Rules that hide values before they leave the process.

    Attributes:
        keys: Names whose values are hidden. A name matches if it equals one of these, or ends in one after an
            underscore or hyphen (`db_password`), ignoring case.
        patterns: Text that matches is hidden anywhere, even inside longer text.
    """

    keys: frozenset[str] = DEFAULT_KEYS
    patterns: tuple[re.Pattern[str], ...] = DEFAULT_PATTERNS
    _in_text: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        words = "|".join(sorted(map(re.escape, self.keys), key=len, reverse=True)) or r"(?!)"
        words = words.replace("_", "[_-]?")
        value = r"""'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|[^\s,;)}\]]+"""
        object.__setattr__(self, "_in_text", re.compile(rf"(?i)((?:{words})['\"]?\s*[=:]\s*)({value})"))

    def with_keys(self, keys: Iterable[str]) -> "Redaction":
        """Return these rules with further names added."""
        return Redaction(self.keys | {key.lower() for key in keys}, self.patterns)

    def hides(self, key: str) -> bool:
        """Tell whether values under this name are hidden."""
        name = _snake(key)
        return any(name == word or name.endswith(f"_{word}") for word in self.keys)

    def value(self, value: Any) -> Any:
        """Return a JSON value with its secrets hidden. Values of pydantic's secret types are always hidden."""
        if isinstance(value, str):
            return self._pattern_free(value)
        if isinstance(value, Mapping):
            return {
                key: HIDDEN if self.hides(str(key)) and item is not None else self.value(item)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**11:
            hidden = self._pattern_free(str(value))
            return value if hidden == str(value) else hidden
        return HIDDEN if hasattr(value, "get_secret_value") else value

    def payload(self, payload: str) -> str:
        """Return a serialized payload with its secrets hidden."""
        try:
            return json.dumps(self.value(json.loads(payload)), ensure_ascii=False, separators=(",", ":"))
        except (ValueError, RecursionError):
            return self.text(payload)

    def text(self, text: str) -> str:
        """Return any text, for example a `repr`, with its secrets hidden."""
        return self._pattern_free(self._in_text.sub(rf"\g<1>{HIDDEN}", text))

    def _pattern_free(self, text: str) -> str:
        for pattern in self.patterns:
            text = pattern.sub(HIDDEN, text)
        return text


def secret_fields(annotation: Any) -> frozenset[str]:
    """Return the names of a pydantic model's secret fields, at any depth; none for other annotations."""
    found: set[str] = set()
    seen: set[int] = set()
    pending = [annotation]
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        pending.extend(getattr(current, "__args__", ()))
        fields = getattr(current, "model_fields", None)
        if not isinstance(fields, dict):
            continue
        for name, info in fields.items():
            inner = getattr(info, "annotation", None)
            pending.append(inner)
            if _is_secret(inner):
                found |= {name, *(alias for alias in (getattr(info, "alias", None),) if isinstance(alias, str))}
    return frozenset(found)


def _is_secret(annotation: Any) -> bool:
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return any(hasattr(candidate, "get_secret_value") for candidate in candidates)


def _snake(key: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)
    return spaced.replace("-", "_").replace(" ", "_").lower()


MAX_VARIABLES = 32
MAX_FRAMES = 100
MAX_VALUE = 120


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = MAX_VALUE
        self.maxlevel = 3


SHORT = _Short()


def locals_at(site: CallSite | None, redaction: Redaction) -> dict[str, str]:
    """Return the local variables of the function that made a call, if it is still on the stack."""
    frame = _frame_of(site)
    if frame is None:
        return {}
    found: dict[str, str] = {}
    for name, value in list(frame.f_locals.items())[:MAX_VARIABLES]:
        if not name.startswith("__"):
            found[name] = HIDDEN if redaction.hides(name) else redaction.text(short(value))
    return found


def short(value: Any) -> str:
    """Render a value in a few hundred characters at most. Its `__repr__` may fail."""
    try:
        return SHORT.repr(value)[: MAX_VALUE * 2]
    except Exception as error:  # noqa: BLE001  # a foreign __repr__ can raise anything
        return f"<{type(value).__name__}: its repr raised {type(error).__name__}>"


def _frame_of(site: CallSite | None) -> FrameType | None:
    if site is None:
        return None
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the only way to look at a caller
    for _ in range(MAX_FRAMES):
        if frame is None:
            return None
        code = frame.f_code
        if code.co_filename == site.file and code.co_qualname == site.function:
            return frame
        frame = frame.f_back
    return None
