"""What a function only logs: it does not matter that such a value is a different one on every replay."""

import ast
from collections.abc import Iterator

from durable_execution.lint.program import FunctionInfo, Program, children
from durable_execution.lint.rules import is_logging


def only_logged(function: FunctionInfo, program: Program, seen: frozenset[str] = frozenset()) -> set[int]:
    """Return the identities of nodes that are only logged: by the function itself, or by one that only logs what it is given.

    Args:
        function: The function.
        program: The program, to find the functions that it calls.
        seen: Functions that are being looked at.
    """
    found: set[int] = set()
    for node in children(function.node):
        for given in _given_to_logs(node, function, program, seen) if isinstance(node, ast.Call) else ():
            found |= {id(inner) for inner in ast.walk(given)}
    return _with_names(function, found)


def _given_to_logs(node: ast.Call, within: FunctionInfo, program: Program, seen: frozenset[str]) -> Iterator[ast.expr]:
    """Yield the arguments of a call that are only logged."""
    if is_logging(within.module.resolve(node.func)):
        yield from (*node.args, *(keyword.value for keyword in node.keywords))
        return
    called = program.function_of(node.func, within) if isinstance(node.func, (ast.Name, ast.Attribute)) else None
    if called is None or isinstance(called.node, ast.Lambda) or called.qualname in seen:
        return
    logged = only_logged(called, program, seen | {called.qualname})
    reads = list(_reads(called))
    for name, given in _arguments(node, called):
        uses = [one for one in reads if one.id == name]
        if uses and all(id(one) in logged for one in uses):
            yield given


def _arguments(node: ast.Call, called: FunctionInfo) -> Iterator[tuple[str, ast.expr]]:
    """Yield the arguments of a call, each with the parameter that takes it."""
    arguments = called.node.args
    rest, named = arguments.vararg, arguments.kwarg
    own = {one.arg for one in (*arguments.args, *arguments.kwonlyargs)}
    for number, given in enumerate(node.args):
        if isinstance(given, ast.Starred):
            return
        if number < len(called.parameters):
            yield called.parameters[number], given
        elif rest is not None:
            yield rest.arg, given
    for keyword in node.keywords:
        if keyword.arg in own:
            yield keyword.arg or "", keyword.value
        elif keyword.arg is not None and named is not None:
            yield named.arg, keyword.value


def _with_names(function: FunctionInfo, found: set[int]) -> set[int]:
    """Add the values of names that are read only to be logged: `started = time.time()`."""
    reads: dict[str, list[ast.Name]] = {}
    for read in _reads(function):
        reads.setdefault(read.id, []).append(read)
    shared = {
        name for node in children(function.node) if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names
    }
    values = [
        (node.targets[0].id, node.value)
        for node in children(function.node)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
    ]
    while True:
        added = {
            id(inner)
            for name, value in values
            if name not in shared and reads.get(name) and all(id(one) in found for one in reads[name])
            for inner in ast.walk(value)
        }
        if added <= found:
            return found
        found |= added


def _reads(function: FunctionInfo) -> Iterator[ast.Name]:
    """Yield the names that a function reads, those of nested functions included."""
    for node in ast.walk(function.node):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node
