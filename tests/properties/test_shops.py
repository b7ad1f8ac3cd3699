"""Planted bugs of further kinds in workflows with real bodies are found, and sound workflows pass.

Nothing is named in `steps=` unless the bug needs a step to fail: crashes, pauses and orders are drawn by default.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from durable_debugger.cli import main
from durable_execution.history.documents import read_text
from durable_execution.testing.properties import (
    Invariant,
    WorkflowRun,
    check_workflow,
    ends,
    exactly_once,
    failures,
    no_answer,
    no_divergence,
    same_result,
)
from tests.properties import shops

PLANS = 40 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 15
"""Plans that a sound workflow has to pass."""

pytestmark = pytest.mark.acceptance

SOLD_OUT = failures(shops.SoldOutError("none left"))


def effects(run: WorkflowRun) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (_, name), count in run.bodies.items():
        counts[name] += count
    return counts


def one_booking(run: WorkflowRun) -> None:
    booked = [name for name in effects(run) if name.startswith("book-")]
    released = [name for name in effects(run) if name.startswith("release-")]
    assert len(booked) - len(released) <= 1, f"booked {booked}, released {released}"


def unpaid_is_not_charged(run: WorkflowRun) -> None:
    assert run.result.result == "paid" or not effects(run)["charge"], "charged, and told that it was given up"


def both_approve(run: WorkflowRun) -> None:
    approvals = [
        json.loads(view.recorded.result or "null") for view in run.result.operations if view.kind == "callback"
    ]
    if "ship" in effects(run):
        assert approvals == [True, True], f"shipped with {approvals}"


def money_is_kept_for_goods_only(run: WorkflowRun) -> None:
    counts = effects(run)
    if run.result.result in {"expired", "refunded"}:
        assert bool(counts["charge"]) == bool(counts["refund"]), f"{run.result.result}: {dict(counts)}"


def charge_is_for_goods(run: WorkflowRun) -> None:
    counts = effects(run)
    assert counts["charge"] <= 1
    if run.result.result != "shipped" and counts["charge"]:
        assert counts["refund"], f"{run.result.result}: {dict(counts)}"


def one_refund(run: WorkflowRun) -> None:
    assert shops.REFUNDS[run.result.arn] <= 1, f"refunded {shops.REFUNDS[run.result.arn]} times"


PLANTED: list[tuple[Any, dict[str, Any], list[Invariant]]] = [
    (shops.lists_quotes_as_they_come, {}, [same_result()]),
    (shops.numbers_invoices_in_branches, {}, [same_result()]),
    (shops.loses_stock_in_a_map, {}, [same_result()]),
    (shops.gives_the_first_a_discount, {}, [same_result()]),
    (shops.books_both_carriers, {}, [one_booking]),
    (shops.gives_up_too_early, {}, [unpaid_is_not_charged]),
    (shops.retries_at_most_once, {}, [exactly_once("charge")]),
    (shops.either_of_two_approvers, {"callbacks": {"approver": st.booleans()}}, [both_approve]),
    (shops.asks_twice, {"callbacks": {"review": st.just("fine")}}, [exactly_once("review submitter")]),
    (shops.keeps_a_token_in_a_closure, {}, [same_result()]),
    (shops.fills_a_shared_basket, {"event": st.sampled_from(["tea", "rum"])}, [same_result()]),
    (shops.keeps_the_money, {"callbacks": {"approval": st.booleans() | no_answer()}}, [money_is_kept_for_goods_only]),
    (shops.refunds_outside_a_step, {}, [one_refund]),
    (shops.remembers_the_invocation, {}, [same_result()]),
    (
        shops.ships_from_the_first_to_answer,
        {"callbacks": {"warehouse": st.just("yes"), "shop": st.just("yes")}},
        [no_divergence()],
    ),
]


@pytest.mark.parametrize(("handler", "options", "invariants"), PLANTED, ids=lambda value: getattr(value, "name", ""))
def test_a_planted_bug_is_found_and_shrunk(
    handler: Any, options: dict[str, Any], invariants: list[Invariant], tmp_path: Path, capsys: Any
) -> None:
    with pytest.raises(AssertionError, match="with this plan:") as caught:
        check_workflow(handler, **options, invariants=invariants, max_examples=200, save_to=tmp_path)
    (saved,) = tmp_path.iterdir()
    assert str(saved) in str(caught.value)
    recorded = read_text(saved.read_text(encoding="utf-8"))
    calls = [operation for operation in recorded.operations if operation.type != "CONTEXT"]
    assert 0 < len(calls) <= 5
    assert main(["show", str(saved)]) == 0
    shown = capsys.readouterr().out
    assert all(call.name in shown for call in calls if call.name)


SOUND: list[tuple[Any, dict[str, Any], list[Invariant]]] = [
    (
        shops.saga,
        {
            "steps": {"charge": st.just("paid") | SOLD_OUT, "reserve": st.just("reserved") | SOLD_OUT},
            "callbacks": {"approval": st.booleans() | no_answer() | SOLD_OUT},
        },
        [charge_is_for_goods],
    ),
    (shops.quotes_in_order, {"event": st.lists(st.sampled_from(["a", "bc", "def"]), max_size=3)}, [same_result()]),
    (shops.releases_the_loser, {}, [one_booking]),
    (shops.two_of_three, {"callbacks": {f"vote-{n}": st.booleans() | no_answer() for n in range(3)}}, [same_result()]),
    (shops.plain_order, {"event": st.integers(0, 3)}, [same_result()]),
    (shops.polls_and_retries, {}, [same_result()]),
]


@pytest.mark.parametrize(("handler", "options", "invariants"), SOUND, ids=lambda value: getattr(value, "name", ""))
def test_a_sound_workflow_passes(handler: Any, options: dict[str, Any], invariants: list[Invariant]) -> None:
    check_workflow(
        handler, **options, invariants=[ends(), no_divergence(), *invariants], max_examples=PLANS, save_to=None
    )
