"""What each statement of a source file reads and writes, for the slice that finds a cause.

A line of a recording stands for a whole statement: the innermost simple statement that covers it, or the header of a
compound one (`if`, `for`, `while`, `with`, `match`, `try`). Names are access paths: `total`, `order.total`, `RATES`.
"""

import ast
import linecache
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from durable_execution.replay.source.statement_names import access_path, names_of

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
COMPOUND = (
    ast.If, ast.While, ast.For, ast.AsyncFor, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match, ast.FunctionDef,
    ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler,
)  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """One statement, or the header of a compound one.

    Attributes:
        first: First line.
        last: Last line.
        text: The first line's text.
        reads: Access paths whose values it uses.
        writes: Access paths that it assigns, deletes or changes in place.
        binds: Names among them that it gives a new value.
        calls: Last names of what it calls: `now` for `datetime.now()`.
        mentions: Every name and attribute name in it.
        node: Its syntax.
        function: The function it belongs to; None at module level.
        parts: The syntax that runs with it: for a compound statement, that of its header.
        parents: First lines of the compound statements around it in its function, outermost first.
        exits: Whether a part of its body leaves the function or loop: what follows it depends on it too.
        loops: First lines of the loops around it in its function, outermost first; a loop's header is in its own loop.
    """

    first: int
    last: int
    text: str
    reads: frozenset[str]
    writes: frozenset[str]
    binds: frozenset[str]
    calls: frozenset[str]
    mentions: frozenset[str]
    node: ast.AST
    function: Function | None
    parts: tuple[ast.AST, ...] = ()
    parents: tuple[int, ...] = ()
    exits: bool = False
    loops: tuple[int, ...] = ()

    @property
    def is_loop(self) -> bool:
        """Whether it is the header of a `for` loop."""
        return isinstance(self.node, (ast.For, ast.AsyncFor))


class Source:
    """The statements of one file."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._lines = text.split("\n")
        self._found: list[Statement] = []
        self.functions: list[Function] = []
        self.bodies: dict[int, Statement] = {}
        self._loops: list[int] = []
        self._parents: list[int] = []
        self._inner: dict[int, list[int]] = {}
        try:
            body = ast.parse(text).body
        except (SyntaxError, ValueError, RecursionError):
            body = []
        self._collect(body, None)
        self._found.sort(key=lambda one: one.first)
        self._starts = [one.first for one in self._found]

    def at(self, line: int) -> Statement | None:
        """Return the statement that covers a line."""
        for index in range(bisect_right(self._starts, line) - 1, max(-1, bisect_right(self._starts, line) - 200), -1):
            if self._found[index].last >= line:
                return self._found[index]
        return None

    def names_at(self, line: int) -> frozenset[str] | None:
        """Return every name in the statements that cover a line; None if there is none, or if a pattern may bind names."""
        end = bisect_right(self._starts, line)
        found = [one for one in self._found[max(0, end - 200) : end] if one.last >= line]
        if not found or any(isinstance(one.node, (ast.match_case, ast.Match)) for one in found):
            return None
        return frozenset().union(*(one.mentions | one.binds for one in found))

    def function_around(self, line: int) -> str | None:
        """Return the name of the outermost function or method that a line is in; None for a line of the module."""
        around = [one for one in self.functions if one.lineno <= line <= (one.end_lineno or one.lineno)]
        first = min(around, key=lambda one: one.lineno, default=None)
        return getattr(first, "name", None)

    def body_of(self, first_line: int) -> Statement | None:
        """Return the body of the lambda that starts at a line, as the statement that it is."""
        return self.bodies.get(first_line)

    def inner_loops(self, line: int) -> Sequence[int]:
        """Return the first lines of the loops inside a loop."""
        return self._inner.get(line, ())

    def __iter__(self) -> Iterator[Statement]:
        return iter(self._found)

    def function_at(self, first_line: int, name: str) -> Function | None:
        """Return the function that a code object was compiled from."""
        for function in self.functions:
            start = min([function.lineno, *(one.lineno for one in getattr(function, "decorator_list", []))])
            if (
                first_line in (start, function.lineno)
                and getattr(function, "name", "<lambda>") == name.rpartition(".")[2]
            ):
                return function
        return None

    def _collect(self, body: Sequence[ast.stmt], function: Function | None) -> None:
        for node in body:
            self._lambdas(node)
            if isinstance(node, COMPOUND):
                self._compound(node, function)
            else:
                self._found.append(self._statement(node, [node], node.lineno, node.end_lineno or node.lineno, function))

    def _lambdas(self, node: ast.stmt) -> None:
        header = _header(node) if isinstance(node, COMPOUND) else [node]
        for one in (found for part in header for found in ast.walk(part) if isinstance(found, ast.Lambda)):
            self.functions.append(one)
            body = ast.copy_location(ast.Return(one.body), one.body)
            self.bodies[one.lineno] = self._statement(body, [body], one.lineno, one.end_lineno or one.lineno, one)

    def _compound(self, node: ast.stmt, function: Function | None) -> None:
        header = _header(node)
        last = max([node.lineno, *(getattr(part, "end_lineno", 0) or 0 for part in header)])
        inner, outer = function, self._loops
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.functions.append(node)
            inner = node
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            for loop in outer:
                self._inner.setdefault(loop, []).append(node.lineno)
            self._loops = [*outer, node.lineno]
        self._found.append(self._statement(node, header, node.lineno, last, function))
        around = self._parents
        self._parents = [] if inner is not function else [*around, node.lineno]
        if inner is not function:
            self._loops = []
        self._collect(getattr(node, "body", []), inner)
        self._loops = [] if inner is not function else outer
        for name in ("orelse", "finalbody"):
            self._collect(getattr(node, name, []), inner)
        self._loops = outer
        for handler in getattr(node, "handlers", []):
            types = [handler.type] if handler.type else []
            self._found.append(self._statement(handler, types, handler.lineno, handler.lineno, function))
            self._collect(handler.body, function)
        for case in getattr(node, "cases", []):
            parts: list[ast.AST] = [case.pattern, *([case.guard] if case.guard else [])]
            looked_at = list(_looked_at(node.subject, case.pattern)) if isinstance(node, ast.Match) else []
            last = case.pattern.end_lineno or case.pattern.lineno
            self._found.append(self._statement(case, parts, case.pattern.lineno, last, function, looked_at))
            self._collect(case.body, function)
        self._parents = around

    def _statement(
        self,
        node: ast.AST,
        parts: Sequence[ast.AST],
        first: int,
        last: int,
        function: Function | None,
        more: Sequence[ast.AST] = (),
    ) -> Statement:
        names = names_of(node, [*parts, *more])
        return Statement(
            first=first,
            last=last,
            text=self._lines[first - 1].strip() if 0 < first <= len(self._lines) else "",
            reads=names.reads,
            writes=names.writes,
            binds=names.binds,
            calls=names.calls,
            mentions=names.mentions,
            node=node,
            function=function,
            parts=tuple(parts),
            parents=tuple(self._parents),
            exits=_exits(node),
            loops=tuple(self._loops),
        )


def _header(node: ast.stmt) -> list[ast.AST]:
    """The parts of a compound statement that run when its header runs."""
    match node:
        case ast.If() | ast.While():
            return [node.test]
        case ast.For() | ast.AsyncFor():
            return [node.target, node.iter]
        case ast.With() | ast.AsyncWith():
            return list(node.items)
        case ast.Match():
            return [node.subject]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [
                *node.decorator_list,
                *node.args.defaults,
                *(one for one in node.args.kw_defaults if one is not None),
            ]
        case ast.ClassDef():
            return [*node.decorator_list, *node.bases, *node.keywords]
        case _:
            return []


def _looked_at(subject: ast.expr, pattern: ast.AST) -> Iterator[ast.expr]:
    """Yield what a pattern of a `case` reads: the value that it is matched with, and the attributes that it names.

    A value that is not named is computed by the `match` line.
    """
    if access_path(subject) is None:
        return
    yield subject
    match pattern:
        case ast.MatchClass():
            for name, inner in zip(pattern.kwd_attrs, pattern.kwd_patterns, strict=True):
                yield from _looked_at(ast.Attribute(subject, name, ast.Load()), inner)
        case ast.MatchAs(pattern=ast.pattern() as inner):
            yield from _looked_at(subject, inner)
        case ast.MatchOr():
            for inner in pattern.patterns:
                yield from _looked_at(subject, inner)
        case _:
            pass


def _exits(node: ast.AST) -> bool:
    if not isinstance(node, (ast.If, ast.Match, ast.Try, ast.TryStar, ast.While)):
        return False
    return any(isinstance(one, (ast.Return, ast.Raise, ast.Break, ast.Continue)) for one in ast.walk(node))


def yields(node: ast.AST) -> bool:
    """Whether a piece of code gives a value as generators do."""
    return any(isinstance(one, (ast.Yield, ast.YieldFrom)) for one in ast.walk(node))


def calls_of(statement: Statement) -> Iterator[ast.Call]:
    """Yield the calls of a statement, without those in the body of a compound one."""
    pending: list[ast.AST] = list(statement.parts)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Call):
            yield node
        pending.extend(ast.iter_child_nodes(node))


parsed = lru_cache(maxsize=256)(Source)  # each text of a file once


@lru_cache(maxsize=256)
def source_of(file: str) -> Source:
    """Return the statements of a file; none when it cannot be read or parsed."""
    return parsed(file, "".join(linecache.getlines(file)))


@lru_cache(maxsize=20_000)
def outer_reads(file: str, line: int) -> tuple[str, ...]:
    """Return the paths that a recorder must read besides local names: attributes and possible globals."""
    statement = source_of(file).at(line)
    return tuple(sorted(statement.reads | set(_called_values(file, statement)))) if statement is not None else ()


@lru_cache(maxsize=20_000)
def names_at(file: str, line: int) -> frozenset[str] | None:
    """Return the names of what runs at a line, so that a recorder need not look at what the line cannot change."""
    return source_of(file).names_at(line)


def read_again() -> None:
    """Forget every file: a process that replays after each edit would explain a difference with lines of the first text."""
    linecache.checkcache()
    for known in (source_of, outer_reads, names_at, imported_name, _import_of):
        known.cache_clear()


def _called_values(file: str, statement: Statement) -> Iterator[str]:
    """Names of what a statement calls and a module assigns, such as a `partial`: it may hold a value that changes."""
    for call in calls_of(statement):
        if isinstance(call.func, ast.Name):
            origin, path = imported(file, call.func.id)
            made = (one for one in source_of(origin) if one.function is None and path in one.binds)
            if any(isinstance(one.node, (ast.Assign, ast.AnnAssign)) for one in made):
                yield call.func.id


MAX_IMPORTS = 8
"""How often a name may be imported on from module to module."""


def imported(file: str, path: str) -> tuple[str, str]:
    """Follow an access path to the module that makes the value: `SESSION` of `from .session import SESSION`.

    Args:
        file: The file that uses the path.
        path: The access path, for example `SESSION` or `settings.LIMIT`.

    Returns:
        The module's file, and the path there; what was given, where nothing is imported or the module is not found.
    """
    for _ in range(MAX_IMPORTS):
        found = _import_of(file, path)
        if found is None:
            break
        file, path = found
    return file, path


@lru_cache(maxsize=4_096)
def imported_name(file: str, name: str) -> tuple[str, str]:
    """Tell what `from email.utils import formatdate as date` calls `date`.

    Returns:
        The last part of the module's name, and the name there; an empty text and the name, where it is not imported like this.
    """
    for statement in source_of(file):
        if name not in statement.binds or not isinstance(statement.node, ast.ImportFrom):
            continue
        for one in statement.node.names:
            if (one.asname or one.name) == name:
                return (statement.node.module or "").rpartition(".")[2], one.name
    return "", name


@lru_cache(maxsize=4_096)
def _import_of(file: str, path: str) -> tuple[str, str] | None:
    name, _, rest = path.partition(".")
    for statement in source_of(file):
        node = statement.node
        if name not in statement.binds or not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        for one in node.names:
            if (one.asname or one.name).partition(".")[0] != name:
                continue
            if isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                module = module_file(file, f"{base}{'' if base.endswith('.') else '.'}{one.name}") if rest else None
                if module is not None:
                    return module, rest
                module = module_file(file, base)
                return (module, f"{one.name}.{rest}" if rest else one.name) if module is not None else None
            module = module_file(file, one.name)
            inner = rest if one.asname else path.removeprefix(f"{one.name}.")
            return (module, inner) if module is not None and inner and inner != path else None
    return None


def module_file(file: str, module: str) -> str | None:
    """The file of a module that another file imports; None if it is not found beside it or on the path."""
    name = module.lstrip(".")
    level = len(module) - len(name)
    parents = Path(file).parents
    places = [parents[level - 1]] if 0 < level <= len(parents) else [*parents, *map(Path, sys.path)]
    parts = name.split(".") if name else []
    for place in places:
        for found in (
            place.joinpath(*parts, "__init__.py"),
            *([place.joinpath(*parts).with_suffix(".py")] if parts else ()),
        ):
            if found.is_file():
                return str(found)
    return None
