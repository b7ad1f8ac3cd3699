"""Checks the words of this project: `make prose` lists what `CONTRIBUTING.md` asks to rewrite, and exits with 1.

Reads what people read: docstrings, comments and the longer string literals of both packages, the examples, and every
Markdown page. A phrase that has to stay is listed in `ALLOWED`, with the reason.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("src", "debugger", "examples", "docs")

BANNED: dict[str, str] = {
    r"\b(is|are|was|were|be) told( of)?\b(?! apart)": "say who reports what: 'the report lists', 'the observer receives'",
    r"\btells? of\b": "use 'reports' or 'lists'",
    r"\bmend(s|ed|ing)?\b": "use 'fix' or 'repair'",
    r"\bhappenings?\b": "use 'event' (of a history) or 'notification' (of an observer)",
    r"\b(no|some)body\b": "use 'no one', 'someone', or name who",
    r"\bbegun\b": "use 'started'",
    r"\bsomething else than\b": "use 'something other than'",
    r"\bother worlds?\b": "use 'perturbations'",
    r"\bbehaves? otherwise\b": "use 'behaves differently'",
    r"\b(are|is|was|were) to be retried\b": "use 'should be retried', or say who retries it",
    r"\bworlds?\b": "use 'perturbation' or 'recorded state'",
    r"\blanes?\b": "use 'task scope'",
    r"(?<!there )(?<!There )\bis no(?! (longer|more|less|other|such)\b) \w+": "use 'is not a'",
    r"(?<!there )\b(?-i:is none)\b(?!`)": "use 'is not one', or name what it is",
    r"\blet go( of)?\b": "use 'released'",
    r"\bfor good\b": "use 'permanently'",
    r"\bwhatever\b": "name what it is",
    r"\b(is|are) said\b": "say who says it, and where",
    r"\balso where\b": "use 'even where'",
    r"\bstop no more\b": "use 'toggle'",
    r"\w\(s\)(?!\w)": "write the singular and the plural out",
    r"\b[Pp]lease\b": "leave it out",
    r"\basks nobody\b": "say what the server does not check",
    r"\bsay more of\b": "use 'be more specific'",
    r"\btrouble\b": "use 'problem'",
}
"""A pattern of the private dialect, and what to write instead."""

ALLOWED: dict[str, dict[str, str]] = {
    "docs/prose.py": {"*": "holds the patterns"},
    "src/durable_execution/history/positions.py": {},
}
"""For each file, the text that may stay, with the reason; `*` allows the file."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A phrase to rewrite."""

    file: str
    line: int
    phrase: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.phrase!r}: {self.advice}"


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Each text of a file that people read, with its first line."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from _paragraphs(source)
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value


def _paragraphs(source: str) -> Iterator[tuple[int, str]]:
    is_code = False
    for number, line in enumerate(source.splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, re.sub(r"`[^`]*`", "``", line)


def check(path: Path) -> Iterator[Finding]:
    """The findings in one file."""
    file = path.relative_to(ROOT).as_posix()
    allowed = ALLOWED.get(file, {})
    if "*" in allowed:
        return
    for start, text in texts_of(path):
        for pattern, advice in BANNED.items():
            for match in re.finditer(pattern, text, flags=re.IGNORECASE):
                phrase = match[0].replace("\n", " ")
                around = text[max(0, match.start() - 40) : match.end() + 40]
                if not any(kept in around for kept in allowed):
                    yield Finding(file, start + text.count("\n", 0, match.start()), phrase, advice)


def pages() -> list[Path]:
    """Every file with texts, in order."""
    found = [path for folder in SOURCES for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".md"}]
    return sorted({*found, *ROOT.glob("*.md")} - {path for path in found if "__pycache__" in path.parts})


def main() -> int:
    """Print the findings."""
    findings = [finding for path in pages() for finding in check(path)]
    for finding in findings:
        print(finding)
    if findings:
        print(f"{len(findings)} to rewrite; docs/prose.py says why, and where an exception is listed", file=sys.stderr)
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
