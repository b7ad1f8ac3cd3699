"""The fix of a report is code: applied to the edited program, it makes the recorded calls again."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from durable_execution.comparison import Divergence, DivergenceKind
from durable_execution.history.reading import read_history
from durable_execution.replay import Replayer, Verdict
from tests.replay.programs import handler_of

CORPUS = Path(__file__).parent / "corpus" / "divergent"
CASES = sorted(CORPUS.glob("*.json"))
PATCHED = re.compile(r'`if (?:not )?ctx\.patched\("([^"]+)"\):`')
NAMED = re.compile(r'`name="([^"]+)"`')
WITHOUT_CODE = {DivergenceKind.RESULT, DivergenceKind.OUTCOME}
"""Kinds whose fix is not code: a value has to be computed from recorded values, in a way that only its author knows."""

Body = list[dict[str, Any]]


def guarded(before: Body, after: Body, change: str) -> Body:
    """The edited program with the edit made only `if ctx.patched(change)`, as close to it as statements allow."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    if len(old) == len(new) == 1 and (inner := _guarded_inside(old[0], new[0], change)) is not None:
        return [*after[:start], inner, *after[len(after) - end :]]
    return [*after[:start], {"op": "patched", "change": change, "then": new, "else": old}, *after[len(after) - end :]]


def _guarded_inside(old: dict[str, Any], new: dict[str, Any], change: str) -> dict[str, Any] | None:
    """The statement with the edit guarded in its body; None if the statement itself was edited."""
    if {**old, "body": None} == {**new, "body": None} and "body" in old:
        return {**new, "body": guarded(old["body"], new["body"], change)}
    branches, others = old.get("branches"), new.get("branches")
    if branches and others and len(branches) == len(others) and {**old, "branches": None} == {**new, "branches": None}:
        found = [
            one if one == two else _guarded_inside(one, two, change) for one, two in zip(branches, others, strict=True)
        ]
        return {**new, "branches": found} if None not in found else None
    return None


def renamed(after: Any, replayed: str, name: str) -> Any:
    """The edited program with the recorded name given to the renamed call."""
    if isinstance(after, list):
        return [renamed(one, replayed, name) for one in after]
    if not isinstance(after, dict):
        return after
    found = {key: renamed(value, replayed, name) for key, value in after.items()}
    return {**found, "name": name} if found.get("name") == replayed else found


def fixed(case: dict[str, Any], root: Divergence) -> list[Body]:
    """The edited program with each fix of the report that is code."""
    before, after = case["recorded_program"]["body"], case["replayed_program"]["body"]
    programs = [guarded(before, after, change) for change in PATCHED.findall(root.fix)]
    if root.replayed is not None and f'"{root.replayed.name}"' in json.dumps(after):  # else the name is computed
        programs += [renamed(deepcopy(after), root.replayed.name or "", name) for name in NAMED.findall(root.fix)]
    return programs


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_fix_restores_the_recorded_path(path: Path) -> None:
    case = json.loads(path.read_text())
    recorded = read_history(case["history"])
    root = Replayer(handler_of(case["replayed_program"])).replay(recorded).root
    assert root is not None
    programs = fixed(case, root)
    if not programs:
        assert root.kind in WITHOUT_CODE or "record the execution again" in root.fix or "nesting" in root.fix, root
    for body in programs:
        report = Replayer(handler_of({**case["replayed_program"], "body": body})).replay(recorded)
        assert report.verdict is Verdict.SAME, (root.fix, body, report.roots, report.error)
