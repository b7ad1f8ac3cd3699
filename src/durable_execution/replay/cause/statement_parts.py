"""Parts of a statement that have nothing to do with what is followed: `clock()` in `at, shelf = clock(), choose()`, for `shelf`.

Both may differ in each replay, and only one of them decides.
"""

import ast
from collections.abc import Callable, Collection, Iterator, Sequence

from durable_execution.replay.cause.shared_values import CONSTRUCTORS, called_in, class_around
from durable_execution.replay.lines.line_recording import Frame
from durable_execution.replay.source.statements import Statement, calls_of, imported, source_of

Wanted = Callable[[str], Collection[str]]
"""Gives the fields that are followed of the objects of a class; none if none is."""


def beside(
    statement: Statement, names: Collection[str], fields: Wanted, file: str, keys: Collection[str] | None = None
) -> list[ast.AST]:
    """Return the parts of a statement that give other names, and other fields of the objects that it makes.

    Args:
        statement: The statement.
        names: Its names that are followed; none if that is not known.
        fields: The fields that are followed.
        file: Its file.
        keys: The keys of the dictionary that it makes that are followed; None if others may be, too.
    """
    entries = _other_entries(statement.node, keys) if keys is not None else ()
    return [*_other_items(statement.node, names), *_other_arguments(statement, fields, file), *entries]


def _other_entries(node: ast.AST, keys: Collection[str]) -> Iterator[ast.AST]:
    match node:
        case ast.Assign(targets=[ast.Name()], value=ast.Dict(keys=given, values=values)):
            if all(isinstance(one, ast.Constant) for one in given):
                texts = (repr(one.value) for one in given if isinstance(one, ast.Constant))
                yield from (value for key, value in zip(texts, values, strict=True) if key not in keys)
        case _:
            pass


def _other_items(node: ast.AST, names: Collection[str]) -> Iterator[ast.AST]:
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=targets) | ast.List(elts=targets)], value=ast.Tuple(elts=items)):
            if len(targets) == len(items) and not any(isinstance(one, ast.Starred) for one in (*targets, *items)):
                pairs = [(getattr(target, "id", None), item) for target, item in zip(targets, items, strict=True)]
                if any(name in names for name, _ in pairs):
                    yield from (item for name, item in pairs if name not in names)
        case _:
            pass


def _other_arguments(statement: Statement, fields: Wanted, file: str) -> Iterator[ast.AST]:
    for part in statement.parts:
        for call in ast.walk(part):
            if not isinstance(call, ast.Call) or not isinstance(call.func, (ast.Name, ast.Attribute)):
                continue
            name = call.func.id if isinstance(call.func, ast.Name) else call.func.attr
            wanted = fields(name)
            if wanted:
                given = dict(zip(_fields(file, name), call.args, strict=False))
                given.update({one.arg: one.value for one in call.keywords if one.arg is not None})
                if not given.keys().isdisjoint(wanted):
                    yield from (value for field, value in given.items() if field not in wanted)


def leaves_out(statement: Statement, owner: str, name: str, file: str) -> bool:
    """Whether a statement makes an object of a class without a value for a field, as far as its syntax tells."""
    calls = [one for one in calls_of(statement) if called_in(one) == owner]
    unclear = (isinstance(one, ast.Starred) or getattr(one, "arg", "") is None for call in calls
               for one in (*call.args, *call.keywords))  # fmt: skip
    if not calls or any(unclear):
        return True
    fields = _fields(file, owner)
    return any(
        name not in fields[: len(call.args)] and name not in {one.arg for one in call.keywords} for call in calls
    )


def _fields(file: str, name: str) -> Sequence[str]:
    """The fields of a class in the order in which its objects are given them; none if it has a constructor of its own."""
    origin, name = imported(file, name)
    body = [one for one in source_of(origin) if class_around(origin, one) == name]
    if any(getattr(one.node, "name", "") in CONSTRUCTORS for one in body):
        return ()
    fields = [one for one in body if isinstance(one.node, ast.AnnAssign) and one.function is None]
    return [one.node.target.id for one in fields if isinstance(one.node.target, ast.Name)]  # type: ignore[attr-defined]


def only_in(statement: Statement, parts: Sequence[ast.AST]) -> frozenset[str]:
    """The names of variables, functions and attributes that a statement reads in some of its parts only."""
    inside = {id(node) for part in parts for node in ast.walk(part)}
    here, elsewhere = set[str](), set[str]()
    for node in (one for part in statement.parts for one in ast.walk(part)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
                (here if id(node) in inside else elsewhere).add(name)
            case _:
                pass
    return frozenset(here - elsewhere)


def called_name(frame: Frame) -> str:
    """The name by which a statement calls the function of a frame: that of the class, for a constructor."""
    *outer, name = frame.function.split(".")
    return outer[-1] if name in CONSTRUCTORS and outer else name
