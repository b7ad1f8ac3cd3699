"""The reference is complete: public packages, options, exit codes, environment variables."""

import dataclasses
import re
from pathlib import Path

import pytest

from durable_debugger.cli.exits import Exit
from durable_execution import config
from tests.architecture.test_public_face import PUBLIC

ROOT = Path(__file__).parents[2]
REFERENCE = "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "reference").glob("*.md")))
DOCS = REFERENCE + "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("**/*.md")))
OPTIONS = [
    (kind, field.name)
    for kind in config.__all__
    if kind.endswith("Config")
    for field in dataclasses.fields(getattr(config, kind))
]
READ = re.compile(r"environ(?:\.get\(|\[)\s*\"(\w+)\"|\"(DURABLE_[A-Z_]+)\"")
SET_BY_LAMBDA = {"_X_AMZN_TRACE_ID", "AWS_LAMBDA_RUNTIME_API", "_HANDLER", "LAMBDA_TASK_ROOT"}
"""Read by the SDK; nothing that a user sets."""


@pytest.mark.parametrize("package", PUBLIC)
def test_a_public_package_has_a_page(package: str) -> None:
    page = ROOT / "docs" / "api" / f"{package.replace('.', '-')}.md"
    assert f"::: {package}" in page.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_an_option_has_a_row_with_its_default(kind: str, option: str) -> None:
    row = re.search(rf"^\| `{option}(?:: .*?)?` \|.*?\| .+ \|$", REFERENCE, re.MULTILINE)
    assert row is not None, f"{kind}.{option} has no row"


def test_every_environment_variable_is_documented() -> None:
    sources = [file for folder in ("src", "debugger") for file in (ROOT / folder).rglob("*.py")]
    found: set[str] = {
        name for file in sources for pair in READ.findall(file.read_text("utf-8")) for name in pair if name
    }
    assert len(found) > 10
    assert {name for name in found - SET_BY_LAMBDA if f"`{name}`" not in DOCS and f"`{name}=" not in DOCS} == set()


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "command.md").read_text(encoding="utf-8")
    table = page.partition("| Exit code |")[2].partition("\n\n")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == sorted(Exit)
