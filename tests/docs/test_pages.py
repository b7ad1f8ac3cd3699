"""Every code block of the documentation runs, and prints what the page says."""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY, Block, blocks, needs_own_process, pages, printed, program, title
from tests.docs.run_page import run

WITH_CODE = [page for page in pages() if program(page).strip()]
ALL_BLOCKS = [(page, block) for page in pages() for block in blocks(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=title)
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if needs_own_process(page):
        monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
        subprocess.run([sys.executable, "-m", "tests.docs.run_page", str(page)], check=True, timeout=50)
    else:
        run(page)
    if expected := printed(page):
        assert capfd.readouterr().out.splitlines() == expected


@pytest.mark.parametrize(
    ("page", "block"),
    [(page, block) for page, block in ALL_BLOCKS if block.language in {"python", "json", "toml"}],
    ids=lambda value: f"{value.line}" if isinstance(value, Block) else title(value),
)
def test_a_block_is_what_it_says_it_is(page: Path, block: Block) -> None:
    readers: dict[str, Callable[[str], object]] = {
        "python": lambda text: compile(text, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT),
        "json": json.loads,
        "toml": tomllib.loads,
    }
    readers[block.language](block.text)
