"""The source text that a replay trace keeps, so that a difference can be traced to an edit after the code has changed."""

import base64
import linecache
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

MAX_FILE = 100_000
"""Characters of a file that is kept."""

MAX_FILES = 30
LIBRARIES = ("site-packages", "dist-packages")


def source_lines(handler_file: str | None, call_sites: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield a trace line for each file of user code: those that call operations, and the modules beside the handler.

    Args:
        handler_file: File of the handler.
        call_sites: Files that call operations.
    """
    files = dict.fromkeys([*([handler_file] if handler_file else []), *sorted(call_sites)])
    files |= dict.fromkeys(_beside(handler_file)) if handler_file else {}
    for file in list(files)[:MAX_FILES]:
        found = _packed(file)
        if found is not None:
            digest, text = found
            yield {"record": "source", "file": file, "digest": digest, "zlib": text}


def _beside(handler_file: str) -> list[str]:
    """Files of the loaded modules in the handler's folder and below."""
    folder = str(Path(handler_file).parent)
    if any(part in folder for part in LIBRARIES):
        return []
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    own = {file for file in files if isinstance(file, str) and file.startswith(folder) and file.endswith(".py")}
    return sorted(file for file in own if not any(part in file for part in LIBRARIES))


@lru_cache(maxsize=256)
def _packed(file: str) -> tuple[str, str] | None:
    text = "".join(linecache.getlines(file))
    if not text or len(text) > MAX_FILE:
        return None
    encoded = text.encode("utf-8", "surrogatepass")
    digest = blake2b(encoded, digest_size=16).hexdigest()
    return digest, base64.b64encode(zlib.compress(encoded)).decode("ascii")


def source_texts(lines: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Read the lines that `source_lines` made: the text of each file, by its path. Lines that cannot be read are left out."""
    found: dict[str, str] = {}
    for line in lines:
        try:
            packed = base64.b64decode(line["zlib"])
            found[str(line["file"])] = zlib.decompress(packed).decode("utf-8", "surrogatepass")
        except (KeyError, TypeError, ValueError, zlib.error):
            continue
    return found
