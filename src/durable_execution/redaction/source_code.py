"""Hides secrets in Python source: in literals and comments only, so that the code and its line numbers stay as they are.

Prose is searched for a name and what follows it. In code, that would hide calls such as `token = await ctx.step(…)`, and
miss literals on the next line. Here the syntax tree says which literals are the value of a name.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from durable_execution.redaction.marker import HIDDEN
from durable_execution.redaction.redactor import NEVER

if TYPE_CHECKING:
    from durable_execution.redaction.redactor import Redaction

STRINGS = tuple(getattr(ast, name) for name in ("JoinedStr", "TemplateStr") if hasattr(ast, name))
"""Literals that hold expressions. They are shown or hidden as a whole."""

VALUES: dict[type[ast.AST], tuple[str, ...]] = {
    **dict.fromkeys((ast.Tuple, ast.List, ast.Set), ("elts",)),
    **dict.fromkeys((ast.Dict, ast.BoolOp), ("values",)),
    **dict.fromkeys((ast.Starred, ast.NamedExpr, ast.Await), ("value",)),
    ast.BinOp: ("left", "right"),
    ast.IfExp: ("body", "orelse"),
    ast.Lambda: ("body",),
    ast.UnaryOp: ("operand",),
}
"""The members of an expression that its value can hold."""

CONVERSIONS = frozenset(
    {
        "b64decode", "b64encode", "bytearray", "bytes", "cast", "decode", "dict", "encode", "format", "fromhex", "frozenset",
        "join", "list", "lstrip", "replace", "rstrip", "set", "str", "strip", "tuple", "unhexlify",
    }
)  # fmt: skip
"""Functions whose result holds the literals they are given. The literals given to other functions often name a secret, as in
`load("prod/db")`."""

DEFAULTS = frozenset({"default", "const", "fallback", "value"})
"""Arguments that hold the value of the name before them: `config("API_KEY", default="…")`."""

SHORTEST_NUMBER = 3
SHORTEST_PART = 4
"""Letters and digits in the constant parts of an f-string under a secret's name: fewer do not hold the secret."""

_OPENING = re.compile(r"""[A-Za-z]{0,3}(?P<quote>\"{3}|'{3}|"|')""")
_COMMENT = re.compile(r"#([^\n]*)")
_COMPARES = re.compile(r"(?i)compare|equal|check|verify")
_SCHEME = re.compile(r"(?i)\b(?:bearer|basic|digest|token|negotiate|apikey)\b")
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)


class _Part(NamedTuple):
    """Where a literal starts, where its content starts and ends, and where it ends."""

    start: int
    opened: int
    closed: int
    end: int


@lru_cache(maxsize=32)
def without_secrets(text: str, rules: "Redaction") -> str:
    """Return source with the secrets in its literals and comments hidden. It has as many lines as before.

    It is cached, because a program parses every file of a trace again in each view and each report.

    Args:
        text: Python source. Any other text is redacted line by line.
        rules: What is a secret.
    """
    try:
        tree = ast.parse(text) if "\r" not in text else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None:
        return _line_by_line(text, rules)
    literals = _Literals(rules)
    literals.find(tree)
    return _Redrawn(text, rules, literals).text()


def _line_by_line(text: str, rules: "Redaction") -> str:
    text = _KEY_BLOCK.sub(lambda match: HIDDEN + "\n" * match[0].count("\n"), text)
    return "\n".join(map(rules.text, text.split("\n")))


class _Literals:
    """The literals of a module, and which of them are the values of a secret's name.

    Attributes:
        found: The strings, in no order.
        hidden: Ids of the nodes of hidden literals.
        numbers: Hidden numbers.
    """

    def __init__(self, rules: "Redaction") -> None:
        self._rules = rules
        self.found: list[ast.expr] = []
        self.hidden: set[int] = set()
        self.numbers: list[ast.expr] = []

    def find(self, tree: ast.AST) -> None:
        """Look at every node once."""
        pending: list[ast.AST] = [tree]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.Constant):
                self._constant(node)
                continue
            if isinstance(node, STRINGS):
                self.found.append(node)  # pyright: ignore[reportArgumentType]  # each of them is an expression
                continue
            self._look_at(node)
            pending.extend(ast.iter_child_nodes(node))

    def _constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, (str, bytes)):
            self.found.append(node)
        elif isinstance(node.value, int) and self._rules.value(node.value) == HIDDEN:
            self.numbers.append(node)

    def _look_at(self, node: ast.AST) -> None:
        match node:
            case ast.Assign():
                for target in node.targets:
                    self._assigned(target, node.value)
            case ast.AnnAssign() | ast.AugAssign() | ast.NamedExpr():
                if node.value is not None:
                    self._assigned(node.target, node.value)
            case ast.arguments():
                self._parameters(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._returned(node)
            case ast.MatchMapping():
                self._matched(node)
            case _:
                self._look_at_expression(node)

    def _look_at_expression(self, node: ast.AST) -> None:
        match node:
            case ast.keyword(arg=str(name)):
                self._named(name, node.value)
            case ast.Dict():
                self._members(node)
            case ast.Tuple(elts=[name, value]) | ast.List(elts=[name, value]):
                self._pair(name, value)
            case ast.Call():
                self._call(node)
            case ast.Compare():
                self._compared(node)
            case ast.BinOp(op=ast.Add()):
                self._joined(node)
            case _:
                pass

    def _assigned(self, target: ast.expr, value: ast.expr) -> None:
        if not isinstance(target, (ast.Tuple, ast.List)):
            if self._is_secret(target):
                self._hide(value)
        elif isinstance(value, (ast.Tuple, ast.List)) and len(target.elts) == len(value.elts):
            for part, item in zip(target.elts, value.elts, strict=True):
                self._assigned(part, item)
        elif any(map(self._is_secret, target.elts)):
            self._hide(value)

    def _named(self, name: str, value: ast.expr) -> None:
        if self._rules.hides(name):
            self._hide(value)

    def _parameters(self, node: ast.arguments) -> None:
        positional = [*node.posonlyargs, *node.args]
        given = [*zip(positional[len(positional) - len(node.defaults) :], node.defaults, strict=True)]
        for argument, default in [*given, *zip(node.kwonlyargs, node.kw_defaults, strict=True)]:
            if default is not None:
                self._named(argument.arg, default)

    def _members(self, node: ast.Dict) -> None:
        constants: dict[str, ast.expr] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                continue
            if self._is_secret(key):
                self._hide(value)
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                constants[key.value] = value
        self._pairs_of_members(constants)

    def _pairs_of_members(self, members: dict[str, ast.expr]) -> None:
        """Hide the value in `{"name": "token", "value": "…"}`, and in a call with such arguments."""
        texts = {name: node.value if isinstance(node, ast.Constant) else HIDDEN for name, node in members.items()}
        for name in self._rules.hidden_members(texts):
            self._hide(members[name])

    def _matched(self, node: ast.MatchMapping) -> None:
        for key, pattern in zip(node.keys, node.patterns, strict=True):
            if isinstance(pattern, ast.MatchValue):
                self._pair(key, pattern.value)

    def _pair(self, name: ast.expr, value: ast.expr) -> None:
        if self._is_secret(name):
            self._hide(value)

    def _call(self, node: ast.Call) -> None:
        function = _last_name(node.func)
        for left, right in zip(node.args, node.args[1:], strict=False):
            if isinstance(left, ast.Constant):
                self._pair(left, right)
            if _COMPARES.search(function):
                self._pair(left, right)
                self._pair(right, left)
        named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
        if any(self._is_secret(each) for each in node.args if isinstance(each, ast.Constant)):
            for name in DEFAULTS & named.keys():
                self._hide(named[name])
        self._pairs_of_members(named)
        if (function[:1].isupper() or function.startswith(("set_", "with_"))) and self._rules.hides(function):
            self._hide_all([*node.args, *named.values()])

    def _compared(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            self._pair(left, right)
            if not isinstance(operator, (ast.In, ast.NotIn)):
                self._pair(right, left)

    def _returned(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Hide what `def api_key(): return "…"` returns."""
        for node in ast.walk(function) if self._rules.hides(function.name) else ():
            if isinstance(node, (ast.Return, ast.Yield)) and node.value is not None:
                self._hide(node.value)

    def _joined(self, node: ast.BinOp) -> None:
        """Hide a secret that is written in parts, so that no part has its shape."""
        parts: list[str] = []
        at: ast.expr = node
        while isinstance(at, ast.BinOp) and isinstance(at.op, ast.Add):
            if not (isinstance(at.right, ast.Constant) and isinstance(at.right.value, str)):
                return
            parts.append(at.right.value)
            at = at.left
        if isinstance(at, ast.Constant) and isinstance(at.value, str):
            text = "".join([at.value, *reversed(parts)])
            if self._rules.text(text) != text:
                self._hide(node)

    def _is_secret(self, node: ast.expr) -> bool:
        """Whether a value under this expression is a secret: a name, an attribute, `x["password"]` or `x.get("password")`."""
        match node:
            case ast.Subscript():
                return self._is_secret(node.slice) or self._is_secret(node.value)
            case ast.Constant(value=str(name)):
                return self._rules.hides(name)
            case ast.Call(func=ast.Attribute(attr="get" | "getenv"), args=[ast.Constant(value=str(name)), *_]):
                return self._rules.hides(name)
            case ast.Starred():
                return self._is_secret(node.value)
            case _:
                name = _last_name(node)
                return bool(name) and self._rules.hides(name)

    def _hide_all(self, values: Iterable[ast.expr]) -> None:
        for value in values:
            self._hide(value)

    def _hide(self, value: ast.expr) -> None:
        """Hide the literals that an expression consists of."""
        pending: list[ast.expr] = [value]
        while pending:
            node = pending.pop()
            if isinstance(node, STRINGS):
                if _holds_a_secret(node):
                    self.hidden.add(id(node))
            elif not isinstance(node, ast.Constant):
                pending.extend(_values_in(node))
            elif isinstance(node.value, (str, bytes)):
                self.hidden.add(id(node))
            elif not isinstance(node.value, bool) and len(re.sub(r"\D", "", str(node.value))) >= SHORTEST_NUMBER:
                self.numbers.append(node)


def _values_in(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the expressions whose values the value of an expression can hold."""
    if isinstance(node, ast.Call):
        yield from _converted(node)
    for name in VALUES.get(type(node), ()):
        value = getattr(node, name)
        yield from value if isinstance(value, list) else (value,)


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
        case _:
            return ""


def _converted(node: ast.Call) -> Iterator[ast.expr]:
    """The expressions that the result of a call holds."""
    name = _last_name(node.func)
    if isinstance(node.func, ast.Attribute) and name in CONVERSIONS:
        yield node.func.value
    if name in CONVERSIONS or name[:1].isupper():
        yield from node.args
        yield from (keyword.value for keyword in node.keywords)
    elif name in ("get", "getenv", "pop", "setdefault"):
        yield from node.args[1:]


def _constants(node: ast.AST) -> str:
    """The constant parts of an f-string."""
    values: Sequence[ast.expr] = getattr(node, "values", ())
    return " ".join(str(part.value) for part in values if isinstance(part, ast.Constant))


def _holds_a_secret(node: ast.AST) -> bool:
    """Whether the constant parts of an f-string are long enough, without a scheme such as `Bearer`."""
    return len(re.sub(r"\W", "", _SCHEME.sub("", _constants(node)))) >= SHORTEST_PART


class _Redrawn:
    """A module's text with its secrets hidden."""

    def __init__(self, text: str, rules: "Redaction", literals: _Literals) -> None:
        self._text, self._rules, self._literals = text, rules, literals
        self._lines = text.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def text(self) -> str:
        """Return the text."""
        found = [*self._literals.found, *self._literals.numbers]
        pieces: list[str] = []
        at = 0
        for start, end, node in sorted(((*self._span(node), node) for node in found), key=lambda each: each[:2]):
            if start < at:
                continue
            pieces += (self._code(self._text[at:start]), self._literal(self._text[start:end], node))
            at = end
        pieces.append(self._code(self._text[at:]))
        return "".join(pieces)

    def _span(self, node: ast.expr) -> tuple[int, int]:
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, line: int | None, column: int | None) -> int:
        """Return where a place of a node is in the text: its columns count bytes."""
        number, column = (line or 1) - 1, column or 0
        text = self._lines[number]
        if not text.isascii():
            column = len(text.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "replace"))
        return self._starts[number] + column

    def _code(self, code: str) -> str:
        """Code without strings: a `#` in it starts a comment."""
        return _COMMENT.sub(lambda match: f"#{self._rules.text(match[1])}", code)

    def _literal(self, raw: str, node: ast.expr) -> str:
        is_hidden = id(node) in self._literals.hidden
        if isinstance(node, STRINGS):
            shown = self._string(raw, _constants(node), is_hidden=is_hidden, is_bytes=False)
            return shown if shown == raw or _is_literal(shown, raw) else _hidden_expression(raw)
        value = getattr(node, "value", None)
        if not isinstance(value, (str, bytes)):
            return f'"{HIDDEN}"'
        text = value if isinstance(value, str) else value.decode("latin-1")
        return self._string(raw, text, is_hidden=is_hidden, is_bytes=isinstance(value, bytes))

    def _string(self, raw: str, text: str, *, is_hidden: bool, is_bytes: bool) -> str:
        """Redraw a string, which can consist of several literals side by side."""
        parts = list(_parts(raw))
        contents = [self._rules.text(raw[part.opened : part.closed]) for part in parts]
        if is_hidden:
            is_hidden = bool(text.strip()) and text.strip().lower() not in NEVER
        elif len(parts) > 1 or "\\" in raw:
            is_hidden = self._rules.text(text) != text
        if not is_hidden and contents != [raw[part.opened : part.closed] for part in parts]:
            is_hidden = is_bytes or not all(
                _is_literal(
                    f"{raw[part.start : part.opened]}{content}{raw[part.closed : part.end]}", raw[part.start : part.end]
                )
                for part, content in zip(parts, contents, strict=True)
            )
        pieces: list[str] = []
        at = 0
        for part, content in zip(parts, contents, strict=True):
            whole = raw[part.start : part.end]
            shown = f"{raw[part.start : part.opened]}{content}{raw[part.closed : part.end]}"
            pieces += (self._code(raw[at : part.start]), _hidden_literal(whole) if is_hidden else shown)
            at = part.end
        return "".join(pieces) + raw[at:]


def _parts(raw: str) -> "Iterator[_Part]":
    """Yield the literals of a string."""
    at = 0
    while at < len(raw):
        opening = _OPENING.match(raw, at)
        if opening is None:
            comment = _COMMENT.match(raw, at)
            at = comment.end() if comment is not None else at + 1
            continue
        end = opening.end()
        while end < len(raw) and not raw.startswith(opening["quote"], end):
            end += 2 if raw[end] == "\\" else 1
        at = min(end + len(opening["quote"]), len(raw))
        yield _Part(opening.start(), opening.end(), min(end, at), at)


def _is_literal(shown: str, raw: str) -> bool:
    """Whether a redacted literal is still one, with as many lines."""
    if shown.count("\n") != raw.count("\n"):
        return False
    try:
        ast.parse(f"({shown})")
    except (SyntaxError, ValueError):
        return False
    return True


def _hidden_literal(raw: str) -> str:
    """Return a literal without its content, with as many lines."""
    quote = raw[-3:] if raw[-3:] in ('"""', "'''") and len(raw) > len("'''''") else raw[-1:]
    if "\n" not in raw:
        return f"{quote}{HIDDEN}{quote}"
    between = "\n" if len(quote) > 1 else "\\\n"
    return f"{quote}{HIDDEN}{between * raw.count(chr(10))}{quote}"


def _hidden_expression(raw: str) -> str:
    """Return a hidden literal in place of one that holds expressions, with as many lines."""
    breaks = ("\\\n" if raw[at - 1 : at] == "\\" else "\n" for at, symbol in enumerate(raw) if symbol == "\n")
    is_one = _OPENING.match(raw) is not None and len(raw) > 6 and raw[-3:] in ('"""', "'''")
    return _hidden_literal(raw) if is_one else f'"{HIDDEN}" {"".join(breaks)}'.rstrip(" ")
