"""Recorded histories against changed programs: each difference is found at the right call, with a fix that works.

The fix of a report is code: applied to the edited program, it makes the recorded calls again.
"""

import json
from pathlib import Path

import pytest

from durable_execution.divergence import DivergenceKind, Severity, explanation
from durable_execution.history.reading import read_history
from durable_execution.replay import Replayer, Verdict
from tests.replay.fixes_of_programs import fixed
from tests.replay.programs import handler_of

CASES = sorted((Path(__file__).parent / "corpus" / "divergent").glob("*.json"))
WITHOUT_CODE = {DivergenceKind.RESULT, DivergenceKind.OUTCOME}
pytestmark = pytest.mark.acceptance
"""Kinds whose fix is not code: a value has to be computed from recorded values, in a way that only its author knows."""


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_change_is_found_at_its_root_and_the_fix_restores_the_recorded_path(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    recorded = read_history(case["history"])
    report = Replayer(handler_of(case["replayed_program"])).replay(recorded)
    roots = [(one.kind.value, one.path) for one in report.roots if one.severity is not Severity.INFO]
    assert roots == [(case["expected"]["kind"], case["expected"]["path"])]
    assert report.exit_code == 1
    assert all(text for _, text in explanation(report.roots[0]))
    root = report.root
    assert root is not None
    programs = fixed(case, root)
    if not programs:
        assert root.kind in WITHOUT_CODE or "record the execution again" in root.fix or "nesting" in root.fix, root
    for body in programs:
        again = Replayer(handler_of({**case["replayed_program"], "body": body})).replay(recorded)
        assert again.verdict is Verdict.SAME, (root.fix, body, again.roots, again.error)


def test_the_corpus_is_large_enough() -> None:
    assert len(CASES) >= 40
