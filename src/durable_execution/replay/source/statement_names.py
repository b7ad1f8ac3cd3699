"""The names that a piece of syntax reads, writes, calls and mentions, as access paths: `total`, `order.total`."""

import ast
from collections.abc import Sequence
from typing import NamedTuple

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

MUTATORS = frozenset(
    {
        "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove",
        "reverse", "setdefault", "sort", "update", "subtract", "move_to_end", "rotate", "__setitem__", "__delitem__",
        "extendleft", "difference_update", "intersection_update", "symmetric_difference_update", "put", "put_nowait",
        "get_nowait", "set",
    }
)  # fmt: skip
"""Methods of the standard containers that change them."""

CHANGERS = frozenset(
    {
        "heapify", "heappop", "heappush", "heappushpop", "heapreplace", "insort", "insort_left", "insort_right", "shuffle",
        "setitem", "delitem",
    }
)  # fmt: skip
"""Functions of the standard library that change the container that they are given first."""


GETTERS = frozenset({"attrgetter", "methodcaller", "getattr"})
"""Functions that are given the names of attributes."""


class Names(NamedTuple):
    """The names of a statement; see `Statement`."""

    reads: frozenset[str]
    writes: frozenset[str]
    binds: frozenset[str]
    calls: frozenset[str]
    mentions: frozenset[str]


def names_of(node: ast.AST, parts: Sequence[ast.AST]) -> Names:
    """Return the names in the parts of a statement that run with it."""
    found = _Visitor()
    found.header(node, parts)
    return Names(*map(frozenset, (found.reads, found.writes, found.binds, found.calls, found.mentions)))


class _Visitor(ast.NodeVisitor):
    """Collects the names of a statement. Names that a comprehension or lambda binds are its own."""

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.binds: set[str] = set()
        self.calls: set[str] = set()
        self.mentions: set[str] = set()
        self._bound: list[set[str]] = []

    def header(self, node: ast.AST, parts: Sequence[ast.AST]) -> None:
        """Collect from the parts of a statement that run with it."""
        for part in parts:
            self.visit(part)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self.binds.add(node.name)
        if isinstance(node, ast.ExceptHandler) and node.name:
            self.binds.add(node.name)
        if isinstance(node, ast.AugAssign):
            self.reads |= _targets(node.target)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self.binds |= {(one.asname or one.name).partition(".")[0] for one in node.names}
        self.writes |= self.binds

    def visit_Name(self, node: ast.Name) -> None:  # ast's word
        self.mentions.add(node.id)
        if any(node.id in names for names in self._bound):
            return
        (self.reads if isinstance(node.ctx, ast.Load) else self.writes).add(node.id)
        if not isinstance(node.ctx, ast.Load):
            self.binds.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.mentions.add(node.attr)
        path = access_path(node)
        if path is None or any(path.partition(".")[0] in names for names in self._bound):
            self.generic_visit(node)
            return
        self.mentions |= set(path.split("."))
        (self.reads if isinstance(node.ctx, ast.Load) else self.writes).add(path)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.writes |= _targets(node.value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Name):
            self.calls.add(function.id)
            self.mentions.add(function.id)
            self.writes |= _changed_by(function.id, node.args)
        elif isinstance(function, ast.Attribute):
            self.calls.add(function.attr)
            self.mentions.add(function.attr)
            if function.attr in MUTATORS:
                self.writes |= _targets(function.value)
            self.writes |= _changed_by(function.attr, node.args)
            if function.attr != "set" or access_path(function.value) is None:
                self.visit(function.value)  # `variable.set(value)` writes it without reading it
        else:
            self.visit(function)
        for argument in (*node.args, *node.keywords):
            self.visit(argument)
        if (getattr(function, "id", None) or getattr(function, "attr", None)) in GETTERS:
            texts = (one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str))
            self.mentions.update(part for text in texts for part in text.split("."))

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name:
            self.binds.add(node.name)
        self.generic_visit(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        arguments = node.args
        own = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        own |= {one.arg for one in (arguments.vararg, arguments.kwarg) if one is not None}
        self._bound.append(own)
        self.visit(node.body)
        self._bound.pop()

    def _comprehension(self, node: Comprehension) -> None:
        own = {one.id for part in node.generators for one in ast.walk(part.target) if isinstance(one, ast.Name)}
        self._bound.append(own)
        self.generic_visit(node)
        self._bound.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815


def _changed_by(function: str, arguments: Sequence[ast.expr]) -> set[str]:
    """What a function of the standard library changes of its first argument: the attribute, or the container."""
    if function in CHANGERS and arguments:
        return _targets(arguments[0])
    match function, arguments:
        case (("setattr" | "delattr" | "__setattr__"), [owner, ast.Constant(value=str(name)), *_]):
            return {f"{path}.{name}" for path in _targets(owner)}
        case _:
            return set()


def access_path(node: ast.AST) -> str | None:
    """`order.customer.tier` as an access path; None when something is called or subscripted on the way.

    `type(order).count` is the same path as `order.count`.
    """
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    match node:
        case ast.Call(func=ast.Name(id="type"), args=[ast.Name() as owner]) if parts:
            node = owner
        case _:
            pass
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def keys_of(parts: Sequence[ast.AST], path: str) -> frozenset[str] | None:
    """The keys of a dictionary, as texts, that some syntax uses: `'total'` for `order["total"]`; None if it may use others, too.

    Args:
        parts: The syntax.
        path: The dictionary: a path that ends with the same name is the same one.
    """
    name = path.rpartition(".")[2]
    uses, keys = 0, list[str]()
    for node in (one for part in parts for one in ast.walk(part)):
        match node:
            case ast.Name(id=used) | ast.Attribute(attr=used):
                uses += used == name
            case (
                ast.Subscript(value=ast.Name(id=used) | ast.Attribute(attr=used), slice=ast.Constant(value=key))
                | ast.Call(
                    func=ast.Attribute(
                        value=ast.Name(id=used) | ast.Attribute(attr=used), attr="get" | "setdefault" | "pop"
                    ),
                    args=[ast.Constant(value=key), *_],
                )
            ):
                keys += [repr(key)] * (used == name)
            case _:
                pass
    return frozenset(keys) if keys and len(keys) == uses else None


def _targets(node: ast.AST) -> set[str]:
    path = access_path(node)
    if path is not None:
        return {path}
    if isinstance(node, ast.Subscript):
        return _targets(node.value)
    return set()
