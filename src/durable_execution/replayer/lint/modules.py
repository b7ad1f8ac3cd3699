"""Reads source files as modules: their functions, and the meaning of their names."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
IGNORE = re.compile(r"#\s*(?:durable:\s*ignore|noqa)(?:\s*[\[:]\s*(?P<codes>[A-Z0-9, ]+)\]?)?", re.IGNORECASE)
SDK = "durable_execution"
STAR = ("durable_execution", "durable_step", "ParallelBranch")
"""The names of `from durable_execution import *` that the linter needs."""


@dataclass(slots=True)
class FunctionInfo:
    """A function of a module.

    Attributes:
        module: The module.
        node: Its definition.
        qualname: Its qualified name.
        outer: The enclosing function, if any.
        locals: Functions defined directly in it, by name.
    """

    module: "Module"
    node: Function
    qualname: str
    outer: "FunctionInfo | None" = None
    locals: dict[str, "FunctionInfo"] = field(default_factory=dict)

    @property
    def parameters(self) -> list[str]:
        """Names of its positional parameters, without `self`."""
        names = [argument.arg for argument in (*self.node.args.posonlyargs, *self.node.args.args)]
        return names[1:] if names[:1] in (["self"], ["cls"]) else names


@dataclass(slots=True)
class Module:
    """One source file.

    Attributes:
        file: Path as given.
        name: Dotted name, derived from the path.
        tree: Its syntax tree.
        imports: Full names of imported names: `datetime` → `datetime.datetime`.
        functions: Its functions by qualified name.
        values: Expressions assigned to module-level names, by name.
        ignores: Ignored codes by line; an empty set ignores everything.
    """

    file: str
    name: str
    tree: ast.Module
    imports: dict[str, str] = field(default_factory=dict)
    functions: dict[str, FunctionInfo] = field(default_factory=dict)
    values: dict[str, ast.expr] = field(default_factory=dict)
    ignores: dict[int, frozenset[str]] = field(default_factory=dict)

    def resolve(self, node: ast.AST) -> str | None:
        """Return the dotted name that an expression refers to.

        After `from datetime import datetime as dt`, `dt.now` is `datetime.datetime.now`.
        """
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        base = self.imports.get(node.id, node.id)
        return ".".join([base, *reversed(parts)])

    def is_ignored(self, line: int, code: str) -> bool:
        """Whether a comment on the line ignores the rule."""
        codes = self.ignores.get(line)
        return codes is not None and (not codes or code in codes)


def read_module(file: str, source: str, root: str = "") -> Module:
    """Parse a source file.

    Args:
        file: Its path.
        source: Its text.
        root: Directory from which dotted names start.

    Raises:
        SyntaxError, ValueError, RecursionError: The text cannot be parsed.
    """
    module = Module(file, dotted_name(file, root), ast.parse(source))
    module.ignores = dict(_ignores(source))
    for node in ast.walk(module.tree):
        module.imports.update(_imported(node, module.name))
    for statement in module.tree.body:
        if isinstance(statement, ast.Assign):
            module.values.update({t.id: statement.value for t in statement.targets if isinstance(t, ast.Name)})
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            module.values[statement.target.id] = statement.value
    _collect(module)
    return module


def dotted_name(file: str, root: str = "") -> str:
    """Return the dotted name of a path: `shop/orders.py` is `shop.orders`."""
    path = PurePath(file)
    if root and path.is_relative_to(root):
        path = path.relative_to(root)
    parts = [part for part in path.with_suffix("").parts if part not in (".", "..", path.anchor)]
    return ".".join(parts[:-1] if parts[-1:] == ["__init__"] else parts)


def children(function: Function) -> Iterator[ast.AST]:
    """Yield every node of a function's body in source order, without nested functions."""
    body = function.body if isinstance(function.body, list) else [function.body]
    pending: list[ast.AST] = list(reversed(body))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            pending.extend(reversed(list(ast.iter_child_nodes(node))))


def _ignores(source: str) -> Iterator[tuple[int, frozenset[str]]]:
    for number, line in enumerate(source.splitlines(), start=1):
        found = IGNORE.search(line)
        if found is None:
            continue
        codes = found["codes"]
        if codes is None and "noqa" in found[0].lower():
            continue  # a bare noqa addresses other tools
        yield number, frozenset(codes.upper().replace(",", " ").split()) if codes else frozenset()


def _imported(node: ast.AST, here: str) -> Mapping[str, str]:
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: alias.name if alias.asname else alias.name.partition(".")[0]
            for alias in node.names
        }
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = here.split(".")[: -node.level]
            base = ".".join([*package, *([base] if base else [])])
        names = STAR if any(alias.name == "*" for alias in node.names) and base == SDK else ()
        star = {name: f"{SDK}.{name}" for name in names}
        return star | {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
    return {}


def _collect(module: Module) -> None:
    pending: list[tuple[ast.AST, str, FunctionInfo | None]] = [(module.tree, "", None)]
    while pending:
        parent, prefix, outer = pending.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                qualname = f"{prefix}{node.name}"
                info = FunctionInfo(module, node, qualname, outer)
                module.functions.setdefault(qualname, info)
                if outer is not None:
                    outer.locals[node.name] = info
                pending.append((node, f"{qualname}.<locals>.", info))
            elif isinstance(node, ast.ClassDef):
                pending.append((node, f"{prefix}{node.name}.", outer))
            else:
                pending.append((node, prefix, outer))
