"""What a value comes from that was made when its module was imported.

Modules are not recorded, so the values are not known: the names that are read are followed in the source.
"""

import ast
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from durable_execution.replay.cause.shared_values import class_around
from durable_execution.replay.cause.value_sources import Dependence, Source, dependence_of
from durable_execution.replay.source.statement_names import access_path
from durable_execution.replay.source.statements import Statement, calls_of, imported, source_of

MAX_FOLLOWED = 200
"""How many statements are looked at for one value."""

MAX_BESIDE = 50
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
CLASS_MAKERS = frozenset({"__new__", "__init__", "__init_subclass__", "__set_name__", "__prepare__"})
"""Methods that a class statement calls, of the metaclass or of the class that it is derived from."""


class ImportedFrom(NamedTuple):
    """The statement that a value made at import comes from.

    Attributes:
        file: Its file.
        statement: The statement.
        dependence: What it depends on.
    """

    file: str
    statement: Statement
    dependence: Dependence


Place = tuple[str, Statement]


def source_at_import(file: str, statement: Statement, name: str) -> tuple[Place, ImportedFrom] | None:
    """Follow a statement that makes a value at import, or one that changes an object that it makes, to its source.

    Args:
        file: Its file.
        statement: The statement.
        name: The value.

    Returns:
        The statement that makes or changes the value, with its file, and where that comes from; None if no source is found.
    """
    for place in ((file, statement), *_changes(file, name)):
        found = _followed(place)
        if found is not None:
            return place, found
    return None


def source_of_change(file: str, statement: Statement) -> tuple[Place, ImportedFrom] | None:
    """Follow a statement of a function that modules call when they are imported to its source; None if they do not call it."""
    if not _runs_at_import(file, statement):
        return None
    found = _followed((file, statement))
    return ((file, statement), found) if found is not None else None


def _runs_at_import(file: str, statement: Statement) -> bool:
    """Whether the function of a statement is called by code outside functions, directly or by way of others, or decorates some."""
    statements = [one for place in _beside(file) for one in source_of(place)]
    names, pending = set[str](), [getattr(statement.function, "name", "")]
    while pending:
        name = pending.pop()
        if not name or name in names:
            continue
        names.add(name)
        for one in statements:
            is_decorator = isinstance(one.node, DEFINITIONS) and name in one.mentions
            if one.function is None and (name in one.calls or is_decorator):
                return True
            if name in one.calls:
                pending.append(getattr(one.function, "name", ""))
    return False


def _beside(file: str) -> list[str]:
    """A file and those of the modules beside it."""
    return [file, *(str(one) for one in sorted(Path(file).parent.glob("*.py"))[:MAX_BESIDE] if str(one) != file)]


def _changes(file: str, name: str) -> Iterator[Place]:
    """Yield the statements that change an object when modules are imported: `logger.setLevel(level())`, `shuffle(doors)`."""
    writers: list[Statement] = []
    for one in source_of(file):
        if _is_method_of(one, name) or (one.function is None and name in one.writes):
            yield file, one
        elif one.function is not None and name in {path.rpartition(".")[2] for path in one.writes}:
            writers.append(one)
    yield from _registrations(file, writers)


def _is_method_of(statement: Statement, name: str) -> bool:
    match statement.node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=owner)))):
            return owner == name
        case _:
            return False


def _registrations(file: str, writers: Sequence[Statement]) -> Iterator[Place]:
    """Yield what runs functions that fill an object when modules are imported: calls, decorators and classes derived from one.

    The modules are those beside the one that has the object.
    """
    functions = {getattr(one.function, "name", "") for one in writers}
    owners = {class_around(file, one) for one in writers if getattr(one.function, "name", "") in CLASS_MAKERS} - {None}
    if not functions:
        return
    statements = [(place, one) for place in _beside(file) for one in source_of(place) if one.function is None]
    for place, one in statements:
        if isinstance(one.node, ast.ClassDef) and (owners & one.mentions) and one.node.name not in owners:
            owners.add(one.node.name)
            yield place, one
        elif ((functions - CLASS_MAKERS) & one.mentions) and not isinstance(one.node, (ast.Import, ast.ImportFrom)):
            yield place, one


def _followed(place: Place) -> ImportedFrom | None:
    pending, seen = deque([place]), {(place[0], place[1].first)}
    for _ in range(MAX_FOLLOWED):
        if not pending:
            return None
        file, statement = pending.popleft()
        found = dependence_of(statement, _sets(file, statement), file)
        if found is not None and found.source not in (Source.GENERATOR, Source.COMPLETION):
            return ImportedFrom(file, statement, found)
        for other in _read_by(file, statement):
            if (other[0], other[1].first) not in seen:
                seen.add((other[0], other[1].first))
                pending.append(other)
    return None


def _read_by(file: str, statement: Statement) -> Iterator[Place]:
    """Yield the statements that give the names that a statement reads, and the results of the functions that it calls.

    A statement of a module that runs under a condition depends on the condition, too.
    """
    around = (source_of(file).at(line) for line in statement.parents) if statement.function is None else ()
    yield from ((file, one) for one in around if one is not None and isinstance(one.node, (ast.If, ast.For)))
    for path in sorted(statement.reads):
        name = path.partition(".")[0]
        own = [one for one in source_of(file) if one.function is statement.function and name in one.writes]
        if statement.function is None or not own:
            origin, at = imported(file, path)
            module = source_of(origin)
            own = [one for one in module if one.function is None and at.partition(".")[0] in one.binds]
            yield from ((origin, one) for one in own if not isinstance(one.node, (ast.FunctionDef, ast.ClassDef)))
        else:
            yield from ((file, one) for one in own if one is not statement)
    for call in calls_of(statement):
        called = access_path(call.func)
        if called is None:
            continue
        origin, at = imported(file, called)
        last = at.rpartition(".")[2]
        for one in source_of(origin):
            if isinstance(one.node, ast.Return) and getattr(one.function, "name", "") == last:
                yield origin, one


def _sets(file: str, statement: Statement) -> dict[str, str | None]:
    """The names in a statement that a module assigns a set: their texts, as far as the search for an order needs them."""
    found: dict[str, str | None] = {}
    for path in statement.reads:
        origin, at = imported(file, path)
        made = (
            getattr(one.node, "value", None) for one in source_of(origin) if one.function is None and at in one.binds
        )
        if any(isinstance(value, (ast.Set, ast.SetComp)) for value in made):
            found[path] = "set()"
    return found
