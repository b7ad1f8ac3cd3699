"""Distinguishes functions by their code: unnamed steps look alike in a history, but their bodies differ."""

from __future__ import annotations

from hashlib import blake2b
from types import CodeType
from typing import Any

MAX_KNOWN = 4096

_known: dict[CodeType, str] = {}


def fingerprint_of_code(function: Any) -> str | None:
    """A digest of a function's code; None when the function has no code. Equal code has an equal digest in any file or line.

    The digest covers bytecode: you can compare it between processes that run the same version of Python.
    """
    function = getattr(function, "function", function)
    code = getattr(getattr(function, "func", function), "__code__", None)
    if not isinstance(code, CodeType):
        return None
    found = _known.get(code)
    if found is None:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        found = _known[code] = _digest(code)
    return found


def _digest(code: CodeType) -> str:
    digest = blake2b(digest_size=8)
    pending = [code]
    while pending:
        current = pending.pop()
        digest.update(current.co_code)
        digest.update(repr((current.co_names, current.co_freevars)).encode())
        for constant in current.co_consts:
            if isinstance(constant, CodeType):
                pending.append(constant)
            else:
                digest.update(repr(constant).encode())
    return digest.hexdigest()
