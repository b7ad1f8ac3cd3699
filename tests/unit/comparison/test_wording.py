"""What a difference says about its fix."""

import pytest

from durable_execution.call_site import CallSite
from durable_execution.comparison.wording import fix_of_edit
from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side

SITE = CallSite("orders.py", 12, "handler")


def divergence(kind: DivergenceKind, fix: str, *, replayed: Side | None = None) -> Divergence:
    recorded = Side("STEP", "Step", "charge", position=2, path="flow/charge")
    return Divergence(
        kind=kind,
        severity=Severity.ERROR,
        handler="flow",
        path="flow/charge",
        context_path="flow",
        position=2,
        recorded=recorded,
        replayed=replayed,
        likely="",
        effect="",
        fix=fix,
    )


def bill(site: CallSite | None = SITE) -> Side:
    return Side("STEP", "Step", "bill", position=2, path="flow/bill", call_site=site)


def test_an_edit_keeps_the_part_of_the_fix_that_is_about_a_change() -> None:
    fix = "read it in a step; if you changed it, make the call again"
    assert fix_of_edit(divergence(DivergenceKind.SKIPPED, fix), 12) == "make the call again"


@pytest.mark.parametrize(
    "clause", ["if you did not change it, look", "if the order varies, sort", "if the name is computed, x"]
)
def test_an_edit_drops_the_part_that_is_about_values_that_vary(clause: str) -> None:
    fix = f"make the call again; {clause}"
    assert fix_of_edit(divergence(DivergenceKind.SKIPPED, fix), 12) == "make the call again"


def test_a_name_that_was_edited_at_its_call_keeps_its_fix() -> None:
    found = divergence(DivergenceKind.RENAMED, "keep the name", replayed=bill())
    assert fix_of_edit(found, 12) == "keep the name"
    assert fix_of_edit(found, 12, is_computed=True).startswith("undo the edit until running executions have finished")


@pytest.mark.parametrize(("site", "line"), [(SITE, 13), (None, 12)])
def test_a_name_that_was_edited_elsewhere_needs_a_guard(site: CallSite | None, line: int) -> None:
    found = divergence(DivergenceKind.RENAMED, "keep the name", replayed=bill(site))
    assert fix_of_edit(found, line).startswith('make the change only `if ctx.patched("bill"):`')


def test_an_outcome_that_was_edited_waits_for_running_executions() -> None:
    found = divergence(DivergenceKind.OUTCOME, "return it; if you changed it, undo it")
    assert fix_of_edit(found, 12).startswith("let running executions finish")
