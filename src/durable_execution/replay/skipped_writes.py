"""Finds what a nested function would have changed, had it run: a replay does not run the bodies of steps and finished contexts.

Reads source only. The function around it uses a variable, and only the nested function changes it.
"""

import ast
from collections.abc import Iterator, Sequence

from durable_execution.replay.statements import Function, Source, Statement, access_path, calls_of, source_of


def nested_functions(source: Source, outer: Function) -> Iterator[Function]:
    """Yield the functions that are defined inside a function."""
    end = outer.end_lineno or outer.lineno
    for one in source.functions:
        if one is not outer and outer.lineno <= one.lineno and (one.end_lineno or one.lineno) <= end:
            yield one


def changes(statement: Statement, name: str, files: Sequence[str]) -> bool:
    """Whether a statement of a nested function changes a variable of the function around it, or the object in it.

    Args:
        statement: The statement.
        name: The variable.
        files: Source files in which the functions that it calls are looked up.
    """
    if statement.function is None or _binds(statement.function, name):
        return False
    if any(written.partition(".")[0] == name for written in statement.writes):
        return True
    for call in calls_of(statement):
        if isinstance(call.func, ast.Attribute) and access_path(call.func.value) == name:
            if _changes_parameter(call.func.attr, 0, files):
                return True
        elif isinstance(call.func, ast.Name):
            given = [number for number, one in enumerate(call.args) if isinstance(one, ast.Name) and one.id == name]
            if any(_changes_parameter(call.func.id, number, files) for number in given):
                return True
    return False


def _binds(function: Function, name: str) -> bool:
    """Whether a name is the function's own."""
    arguments = function.args
    own = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    if name in own or isinstance(function, ast.Lambda):
        return name in own
    nodes = [node for one in function.body for node in ast.walk(one)]
    if any(isinstance(node, (ast.Nonlocal, ast.Global)) and name in node.names for node in nodes):
        return False
    return any(isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load) for node in nodes)


def _changes_parameter(function: str, number: int, files: Sequence[str]) -> bool:
    """Whether a function of this name in one of the files changes the object that its parameter holds."""
    for file in files:
        for one in source_of(file).functions:
            if getattr(one, "name", "") != function or number >= len(one.args.args):
                continue
            parameter = one.args.args[number].arg
            for statement in source_of(file):
                if statement.function is one and any(
                    written.partition(".")[0] == parameter for written in statement.writes - statement.binds
                ):
                    return True
    return False
