"""Source files of call sites on this computer, and whether they still match the recording."""

import ast
import inspect
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from durable_debugger.model.secrets import Secrets

MAX_BYTES = 4_000_000
TAB = 4


@dataclass(frozen=True, slots=True)
class SourceText:
    """A source file.

    Attributes:
        path: Its path on this computer.
        lines: Its lines, tabs expanded.
    """

    path: Path
    lines: tuple[str, ...]

    def digest_of(self, qualname: str) -> str | None:
        """Return the digest of a function, computed as in replay traces; None when the function is missing."""
        start = _first_line(self.lines, qualname)
        if start is None:
            return None
        try:
            block = inspect.getblock([f"{line}\n" for line in self.lines[start - 1 :]])
        except (SyntaxError, IndentationError):
            return None
        return blake2b("".join(block).encode(), digest_size=16).hexdigest()


class SourceTexts:
    """Finds source files; reads each once.

    Args:
        roots: Directories to search for files recorded on a different computer.
    """

    def __init__(self, roots: tuple[Path, ...] = (Path(),)) -> None:
        self._roots = roots
        self._known: dict[str, SourceText | None] = {}
        self._shown: dict[str, SourceText | None] = {}

    def forget(self) -> None:
        """Read files again: they may have been edited."""
        self._known.clear()
        self._shown.clear()

    def get(self, file: str) -> SourceText | None:
        """Return the file of a call site; None when it is not on this computer."""
        if file not in self._known:
            self._known[file] = self._read(file)
        return self._known[file]

    def shown(self, file: str, secrets: Secrets | None) -> SourceText | None:
        """Return the file of a call site with its secrets hidden, each line in its place."""
        text = self.get(file)
        if secrets is None or text is None:
            return text
        if file not in self._shown:
            lines = secrets.source("\n".join(text.lines)).split("\n")
            self._shown[file] = text if tuple(lines) == text.lines else SourceText(text.path, tuple(lines))
        return self._shown[file]

    def _read(self, file: str) -> SourceText | None:
        for path in self._candidates(file):
            try:
                if path.is_file() and path.stat().st_size <= MAX_BYTES:
                    text = path.read_text(encoding="utf-8", errors="replace")
                    return SourceText(path, tuple(line.expandtabs(TAB) for line in text.splitlines()))
            except (OSError, ValueError):  # a path that is invalid here
                continue
        return None

    def _candidates(self, file: str) -> list[Path]:
        """Return the path itself, then its suffixes below the roots, longest first: `/var/task/app/flow.py` is `./app/flow.py`."""
        parts = [part for part in PurePosixPath(file.replace("\\", "/")).parts if part != "/"]
        endings = [Path(*parts[start:]) for start in range(len(parts))]
        return [Path(file), *(root / ending for root in self._roots for ending in endings)]


def _first_line(lines: tuple[str, ...], qualname: str) -> int | None:
    try:
        node: ast.AST = ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError):
        return None
    for name in qualname.split("."):
        if name == "<locals>":
            continue
        found = next((child for child in ast.walk(node) if getattr(child, "name", None) == name), None)
        if found is None:
            return None
        node = found
    decorators = getattr(node, "decorator_list", [])
    line: int = min([node.lineno, *(each.lineno for each in decorators)])  # type: ignore[attr-defined]
    return line
