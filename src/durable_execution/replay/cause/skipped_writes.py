"""Finds what a function would have changed, had it run: a replay does not run the bodies of steps and finished contexts.

Reads source only. Either a nested function changes a variable of the function around it, or a function that is given to a durable
call changes an attribute or a value of a module.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence

from durable_execution.replay.cause.shared_values import class_around, hierarchy, is_initial, is_own, writes_shared
from durable_execution.replay.source.statement_names import access_path
from durable_execution.replay.source.statements import Function, Source, Statement, calls_of, source_of


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


def shared_changes(
    path: str, owner: str | None, files: Sequence[str], given: Iterable[str], ran: set[tuple[str, int]]
) -> Iterator[tuple[str, Statement]]:
    """Yield the statements, with their files, that change a shared value in functions that are given to durable calls.

    Args:
        path: The access path of the value: `chart.allergies`, `SEEN`.
        owner: The class of the object whose attribute it is, if that is known.
        files: The files that ran.
        given: The names in the durable calls.
        ran: The functions that ran, by file and first line: what they change was changed.
    """
    pending, names = list(given), set[str]()
    kinds = hierarchy(files, owner) if owner is not None else set[str | None]()
    while pending:
        name = pending.pop()
        if name in names:
            continue
        names.add(name)
        for file in files:
            for one in source_of(file):
                if getattr(one.function, "name", "") != name or not _starts(one.function).isdisjoint(
                    (line for at, line in ran if at == file)
                ):
                    continue
                pending += one.calls
                is_own = f"self.{path.rpartition('.')[2]}" in one.writes
                is_other = is_own and bool(kinds) and class_around(file, one) not in kinds
                is_local = "." not in path and is_of_an_outer_function(file, one.function, path)
                if writes_shared(one, path) and not is_initial(one) and not is_other and not is_local:
                    yield file, one


def is_of_an_outer_function(file: str, function: Function | None, name: str) -> bool:
    """Whether a name in a function is a variable of a function around it."""
    around = (
        one
        for one in source_of(file).functions
        if function is not None and one.lineno < function.lineno <= (one.end_lineno or one.lineno)
    )
    return any(is_own(file, one, name) for one in around)


def _starts(function: Function | None) -> set[int]:
    """The lines at which the code of a function may begin."""
    return {one.lineno for one in (function, *getattr(function, "decorator_list", [])) if one is not None}


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
