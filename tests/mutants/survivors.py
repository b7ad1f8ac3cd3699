"""The mutants that no test can notice: `survivors.txt`, with a reason for each."""

from collections.abc import Sequence
from pathlib import Path

FILE = Path(__file__).with_name("survivors.txt")
SEPARATOR = " | "


def known() -> list[str]:
    """The lines of the file, less its heading: `module | line before | line after | reason`."""
    return [line for line in FILE.read_text(encoding="utf-8").splitlines()[1:] if SEPARATOR in line]


def keys(lines: Sequence[str]) -> set[str]:
    """What identifies the mutants: the lines without their reasons."""
    return {line.rpartition(SEPARATOR)[0] for line in lines}


def stale(lines: Sequence[str], root: Path) -> list[str]:
    """The lines whose module, or whose line of code, no longer exists.

    Args:
        lines: Lines of the file.
        root: The folder in which modules have their paths.
    """
    code: dict[str, set[str]] = {}
    found = []
    for line in lines:
        module, _, rest = line.partition(SEPARATOR)
        if module not in code:
            path = root / module
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            code[module] = {each.strip() for each in text.splitlines()} - {""}
        if not any(rest.startswith(each + SEPARATOR) for each in code[module]):
            found.append(line)
    return found
