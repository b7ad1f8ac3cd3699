"""Recorded histories against programs that make the same calls: nothing is reported; `test_fixes.py` has the others."""

import json
from pathlib import Path

import pytest

from durable_execution.history.reading import read_history
from durable_execution.replay import Replayer, Verdict
from tests.replay.programs import handler_of

SILENT = sorted((Path(__file__).parent / "corpus" / "silent").glob("*.json"))
pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("path", SILENT, ids=lambda path: path.stem)
def test_a_deterministic_program_stays_silent(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    report = Replayer(handler_of(case["replayed_program"])).replay(read_history(case["history"]))
    assert [(one.kind.value, one.path, one.severity.value) for one in report.roots] == []
    assert report.verdict is Verdict.SAME, report.error


def test_the_corpus_is_large_enough() -> None:
    assert len(SILENT) >= 40
