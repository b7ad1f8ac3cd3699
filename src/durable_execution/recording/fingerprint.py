"""A fingerprint of a handler's source: shows whether today's code is the recorded code."""

import inspect
from functools import lru_cache
from hashlib import blake2b
from typing import Any


@lru_cache(maxsize=256)
def fingerprint_of(function: Any) -> tuple[str | None, str | None]:
    """Return the file and the digest of a function's source (of its bytecode if there is no source), or two Nones."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    if code is None:
        return None, None
    try:
        material = inspect.getsource(function).encode()
    except (OSError, TypeError):
        material = code.co_code + repr(code.co_names).encode()
    return code.co_filename, blake2b(material, digest_size=16).hexdigest()
