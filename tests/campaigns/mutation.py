"""Hostile variants of recorded files: what disks, other tools and editors make of a history, a replay trace or a store."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

JUNK: tuple[Any, ...] = (
    None, "", "x", 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 1.5, -0.0, 1e308, float("nan"), float("inf"), True, False,
    [], {}, [None], {"": None}, "\ud800", "\x00", "9" * 400, "1970", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
    "2026-02-30T00:00:00Z", "NaN", "$LATEST", "arn:aws:lambda", "⊘", "STARTED", "SUCCEEDED", "EXECUTION", 253402300800000,
    [[[[[[]]]]]], {"Payload": None}, {"Payload": 7}, {"Truncated": True}, {"Payload": "{"}, "{", "[", "../../etc/passwd", "%s",
)  # fmt: skip
"""Values put in place of others."""

Path = list[str | int]


def paths_of(value: Any, prefix: Path | None = None) -> list[Path]:
    """Every position in a JSON value."""
    here = prefix or []
    found = [here] if here else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += paths_of(item, [*here, key])
    return found


def mutate(value: Any, chance: random.Random) -> Any:
    """A copy of a JSON value with one to three changes."""
    found = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        paths = paths_of(found)
        if not paths:
            return chance.choice(JUNK)
        path = chance.choice(paths)
        parent = found
        for key in path[:-1]:
            parent = parent[key]
        chance.choice(_CHANGES)(parent, path[-1], chance)
    return found


def damage(data: bytes, chance: random.Random) -> bytes:
    """A copy of a file with one to eight damaged places."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if not found:
            break
        place = chance.randrange(len(found))
        match chance.randrange(5):
            case 0:
                found[place] ^= 1 << chance.randrange(8)
            case 1:
                found[place : place + chance.randint(1, 64)] = bytes(chance.randint(1, 64))
            case 2:
                del found[place : place + chance.randint(1, 64)]
            case 3:
                found[place:place] = chance.randbytes(chance.randint(1, 64))
            case _:
                del found[place:]
    return bytes(found)


def overwrite(data: bytes, chance: random.Random) -> bytes:
    """A copy of a file of the same length with damaged bytes, as a failing disk leaves it."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 40)):
        place = chance.randrange(len(found))
        found[place] = chance.randrange(256)
    return bytes(found)


def encode(value: Any) -> str:
    """JSON text of a mutated value, with everything Python's JSON accepts."""
    return json.dumps(value, ensure_ascii=chance_of_ascii(value))


def chance_of_ascii(value: Any) -> bool:
    """Whether a value must be escaped: unpaired surrogates have no UTF-8 form."""
    return "\\ud8" in json.dumps(value)


def _replace(parent: Any, key: Any, chance: random.Random) -> None:
    parent[key] = copy.deepcopy(chance.choice(JUNK))


def _remove(parent: Any, key: Any, chance: random.Random) -> None:
    del chance
    del parent[key]


def _repeat(parent: Any, key: Any, chance: random.Random) -> None:
    if isinstance(parent, list):
        parent.insert(chance.randint(0, len(parent)), copy.deepcopy(parent[key]))
    else:
        parent[f"{key}2"] = copy.deepcopy(parent[key])


def _swap(parent: Any, key: Any, chance: random.Random) -> None:
    other = chance.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
    parent[key], parent[other] = parent[other], parent[key]


def _nest(parent: Any, key: Any, chance: random.Random) -> None:
    value = parent[key]
    for _ in range(chance.choice((1, 3, 200))):
        value = [value]
    parent[key] = value


def _edit_text(parent: Any, key: Any, chance: random.Random) -> None:
    value = parent[key]
    if isinstance(value, str) and value:
        place = chance.randrange(len(value))
        parent[key] = value[:place] + chance.choice(("", "é", "\x1b[2J", " ", "0", '"', "}")) + value[place + 1 :]
    elif isinstance(value, int):
        parent[key] = value + chance.choice((-1, 1, 10**6, -(10**6), 10**15))
    else:
        _replace(parent, key, chance)


_CHANGES: tuple[Callable[[Any, Any, random.Random], None], ...] = (
    _replace, _replace, _remove, _remove, _repeat, _swap, _nest, _edit_text, _edit_text,
)  # fmt: skip
