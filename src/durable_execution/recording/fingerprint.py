"""A fingerprint of a handler's source: tells whether the code of today is the code of the recording."""

import inspect
from functools import lru_cache
from hashlib import blake2b
from typing import Any


@lru_cache(maxsize=256)
def fingerprint_of(function: Any) -> tuple[str | None, str | None]:
    """File and digest of a function's source; of its bytecode where there is no source; None where there is neither."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    if code is None:
        return None, None
    try:
        material = inspect.getsource(function).encode()
    except (OSError, TypeError):
        material = code.co_code + repr(code.co_names).encode()
    return code.co_filename, blake2b(material, digest_size=16).hexdigest()
