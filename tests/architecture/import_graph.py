"""Who imports whom in the project's source, with every import counted: at the top, in functions, for types only."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from tests.architecture.source_tree import Module, modules

Graph: TypeAlias = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class OnlyImporter:
    """A module that one other module of the same folder imports, and nothing else."""

    module: Module
    importer: Module


@cache
def import_graph() -> Graph:
    """The modules that each module imports. A package counts as its `__init__`, and only where it is imported itself."""
    known = {module.name for module in modules()}
    return {module.name: frozenset(_imported(module, known) - {module.name}) for module in modules()}


def importers() -> dict[str, set[str]]:
    """The modules that import each module."""
    found: dict[str, set[str]] = {module.name: set() for module in modules()}
    for name, imported in import_graph().items():
        for target in imported:
            found[target].add(name)
    return found


def only_importers() -> list[OnlyImporter]:
    """Modules with one importer, in the same folder. What a package's `__init__` imports is left out: it is public."""
    by_name = {module.name: module for module in modules()}
    pairs: list[OnlyImporter] = []
    for name, found in importers().items():
        module = by_name[name]
        if len(found) != 1 or module.path.name in {"__init__.py", "__main__.py"}:
            continue
        importer = by_name[next(iter(found))]
        if importer.path.parent == module.path.parent and importer.path.name != "__init__.py":
            pairs.append(OnlyImporter(module, importer))
    return pairs


def cycles() -> list[list[str]]:
    """Groups of modules that reach each other by imports (Tarjan's strongly connected components of two or more)."""
    return sorted(sorted(group) for group in _components(import_graph()) if len(group) > 1)


def _imported(module: Module, known: set[str]) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= parts & known
            if not parts <= known:
                names.add(node.module)
    return names & known


def _components(graph: Graph) -> list[list[str]]:
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for target in graph[name]:
            if target not in order:
                visit(target)
            if target in stack:
                lowest[name] = min(lowest[name], lowest[target])
        if lowest[name] == order[name]:
            at = stack.index(name)
            found.append(stack[at:])
            del stack[at:]

    for name in graph:
        if name not in order:
            visit(name)
    return found
