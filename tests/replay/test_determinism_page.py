"""Every wrong version on the page about determinism is caught, every right one passes without findings."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from durable_execution.history.reading import read_history
from durable_execution.lint import lint_sources
from durable_execution.replay import Replayer
from tests.docs.pages import REPOSITORY, Block, blocks
from tests.replay.recording import history_of

PAGE = REPOSITORY / "docs" / "determinism.md"
BLOCKS = [block for block in blocks(PAGE) if block.language == "python"]
PREAMBLE = next(block.text for block in BLOCKS if not block.options)
WRONG = [block for block in BLOCKS if "wrong" in block.options]
RIGHT = [block for block in BLOCKS if "right" in block.options]


def source(block: Block) -> str:
    return f"{PREAMBLE}\n\n{block.text}\n"


def handler_of(block: Block, directory: Path) -> Any:
    return module_of(block, directory).handler


def module_of(block: Block, directory: Path) -> Any:
    path = directory / f"line_{block.line}.py"
    path.write_text(source(block), encoding="utf-8")
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(source(block), str(path), "exec"), vars(module))
    return module


def where(block: Block) -> str:
    return f"line-{block.line}"


@pytest.mark.parametrize("block", WRONG, ids=where)
def test_the_linter_catches_the_wrong_version(block: Block) -> None:
    assert lint_sources({"page.py": source(block)}) != []


@pytest.mark.parametrize("block", WRONG, ids=where)
def test_a_replay_names_what_the_wrong_version_depends_on(block: Block, tmp_path: Path) -> None:
    if "urlopen" in block.text:
        handler = handler_of(block, tmp_path)
        right = module_of(RIGHT[0], tmp_path)
        assert Replayer(handler).replay(history_of(right.handler, right.ORDER)[0]).effects
        return
    module = module_of(block, tmp_path)
    report = Replayer(module.handler).replay(read_history(history_of(module.handler, module.ORDER)[0]))
    is_unseen = any(word in block.text for word in ('{line["', "FIRST_COMPLETED"))
    assert is_unseen or report.roots or report.suspects or report.effects


@pytest.mark.parametrize("block", RIGHT, ids=where)
def test_the_right_version_passes_without_findings(block: Block, tmp_path: Path) -> None:
    assert [str(found) for found in lint_sources({"page.py": source(block)})] == []
    module = module_of(block, tmp_path)
    events, arn = history_of(module.handler, module.ORDER)
    report = Replayer(module.handler).replay(read_history(events, arn=arn))
    assert (report.divergences, report.suspects, report.effects) == ((), (), ())


def test_every_wrong_version_has_a_right_one() -> None:
    assert len(WRONG) >= 10
    assert len(RIGHT) >= 10
