"""Recorded histories against changed programs: each difference is found, at the right call, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest

from durable_execution.divergence import Severity, explanation
from durable_execution.history.reading import read_history
from durable_execution.replay import Replayer, ReplayReport, Verdict
from tests.replay.programs import handler_of

CORPUS = Path(__file__).parent / "corpus"
DIVERGENT = sorted((CORPUS / "divergent").glob("*.json"))
SILENT = sorted((CORPUS / "silent").glob("*.json"))


def replayed(path: Path) -> tuple[dict[str, Any], ReplayReport]:
    case = json.loads(path.read_text(encoding="utf-8"))
    handler = handler_of(case["replayed_program"])
    return case, Replayer(handler).replay(read_history(case["history"]))


@pytest.mark.parametrize("path", DIVERGENT, ids=lambda path: path.stem)
def test_a_change_is_found_at_its_root(path: Path) -> None:
    case, report = replayed(path)
    roots = [(one.kind.value, one.path) for one in report.roots if one.severity is not Severity.INFO]
    assert roots == [(case["expected"]["kind"], case["expected"]["path"])]
    assert report.exit_code == 1
    assert all(text for _, text in explanation(report.roots[0]))


@pytest.mark.parametrize("path", SILENT, ids=lambda path: path.stem)
def test_a_deterministic_program_stays_silent(path: Path) -> None:
    _, report = replayed(path)
    assert [(one.kind.value, one.path, one.severity.value) for one in report.roots] == []
    assert report.verdict is Verdict.SAME, report.error


def test_the_corpus_is_large_enough() -> None:
    assert len(DIVERGENT) >= 40
    assert len(SILENT) >= 40
