"""The source text that a replay trace keeps, so that a difference can be traced to an edit after the code has changed."""

import base64
import json
import linecache
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

from durable_execution.redaction import Redaction, redacted_source

MAX_FILE = 100_000
"""Characters of a file that is kept."""

MAX_BYTES = 8 * MAX_FILE
"""Bytes to which a recorded file may expand when it is read. Its markers of hidden secrets may be longer than the secrets."""

MAX_FILES = 30
LIBRARIES = ("site-packages", "dist-packages")
SDK = f"{Path(__file__).parents[1]}{os.sep}"


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """A file as it was when it was recorded.

    Attributes:
        text: Its text, with secrets hidden.
        digest: Digest of the text before secrets were hidden, so that a change of a secret shows.
    """

    text: str
    digest: str | None = None


def prepare() -> None:
    """Load what `source_lines` needs, while the environment starts.

    In the thread of an invocation it would be loaded while Ctrl+C may end the program: Python forgets an unhandled
    KeyboardInterrupt, and so the exit code, when any thread compiles text.
    """
    redacted_source("")


def pack(handler_file: str, rules: Redaction) -> None:
    """Read, redact and compress a handler's files while the environment starts: it takes about 2 ms for a kilobyte of source."""
    for file in (handler_file, *_beside(handler_file))[:MAX_FILES]:
        _packed(file, rules)


def source_lines(handler_file: str | None, call_sites: Iterable[str], rules: Redaction | None = None) -> Iterator[str]:
    """Yield a trace line, as text, for each file of user code: those that call operations, and the modules beside the handler.

    Secrets in the files are hidden, in place: the lines keep their numbers.

    Args:
        handler_file: File of the handler.
        call_sites: Files that call operations.
        rules: What is hidden.
    """
    files = dict.fromkeys([*([handler_file] if handler_file else []), *sorted(call_sites)])
    files |= dict.fromkeys(_beside(handler_file)) if handler_file else {}
    for file in list(files)[:MAX_FILES]:
        found = _packed(file, rules)
        if found is not None:
            yield found


def _beside(handler_file: str) -> tuple[str, ...]:
    """Files of the loaded modules in the handler's folder and below, without the libraries that a deployment package holds there."""
    modules = sys.modules
    return _loaded_beside(handler_file, len(modules), next(reversed(modules), None))


@lru_cache(maxsize=64)
def _loaded_beside(handler_file: str, _count: int, _latest: str | None) -> tuple[str, ...]:
    """Return the same. Looking at all modules takes longer than an invocation, so it is done again once others are loaded."""
    folder = f"{Path(handler_file).parent}{os.sep}"
    if any(part in folder for part in LIBRARIES):
        return ()
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    own = {file for file in files if isinstance(file, str) and file.startswith(folder) and file.endswith(".py")}
    installed = installed_in(folder, Path(handler_file).name)
    return tuple(
        file
        for file in sorted(own)
        if not file.startswith(SDK)
        and not any(part in file for part in LIBRARIES)
        and file.removeprefix(folder).partition(os.sep)[0] not in installed
    )


@lru_cache(maxsize=16)
def installed_in(folder: str, own_name: str) -> frozenset[str]:
    """Files and folders that `pip install --target` put in a folder, except those of the distribution that put `own_name` there."""
    found: set[str] = set()
    for record in Path(folder).glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
        names = {line.partition(",")[0].partition("/")[0] for line in lines}
        if own_name not in names:
            found |= names
    return frozenset(found)


@lru_cache(maxsize=256)
def _packed(file: str, rules: Redaction | None) -> str | None:
    text = "".join(linecache.getlines(file))
    if not text or len(text) > MAX_FILE:
        return None
    packed = _compressed(redacted_source(text, rules))
    return json.dumps({"record": "source", "file": file, "digest": digest_of_source(text), "zlib": packed}) + "\n"


def digest_of_source(text: str) -> str:
    """Return the content address of a file's text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _compressed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"))).decode("ascii")


def source_texts(lines: Iterable[Mapping[str, Any]]) -> dict[str, RecordedSource]:
    """Read the lines that `source_lines` made, by the path of the file. Lines that cannot be read are left out.

    Secrets are hidden here too: earlier versions recorded the files as they were.
    """
    return {
        line["file"]: RecordedSource(text, line["digest"] if isinstance(line.get("digest"), str) else None)
        for line, text in _readable(lines)
    }


def without_secrets(lines: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Return the lines that `source_lines` of this or an earlier version made, with secrets hidden.

    Lines that cannot be read are left out: a part of a damaged one may still be readable to others.
    """
    return tuple({**line, "zlib": _compressed(text)} for line, text in _readable(lines))


def _readable(lines: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the lines with their redacted texts, of as many files as a trace keeps."""
    texts = ((line, _text(line)) for line in lines)
    return islice(((line, redacted_source(text)) for line, text in texts if text is not None), MAX_FILES)


def _text(line: Mapping[str, Any]) -> str | None:
    reader = zlib.decompressobj()
    try:
        packed = reader.decompress(base64.b64decode(line["zlib"]), MAX_BYTES)
        text = packed.decode("utf-8", "surrogatepass")
        return text if reader.eof and isinstance(line["file"], str) else None
    except (KeyError, TypeError, ValueError, zlib.error):
        return None
