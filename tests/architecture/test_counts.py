"""Numbers of things agree with their nouns, because every text takes the noun from `durable_execution.counts`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable_execution.counts import counted, plural

ROOT = Path(__file__).parents[2]
FILES = sorted(
    file for folder in ("src/durable_execution", "debugger/durable_debugger") for file in (ROOT / folder).rglob("*.py")
)
NOUNS = re.compile(
    r"^(?:[a-z]+ )?(answers|attempts|branches|bytes|calls|callbacks|characters|days|differences|effects|errors|events|executions|"
    r"failures|files|findings|groups|handlers|histories|hits|hours|invocations|items|lines|minutes|names|notes|operations|"
    r"pages|perturbations|places|programs|recordings|replays|retries|rows|rules|seconds|spans|states|steps|tasks|times|"
    r"traces|values|variables|versions|waits|warnings)\b"
)
ALLOWED = {
    "times": "wording.times says once and twice",
    "seconds": "measured or configured durations; `1 seconds` is the service's own text",
    "bytes": "limits",
}
TEXTS = {"where", "text", "name", "operation", "self._name", "recorded.short_name", "limits.operations"}
"""Values in front of a verb, and the limit in a text that is the service's own."""


def test_a_noun_follows_its_number() -> None:
    assert [counted(number, "later call") for number in (0, 1, 2)] == ["0 later calls", "1 later call", "2 later calls"]
    assert [counted(number, "retry", "retries") for number in (0, 1, 1_200)] == [
        "0 retries",
        "1 retry",
        "1,200 retries",
    ]
    assert [plural(number, "is", "are") for number in (0, 1, 2)] == ["are", "is", "are"]


def _texts(file: Path) -> Iterator[tuple[int, str, str]]:
    """A value in a text and what comes right after it: line, value, text."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, after in zip(node.values, node.values[1:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                yield node.lineno, ast.unparse(value.value), str(after.value)


def test_no_text_writes_a_plural_noun_behind_a_number_that_may_be_one() -> None:
    wrong = []
    for file in FILES:
        for line, value, text in _texts(file):
            found = NOUNS.match(text[1:]) if text.startswith(" ") else None
            if found is None or found[1] in ALLOWED or value in TEXTS or value.split(".")[-1].isupper():
                continue
            wrong.append(f"{file.relative_to(ROOT)}:{line}: {{{value}}}{text[:30]}")
    assert wrong == []


@pytest.mark.parametrize("way", ["'' if", '"" if', "'s' if", '"s" if', "(s)"])
def test_no_text_makes_its_own_plural(way: str) -> None:
    pattern = re.compile(re.escape(way) + r" [\w.()]+ == 1 else" if way != "(s)" else r"[a-z]\(s\)")
    wrong = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for file in FILES
        if file.name != "counts.py"
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert wrong == []
