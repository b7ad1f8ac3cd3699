"""The redaction rules: hide secrets by the name before them, by their shape, or by their type.

Everything that leaves a process or reaches a screen passes through here: replay traces, spans, exports, command output, the
debugger, and the error texts of serializers. A replay reads the recorded values, because the code needs them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from durable_execution.redaction.compressed import expanded, is_compressed
from durable_execution.redaction.marker import HIDDEN
from durable_execution.redaction.secret_names import DEFAULT_NAMES, SecretNames
from durable_execution.redaction.secret_shapes import SHORTEST, compiled, replaced, without_shapes

MAX_DEPTH = 64
_NESTED_TEXT = 4
"""How many levels of JSON within JSON strings are read."""

_ASSIGNED = re.compile(
    r"""(?P<open>\\*["'`]|--?|\b)(?P<name>(?:2(?=[fF][aA]))?(?:[^\W\d]|\$)[\w$]{0,80}(?:[-.][\w$]{1,80}){0,8})"""
    r"""(?P<separator>\\*["'`]?\]?(?:\s{0,4}(?:=>|->|:=|==?|:)\s{0,4}|,\s?(?=[bBrRuUfF]?\\*["'`])|>(?=[^<\s]))|(?<=\w)\s{1,4}(?:is|was|=|→|(?:set )?to)\s{1,4}(?=\S*\d)|\s{1,2}(?=\\*["'`])|\s(?=(?=[^\s,;]*\d)(?=[^\s,;]*[A-Za-z])[^\s,;]{6}))"""
)
_FLAG = re.compile(r"(?P<separator>(?<!\S)--?(?P<name>[A-Za-z][\w-]{1,80})\s{1,4})(?=[^\s-])")
_SPACED = re.compile(
    r"(?P<name>\b(?:[A-Za-z]{2,20} ){1,2}[A-Za-z]{2,20})(?P<separator>\s?[:=]\s{0,4}|\s(?:(?:is|was)\s)?(?=\\*[\"'`])|\s(?:is|was|=|→|(?:set )?to)\s(?=\S*\d))"
)
_QUOTED = r"""'(?:\\.|[^'\\])*(?:'|\Z)|"(?:\\.|[^"\\])*(?:"|\Z)|\\+["'](?:(?!\\+["']).)*(?:\\+["']|\Z)"""
_BREAK = r"(?:\r?\n|(?:\\r)?\\n)"
_FORM_PART = rf'\bname="(?P<name>[^"\r\n]{{1,80}})"[^\r\n]{{0,200}}?{_BREAK}{_BREAK}(?P<value>.+?)(?={_BREAK}|\Z)'
_VALUE_MEMBER = (*(f"{word}{mark}" for word in ("alue", "ALUE") for mark in ("'", '"', "=", ":", "\\")), "'v'", '"v"')
_YAML_BLOCK = (
    r"^(?P<indent>[ \t]*)(?:- )?[\"']?(?P<name>[\w.-]{1,80})[\"']?: *[|>][+-]?\d? *\n[ \t]*"
    r"(?P<value>(?<=[ \t])[^\n]*(?:\n(?:(?P=indent)[ \t]+[^\n]*|[ \t]*(?=\n)))*)"
)
_IN_URL = (
    r"(?P<name>[A-Za-z_][\w.-]{0,80})(?:%22|%27)?(?:%3A|%3D)(?:%20|\+)?(?:%22|%27)?"
    r"(?P<value>(?:(?!%22|%27|%26|%2C|%7D)[^&\s\"'<>])+)"
)
_PYDANTIC = (
    r"(?:^|\\n)(?P<name>[\w.\[\]'-]{1,200})(?:\n|\\n)[ \t]+[^\n]{0,400}?\binput_value=(?P<value>[^\n]*?)"
    r"(?=, input_type=|\n|\Z)"
)
_BESIDE = compiled(
    (
        # {"name": "password", "value": …}, <input name="password" value="…">, and the same in YAML
        (
            _VALUE_MEMBER,
            r"""(?i:\b(?:parameter_?)?(?:name|key|id|label|header|field|parameter|variable|k)\b\\*["']?\s{0,2}[:=]\s{0,4}\\*["']?)"""
            r"""(?P<name>[\w./$:-]{1,100})\\*["']?[^{}\[\]<>]{0,120}?\b(?i:value|v)\b\\*["']?\s{0,2}[:=]\s{0,4}(?P<value>"""
            + _QUOTED
            + r"""|[^\s"',;&}\])<>]+)""",
        ),
        # <wsse:Password Type="…">…</wsse:Password>
        (("</",), r"<(?P<name>[\w:.-]{1,80})\s[^<>]{1,300}>(?P<value>[^<>]{1,4000})<"),
        # a block of YAML
        (("|", ">"), _YAML_BLOCK),
        # JSON or a form in a URL
        (("%3A", "%3D"), _IN_URL),
        # a part of a form
        (("form-data",), _FORM_PART),
        # the parameters and values of SQL's statements, and the keys in PostgreSQL's errors
        (
            ("[parameters:",),
            r"\[SQL: (?P<name>(?:(?!\[SQL: ).){1,4000}?)\]\s{0,9}\[parameters: (?P<value>.*?)\](?=\s|\Z)",
        ),
        (("VALUES", "values"), r"\((?P<name>[^()]{1,2000})\)\s*(?i:values)\s*(?P<value>\([^\n]*)"),
        ((")=(",), r"\((?P<name>[^()]{1,1000})\)=\((?P<value>[^\n]*)\)"),
        # the errors of pydantic
        (("input_value=",), _PYDANTIC),
    ),
    re.DOTALL | re.MULTILINE,
)
"""Where a name stands apart from its value."""

_NAME_BREAK = re.compile(r"[^\w.$-]+")
_MEMBER = re.compile(r"\s{0,2}[:=]")
_PREFIX = re.compile(r"(?:[bBrRuUfF]{1,2}|Secret\w*\(|Sensitive\w*\()?(?=\\*[\"'`])")
_QUOTE = re.compile(r"\\*[\"'`]")
_BARE = re.compile(r"(?:[^\s,;&)}\]<>\"'`]|(?<=\w)'(?=\w)|<(?=[^/\s]+>)|(?<=\w)>(?!\S))+")
_SCHEME = re.compile(r"(?i)(?:bearer|basic|digest|token|negotiate|apikey)\s+")
_LINE = re.compile(r"[^\r\n\"']+")
_HEADERS = frozenset({"cookie", "setcookie", "authorization", "proxyauthorization"})
_CLOSE = {"{": "}", "[": "]", "(": ")"}
_BRACKET_OR_QUOTE = re.compile(r"[{}\[\]()]|\\*[\"'`]")
_CALL = re.compile(r"[A-Za-z_][\w.]{0,80}(?=[({\[])")
NEVER = frozenset(
    {
        "none",
        "null",
        "true",
        "false",
        "undefined",
        "nan",
        "[]",
        "{}",
        "|",
        ">",
        "|-",
        ">-",
        "|+",
        ">+",
        "''",
        '""',
        HIDDEN,
    }
)
"""Values that hold no secret under any name."""
_MAYBE_SECRET = re.compile(
    r"[=:@>%→]|[A-Za-z]\s\S{0,24}\d|\d[ -]?\d[ -]?\d[ -]?\d[ -]?\d[ -]?\d|[A-Za-z0-9_-]{16}|[\"'`]|\s(?:is|was)\s|--|(?i:basic|bearer|token|digest)\s"
)
KEY_MEMBERS = (
    "name", "key", "id", "label", "k", "header", "field", "parameter", "variable", "Name", "Key", "Header", "Field", "ParameterKey",
    "parameterName", "parameter_name", "ParameterName", "variableName", "variable_name", "fieldName", "field_name", "headerName",
)  # fmt: skip
VALUE_MEMBERS = (
    "value", "Value", "ParameterValue", "parameterValue", "values", "Values", "secret", "data", "v", "stringValue", "StringValue",
)  # fmt: skip
KINDS: tuple[tuple[str, tuple[str, ...] | None, tuple[str, ...]], ...] = (
    ("kty", None, ("d", "p", "q", "dp", "dq", "qi", "oth", "k")),
    ("kind", ("Secret",), ("data", "stringData")),
    ("Type", ("SecureString",), ("Value",)),
)
"""Members that hold secrets in a JSON web key, a secret of Kubernetes and a parameter of Systems Manager: what tells it, and which."""

TELLING_MEMBERS = frozenset({*KEY_MEMBERS, *(member for member, _, _ in KINDS)})
"""Members that say of another member whether it is secret; a mapping without any of them hides none."""

_LONG_KEY = 16


@dataclass(frozen=True)
class Redaction:
    """Rules that hide values before they leave the process.

    Attributes:
        keys: Names whose values are hidden, as words in any case style: `api key` also hides `X-Api-Key` and `stripeApiKey`.
        patterns: Text that matches one of these is hidden anywhere, even inside longer text. None for the formats of well-known
            tokens, keys, cards and URL passwords.
    """

    keys: frozenset[str] = DEFAULT_NAMES
    patterns: tuple[re.Pattern[str], ...] | None = None
    _names: SecretNames = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", SecretNames(self.keys))

    def with_keys(self, keys: Iterable[str]) -> "Redaction":
        """Return these rules with further names added."""
        return Redaction(self.keys | frozenset(keys), self.patterns)

    def hides(self, key: str) -> bool:
        """Tell whether values under this name are hidden."""
        return self._names.hides(key)

    def value(self, value: Any) -> Any:
        """Return a JSON value with its secrets hidden. Values of pydantic's secret types are always hidden."""
        return self._value(value, 0, 0)

    def hidden_members(self, value: Mapping[Any, Any]) -> list[str]:
        """Return the members that another member says are secret, as in `{"name": "token", "value": …}` and JSON web keys."""
        if TELLING_MEMBERS.isdisjoint(value):
            return []
        for member, kinds, members in KINDS:
            if (kind := value.get(member)) and isinstance(kind, str) and (kinds is None or kind in kinds):
                return [member for member in members if _is_secret_value(value.get(member))]
        if not any(isinstance(name := value.get(member), str) and self.hides(name) for member in KEY_MEMBERS):
            return []
        return [member for member in VALUE_MEMBERS if _is_secret_value(value.get(member))]

    def payload(self, payload: str) -> str:
        """Return a serialized payload with its secrets hidden; unchanged if it holds none."""
        return self._payload(payload, 0, 0)

    def hidden_in(self, payload: str) -> set[str]:
        """Return the texts that the names in a serialized payload hide."""
        found: set[str] = set()
        self._collect(payload, False, found, 0)
        return found

    def _collect(self, value: Any, is_hidden: bool, found: set[str], depth: int) -> None:
        if depth > MAX_DEPTH:
            return
        if isinstance(value, str):
            if value.lstrip()[:1] in ("{", "["):
                with suppress(ValueError, RecursionError):
                    self._collect(json.loads(value), is_hidden, found, depth + 1)
            elif is_hidden:
                found.add(value)
        elif isinstance(value, dict):
            members = self.hidden_members(value)
            for key, item in value.items():
                self._collect(item, is_hidden or key in members or self.hides(key), found, depth + 1)
        elif isinstance(value, list):
            is_pair = len(value) == 2 and isinstance(value[0], str) and self.hides(value[0])
            for item in value[1:] if is_pair else value:
                self._collect(item, is_hidden or is_pair, found, depth + 1)

    def text(self, text: str) -> str:
        """Return any text, for example an error message or a `repr`, with its secrets hidden."""
        if _MAYBE_SECRET.search(text) is None:
            return text
        return self._shapeless(self._unassigned(replaced(text, _BESIDE, self._beside)))

    def _value(self, value: Any, depth: int, nested: int) -> Any:
        if isinstance(value, str):
            return self._payload(value, depth, nested) if value else value
        if depth > MAX_DEPTH:
            return HIDDEN
        if isinstance(value, Mapping):
            return self._mapping(value, depth, nested)
        if isinstance(value, (list, tuple)):
            return self._items(value, depth, nested)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**11:
            return value if self._shapeless(str(value)) == str(value) else HIDDEN
        if isinstance(value, (bytes, bytearray)):
            return self._shapeless(bytes(value).decode("utf-8", "replace"))
        return HIDDEN if hasattr(value, "get_secret_value") else value

    def _mapping(self, value: Mapping[Any, Any], depth: int, nested: int) -> Any:
        if is_compressed(value):
            return self._compressed(value, depth, nested)
        found = {
            self._key(key): HIDDEN if self._hides_item(str(key), item) else self._value(item, depth + 1, nested)
            for key, item in value.items()
        }
        found |= dict.fromkeys(self.hidden_members(value), HIDDEN)
        return found

    def _compressed(self, value: Mapping[Any, Any], depth: int, nested: int) -> Any:
        """Return a compressed value unchanged, or expanded where it holds secrets."""
        stored = expanded(value)
        if stored is None:
            return HIDDEN
        shown = self._value(stored, depth + 1, nested)
        return value if shown == stored else shown

    def _key(self, key: Any) -> Any:
        return self._shapeless(key) if isinstance(key, str) and len(key) >= _LONG_KEY else key

    def _items(self, value: "list[Any] | tuple[Any, ...]", depth: int, nested: int) -> list[Any]:
        if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], str) and self.hides(value[0]):
            return [value[0], HIDDEN]
        return [self._value(item, depth + 1, nested) for item in value]

    def _hides_item(self, key: str, item: Any) -> bool:
        return _is_secret_value(item) and self.hides(key)

    def _payload(self, payload: str, depth: int, nested: int) -> str:
        if (
            nested < _NESTED_TEXT
            and payload.lstrip()[:1] in ("{", "[", '"')
            and payload.rstrip()[-1:] in ("}", "]", '"')
        ):
            try:
                parsed = json.loads(payload)
            except (ValueError, RecursionError):
                return self.text(payload)
            shown = self._value(parsed, depth + 1, nested + 1)
            return payload if shown == parsed else json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
        return self.text(payload)

    def _shapeless(self, text: str) -> str:
        """Hide what is recognized by its shape."""
        if len(text) < SHORTEST:
            return text
        if self.patterns is None:
            return without_shapes(text, HIDDEN)
        for pattern in self.patterns:
            text = pattern.sub(HIDDEN, text)
        return text

    def _beside(self, match: "re.Match[str]") -> str:
        """Hide the value of a name that stands apart from it."""
        value: str = match["value"]
        if value.strip("\\\"'").lower() in NEVER or not any(map(self.hides, _NAME_BREAK.split(match["name"]))):
            return match[0]
        quote = _QUOTE.match(value)
        mark = quote[0] if quote is not None else ""
        before, after = match.start("value") - match.start(), match.end("value") - match.start()
        return match[0][:before] + mark + HIDDEN + mark + match[0][after:]

    def _unassigned(self, text: str) -> str:
        """Hide what follows a secret's name: `password=…`, `"token": …`, `Authorization: Bearer …`, `--api-key …`."""
        parts: list[str] = []
        done = 0
        for pattern in (_ASSIGNED, _SPACED, _FLAG):
            parts, done = [], 0
            position = 0
            while (match := pattern.search(text, position)) is not None:
                position = match.end("name") if match.end("name") > match.start() else match.end()
                if not self.hides(match["name"]):
                    continue
                start = match.end("separator")
                end = _value_end(text, start, match["name"])
                if match["name"].endswith(".py") and text[start:end].isdecimal():
                    continue  # a place in the source, such as `tokens.py:12`
                if "," in match["separator"] and _MEMBER.match(text, end):
                    continue  # the next member of a mapping, as in `{'name': 'token', 'type': …}`
                if end <= start or text[start:end].strip("\\\"'`").lower() in NEVER:
                    continue
                quoted = _QUOTE.match(text, start + len((_PREFIX.match(text, start) or [""])[0]))
                opening = text[start : quoted.end()] if quoted else ""
                closing = (
                    text[end - (quoted.end() - quoted.start()) : end]
                    if quoted and _ends_with(text, end, quoted[0])
                    else ""
                )
                parts += (text[done:start], opening, HIDDEN, closing)
                done = position = end
            text = "".join(parts) + text[done:]
        return text


def _is_secret_value(item: Any) -> bool:
    """Whether a value can be a secret. None, booleans and empty values tell nothing."""
    return item is not None and not isinstance(item, bool) and item not in ("", [], {}, ())


def _ends_with(text: str, end: int, quote: str) -> bool:
    return text[end - len(quote) : end] == quote


def _value_end(text: str, start: int, name: str) -> int:
    """Where the value ends that begins at a position."""
    prefix = _PREFIX.match(text, start)
    at = prefix.end() if prefix else start
    quote = _QUOTE.match(text, at)
    if quote is not None:
        return _quoted_end(text, quote)
    call = _CALL.match(text, at)
    if call is not None or text[at : at + 1] in _CLOSE:
        return _bracket_end(text, at)
    if "".join(re.findall(r"[a-z]", name.lower())) in _HEADERS:
        line = _LINE.match(text, at)
        return line.end() if line else at
    scheme = _SCHEME.match(text, at)
    bare = _BARE.match(text, scheme.end() if scheme else at)
    return bare.end() if bare else at


def _quoted_end(text: str, quote: "re.Match[str]") -> int:
    """The end of a quoted value. In text that is itself quoted, both quotes have the same number of backslashes."""
    mark = quote[0]
    position = quote.end()
    while (found := text.find(mark, position)) >= 0:
        slashes = 0
        while found - slashes - 1 >= quote.end() and text[found - slashes - 1] == "\\":
            slashes += 1
        if slashes % 2 == 0 if len(mark) == 1 else slashes == 0:
            return found + len(mark)
        position = found + len(mark)
    return len(text)


def _bracket_end(text: str, start: int) -> int:
    """The end of a bracketed value. Brackets in quoted text do not count."""
    depth = 0
    position = start
    while (match := _BRACKET_OR_QUOTE.search(text, position)) is not None:
        symbol, position = match[0], match.end()
        if symbol in _CLOSE:
            depth += 1
        elif symbol in _CLOSE.values():
            depth -= 1
            if depth <= 0:
                return position
        else:
            position = _quoted_end(text, match)
    return len(text)
