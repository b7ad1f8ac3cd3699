"""Finds the branch in the handler's source that a nondeterministic value decides."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

Branch = ast.If | ast.While | ast.For | ast.AsyncFor | ast.Match | ast.IfExp | ast.comprehension
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Decision:
    """A branch, loop or comprehension that depends on a value.

    Attributes:
        line: Line of its condition or iterable, from 1.
        word: `branches` or `iterates`.
    """

    line: int
    word: str


def decision_on(source: str, *, value_line: int, call_line: int | None) -> Decision | None:
    """Find the last branch before a call that depends on a value computed on an earlier line of the same function.

    Args:
        source: Text of the file.
        value_line: Line where the value is computed.
        call_line: Line of the durable call; None for a call that is no longer made.

    Returns:
        The branch; None when there is none, or the source cannot be parsed.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    scope = _innermost(tree, value_line)
    names = _tainted(scope, value_line)
    found: Decision | None = None
    for node in _own(scope):
        condition = _condition(node)
        if condition is None or not _depends(condition, names, value_line):
            continue
        if call_line is None or condition.lineno <= call_line:
            word = "iterates" if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)) else "branches"
            if found is None or condition.lineno >= found.line:
                found = Decision(condition.lineno, word)
    return found


def _innermost(tree: ast.Module, line: int) -> ast.AST:
    scope: ast.AST = tree
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.lineno <= line <= (node.end_lineno or 0):
            scope = node
    return scope


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield every node of a function in source order, without nested functions."""
    pending = list(ast.iter_child_nodes(scope))[::-1]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            pending.extend(list(ast.iter_child_nodes(node))[::-1])


def _tainted(scope: ast.AST, line: int) -> set[str]:
    """Names that hold the value, or a value computed from it."""
    names: set[str] = set()
    for _ in range(2):  # a loop can carry a value back to an earlier line
        for node in _own(scope):
            value = getattr(node, "value", None)
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) and isinstance(
                value, ast.AST
            ):
                if _depends(value, names, line):
                    names |= _targets(node)
            elif isinstance(node, (ast.For, ast.AsyncFor)) and _depends(node.iter, names, line):
                names |= _names(node.target)
    return names


def _targets(node: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return set().union(*map(_names, targets))


def _names(node: ast.AST) -> set[str]:
    return {found.id for found in ast.walk(node) if isinstance(found, ast.Name)}


def _depends(node: ast.AST, names: set[str], line: int) -> bool:
    first, last = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0) or 0
    return first <= line <= last or bool(_names(node) & names)


def _condition(node: ast.AST) -> ast.expr | None:
    match node:
        case ast.If() | ast.While() | ast.IfExp():
            return node.test
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            return node.iter
        case ast.Match():
            return node.subject
        case _:
            return None
