"""The kind of a difference agrees with its cause: a call is renamed where an edit renamed it, and not where another branch ran."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from durable_execution.call_site import CallSite
from durable_execution.comparison.wording import effect_of, fix_of, likely_of
from durable_execution.divergence import Cause, Divergence, DivergenceKind, Evidence, Severity, Side
from durable_execution.replay.cause.explained import applied
from durable_execution.replay.formats import to_github, to_json, to_junit, to_sarif, to_text
from durable_execution.replay.report import ReplayReport, Verdict

HANDLER = """async def handler(event, ctx):
    if event:
        await ctx.step(go, name="fast")
    else:
        await ctx.step(go, name="slow")
    await ctx.step(go, name=f"go_{event}")
"""
WRITTEN, COMPUTED = 3, 6


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A handler in which each branch makes a call of its own."""
    path = tmp_path / "orders.py"
    path.write_text(HANDLER)
    return path


def difference(file: Path, line: int = WRITTEN, kind: DivergenceKind = DivergenceKind.RENAMED) -> Divergence:
    """A call with a different name than the recorded one."""
    left = Side("STEP", "Step", "slow", call_site=CallSite(str(file), 5, "handler"))
    right = Side("STEP", "Step", "fast", call_site=CallSite(str(file), line, "handler"))
    return Divergence(
        kind, Severity.ERROR, "orders:handler", "handler/slow", "handler", 1, left, right,
        effect=effect_of(kind, left, right), fix=fix_of(kind, left, right), likely=likely_of(kind, left, right),
    )  # fmt: skip


def cause(
    file: Path, evidence: Evidence, line: int = 2, edit: Literal["added", "moved", "renamed"] | None = None
) -> Cause:
    """A cause on a line."""
    return Cause(evidence, str(file), line, f"orders.py:{line} reads the clock", "read it in a step", edit=edit)


@pytest.mark.parametrize("kind", [DivergenceKind.RENAMED, DivergenceKind.CHANGED_KIND])
@pytest.mark.parametrize("line", [WRITTEN, COMPUTED])
@pytest.mark.parametrize("evidence", [Evidence.REPRODUCED, Evidence.OBSERVED])
def test_a_value_that_varies_renames_nothing(file: Path, evidence: Evidence, line: int, kind: DivergenceKind) -> None:
    found = applied(replace(difference(file, line, kind), cause=cause(file, evidence)))
    assert found.title == "SKIPPED CALL"
    assert found.sentence == 'your code skips the recorded step "slow" and calls step "fast"'


def test_an_edited_condition_renames_nothing(file: Path) -> None:
    assert applied(replace(difference(file), cause=cause(file, Evidence.CHANGED))).title == "SKIPPED CALL"


def test_a_call_that_an_edit_moved_is_still_made(file: Path) -> None:
    found = applied(replace(difference(file), cause=cause(file, Evidence.CHANGED, 5, "moved")))
    assert found.title == "REORDERED"
    assert found.sentence == 'your code calls step "fast" in a different order: the recording has step "slow" here'


def test_an_edit_can_rename_a_call(file: Path) -> None:
    named = cause(file, Evidence.CHANGED, WRITTEN, "renamed")
    assert applied(replace(difference(file), cause=named)).title == "RENAMED"
    here = cause(file, Evidence.CHANGED, WRITTEN)
    assert applied(replace(difference(file), cause=here)).title == "RENAMED", (
        "what the edit of the call did is not known"
    )
    prefix = cause(file, Evidence.CHANGED, 1)
    assert applied(replace(difference(file, COMPUTED), cause=prefix)).title == "RENAMED", (
        "the name is computed from the edit"
    )


def test_a_possible_cause_decides_no_kind(file: Path) -> None:
    found = difference(file)
    assert applied(replace(found, cause=cause(file, Evidence.POSSIBLE))).kind is found.kind


def test_other_nesting_of_branches_stays_what_it_is(file: Path) -> None:
    found = difference(file, kind=DivergenceKind.CHANGED_KIND)
    assert found.replayed is not None
    flat = replace(found, replayed=replace(found.replayed, detail="virtual branch, without a record of its own"))
    assert applied(replace(flat, cause=cause(file, Evidence.OBSERVED))).title == "CHANGED KIND"


def test_every_format_says_the_same_kind(file: Path) -> None:
    found = applied(replace(difference(file), cause=cause(file, Evidence.REPRODUCED)))
    report = ReplayReport("order.json", "orders:handler", Verdict.DIVERGED, divergences=(found,), calls=1)
    for write in (to_text, to_json, to_junit, to_github):
        text = write([report]).lower()
        assert "skipped" in text, write
        assert "renamed" not in text, write
    (result,) = json.loads(to_sarif([report]))["runs"][0]["results"]
    assert result["ruleId"] == "skipped"
    assert "renamed" not in result["message"]["text"]
