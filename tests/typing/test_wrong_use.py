"""Wrong use fails to type-check: what mypy says of `wrong/` is what its `# E:` comments expect, no more and no less.

A comment reads `# E: [code] part of the message`, on the line the error is reported for.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WRONG = sorted((HERE / "wrong").glob("*.py"))
EXPECTED = re.compile(r"# E: \[(?P<code>[a-z-]+)\] *(?P<message>.*)$")
REPORTED = re.compile(r"^(?P<file>.+?):(?P<line>\d+): error: (?P<message>.*?)  \[(?P<code>[a-z-]+)\]$")


@pytest.fixture(scope="session")
def reported(repository: Path) -> dict[tuple[str, int], list[str]]:
    """What mypy says, by file and line: `[code] message`."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--no-pretty", "--hide-error-context"]
    places = ["--config-file", "pyproject.toml", "--cache-dir", ".mypy_cache/wrong-use", *map(str, WRONG)]
    done = subprocess.run([*command, *places], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    found: dict[tuple[str, int], list[str]] = {}
    for match in filter(None, map(REPORTED.match, done.stdout.splitlines())):
        key = (Path(match["file"]).name, int(match["line"]))
        found.setdefault(key, []).append(f"[{match['code']}] {match['message']}")
    return found


def expected(path: Path) -> dict[int, tuple[str, str]]:
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    return {n: (match["code"], match["message"]) for n, line in lines if (match := EXPECTED.search(line))}


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
@pytest.mark.timeout(300)
def test_wrong_use_is_refused(path: Path, reported: dict[tuple[str, int], list[str]]) -> None:
    wanted = expected(path)
    assert wanted, f"{path.name} expects nothing: add `# E:` comments"
    for line, (code, message) in wanted.items():
        said = reported.get((path.name, line), [])
        assert any(text.startswith(f"[{code}]") and message in text for text in said), (
            f"{path.name}:{line} should be refused with [{code}] {message}; mypy says {said or 'nothing'}"
        )
    surplus = {line: text for (name, line), text in reported.items() if name == path.name and line not in wanted}
    assert not surplus, f"{path.name}: not expected: {surplus}"
