"""What the text or hash of an object shows besides its value: its address, where its class says nothing else, and the order of a set."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from durable_execution.replay.source.statement_names import access_path
from durable_execution.replay.source.statements import Statement, source_of

TEXT_OF = frozenset({"repr", "str", "ascii", "format", "pformat"})
MAKERS = TEXT_OF | {"dumps"}
"""Functions that make a text of what they are given. Not all of them ask it for its own."""

TEXTS = frozenset({"__repr__", "__str__", "__format__"})
HASHES = frozenset({"__hash__", "__eq__"})
_CLASS = re.compile(r"([A-Za-z_]\w*)\(")
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")
_WORD = re.compile(r"\w+")


def made_into_text(parts: Sequence[ast.AST], makers: frozenset[str] = MAKERS) -> Iterator[ast.expr]:
    """Yield the expressions that some syntax makes into text: `order` in `repr(order)` and in `f"{order}"`."""
    for node in (one for part in parts for one in ast.walk(part)):
        match node:
            case ast.FormattedValue():
                yield node.value
            case ast.BinOp(left=ast.Constant(value=str()) | ast.JoinedStr(), op=ast.Mod()):
                yield from node.right.elts if isinstance(node.right, ast.Tuple) else (node.right,)
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="format")):
                yield from node.args
                yield from (one.value for one in node.keywords)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[first, *_]) if name in makers:
                yield first
            case _:
                pass


def shows_order(text: str | None) -> bool:
    """Whether an object has a set of several items in it, whose order its own text shows."""
    if text is None or "{" not in text:
        return False
    try:
        nodes = ast.walk(ast.parse(text, mode="eval"))
    except (SyntaxError, ValueError, RecursionError):
        return False
    return any(isinstance(one, ast.Set) and len(one.elts) > 1 for one in nodes)


def addressed(statement: Statement, reads: Mapping[str, str | None], files: Sequence[str]) -> set[str]:
    """The names that a statement only makes into texts or hashes that show no value, but the address of an object.

    Args:
        statement: The statement.
        reads: The values that it reads, as texts.
        files: Where the classes are.
    """
    made = [(one, TEXTS) for one in made_into_text(statement.parts, TEXT_OF)]
    made += [(one, HASHES if name == "hash" else frozenset()) for name, one in _identified(statement.parts)]
    texts = ((one, reads.get(access_path(one) or ""), methods) for one, methods in made)
    shown = [one for one, text, methods in texts if text is not None and _has_address(text, methods, files)]
    inside = {id(node) for one in shown for node in ast.walk(one)}
    names = {node.id for one in shown for node in ast.walk(one) if isinstance(node, ast.Name)}
    others = (node for part in statement.parts for node in ast.walk(part) if id(node) not in inside)
    return names - {node.id for node in others if isinstance(node, ast.Name)}


def is_rearranged(ours: str, theirs: str) -> bool:
    """Whether two different texts have the same words in a different order."""
    return ours != theirs and sorted(_WORD.findall(ours)) == sorted(_WORD.findall(theirs))


def differs_in_address(ours: str, theirs: str) -> bool:
    """Whether two different texts are the same but for the addresses of objects."""
    return ours != theirs and bool(_ADDRESS.search(ours)) and _ADDRESS.sub("", ours) == _ADDRESS.sub("", theirs)


def _identified(parts: Sequence[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in (one for part in parts for one in ast.walk(part)):
        match node:
            case ast.Call(func=ast.Name(id="hash" | "id" as name), args=[first]):
                yield name, first
            case _:
                pass


def _has_address(text: str, methods: frozenset[str], files: Sequence[str]) -> bool:
    """Whether only its address distinguishes an object: none of some methods of its class says otherwise."""
    name = _CLASS.match(text)
    return not methods or (name is not None and not _has_own(name[1], methods, tuple(files)))


@lru_cache(maxsize=1_024)
def _has_own(name: str, methods: frozenset[str], files: tuple[str, ...]) -> bool:
    """Whether a class, or one that it is derived from, has one of some methods. True when that is unknown."""
    if name == "object":
        return False
    statements = (one for file in files for one in source_of(file))
    found = next((one.node for one in statements if isinstance(one.node, ast.ClassDef) and one.node.name == name), None)
    if found is None or found.decorator_list or found.keywords:
        return True
    own = {getattr(one, "name", "") for one in found.body}
    bases = (ast.unparse(one).rpartition(".")[2] for one in found.bases)
    return bool(own & methods) or any(base == name or _has_own(base, methods, files) for base in bases)
