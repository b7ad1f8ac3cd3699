"""Every code block of the documentation runs, and prints what the page says."""

import ast
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.pages import Block, blocks, pages, printed, program, title

WITH_CODE = [page for page in pages() if program(page).strip()]
ALL_BLOCKS = [(page, block) for page in pages() for block in blocks(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=title)
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page_" + page.stem.replace("-", "_"))
    module.__file__ = str(page)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(program(page), str(page), "exec"), vars(module))
    if expected := printed(page):
        assert capsys.readouterr().out.splitlines() == expected


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
