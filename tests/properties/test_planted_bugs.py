"""Planted bugs are found within 200 plans, and shrink to a few calls; a sound workflow passes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

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
    succeeds,
)
from durable_execution.testing.workflow_plan import PlannedOutcomes
from tests.properties import orders

DOWN = failures(orders.GatewayError("down"))
SMALL = st.integers(0, 9)
pytestmark = pytest.mark.acceptance


def refund_follows_payment(run: WorkflowRun) -> None:
    """Refunds are for charges that were made, and every failed order with a charge has one."""
    charged = sum(count for (_, name), count in run.bodies.items() if name == "charge")
    refunded = sum(count for (_, name), count in run.bodies.items() if name == "refund")
    if run.result.status.value == "FAILED" or refunded:
        assert bool(charged) == bool(refunded), f"charged {charged}, refunded {refunded}"


def shipped_is_paid(run: WorkflowRun) -> None:
    names = {name for _, name in run.bodies}
    assert "ship" not in names or "charge" in names, "shipped without a charge"


def shipped_is_approved(run: WorkflowRun) -> None:
    assert any(name == "ship" for _, name in run.bodies) == (run.result.result is True), "shipped without approval"


def one_carrier(run: WorkflowRun) -> None:
    booked = {name for _, name in run.bodies}
    assert len(booked) <= 1, f"booked {', '.join(sorted(booked))}"


def has_a_rate(run: WorkflowRun) -> None:
    assert run.result.result is not None, "no rate"


MOST_CALLS = {"charges_again_after_an_error": 8}  # the block's backoff is a call of its own in each attempt
PLANTED: list[tuple[Any, dict[str, Any], list[Invariant]]] = [
    (orders.charges_again_after_a_crash, {}, [exactly_once("charge")]),
    (orders.charges_twice, {"event": SMALL}, [exactly_once("charge")]),
    (orders.charges_again_after_an_error, {"steps": {"reserve": SMALL | DOWN}}, [exactly_once("charge")]),
    (orders.counts_in_a_global, {}, [no_divergence()]),
    (orders.loses_an_update, {"steps": {"first": SMALL, "second": SMALL}}, [same_result()]),
    (orders.keeps_the_last_to_end, {"steps": {"first": SMALL, "second": SMALL}}, [same_result()]),
    (orders.depends_on_the_order, {"steps": dict.fromkeys(("first", "second", "third"), SMALL)}, [same_result()]),
    (orders.interrupted_and_swallowed, {"steps": {"charge": SMALL | DOWN}}, [shipped_is_paid]),
    (orders.waits_for_ever, {"callbacks": {"approval": st.booleans() | no_answer()}}, [ends()]),
    (orders.rejection_is_approval, {"callbacks": {"approval": st.booleans()}}, [shipped_is_approved]),
    (orders.branches_on_the_clock, {}, [no_divergence()]),
    (orders.fails_on_zero, {"steps": {"rate": SMALL}}, [succeeds()]),
    (orders.fails_on_empty, {"event": st.lists(SMALL, max_size=4)}, [succeeds()]),
    (orders.compensates_in_the_wrong_case, {"steps": {"charge": SMALL | DOWN}}, [refund_follows_payment]),
    (orders.forgets_to_compensate, {"steps": {"reserve": SMALL | DOWN}}, [refund_follows_payment]),
    (orders.remembers_orders_in_memory, {"event": SMALL}, [no_divergence()]),
    (orders.retries_without_end, {"steps": {"rate": SMALL | DOWN}}, [has_a_rate]),
    (orders.races_two_carriers, {"steps": {"carrier_a": SMALL, "carrier_b": SMALL}}, [one_carrier]),
    (orders.trusts_a_large_amount, {"event": SMALL, "steps": {"discount": SMALL}}, [succeeds()]),
    (orders.caches_the_rate, {"steps": {"rate": SMALL}}, [no_divergence()]),
]


@pytest.mark.parametrize(("handler", "options", "invariants"), PLANTED, ids=lambda value: getattr(value, "name", ""))
def test_a_planted_bug_is_found(
    handler: Any, options: dict[str, Any], invariants: list[Invariant], tmp_path: Path
) -> None:
    orders.COUNT.clear()
    orders.COUNT["value"] = 0
    orders.SEEN.clear()
    with pytest.raises(AssertionError) as caught:
        check_workflow(handler, **options, invariants=invariants, max_examples=200, save_to=tmp_path)
    assert "with this plan:" in str(caught.value)
    (saved,) = tmp_path.iterdir()
    events = json.loads(saved.read_text(encoding="utf-8"))["Events"]
    calls = {event["Id"] for event in events if event["EventType"] in {"StepStarted", "CallbackStarted", "WaitStarted"}}
    assert len(calls) <= MOST_CALLS.get(handler.function.__name__, 5)


def test_a_sound_workflow_passes_under_crashes_orders_and_pauses() -> None:
    check_workflow(
        orders.sound,
        event=SMALL,
        steps={"reserve": SMALL, "mail": SMALL},
        invariants=[ends(), exactly_once("charge"), no_divergence()],
        max_examples=40,
        save_to=None,
    )


def test_a_counter_example_says_what_happened_and_how_to_open_it(tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        check_workflow(orders.charges_twice, event=SMALL, invariants=[exactly_once("charge")], save_to=tmp_path)
    text = str(caught.value)
    assert "the effect of step 'charge' happened 2 times" in text
    assert "input     6" in text
    assert f"durable-debug {tmp_path}" in text


def test_a_run_that_cannot_be_repeated_is_reported_as_such() -> None:
    orders.SEEN.clear()
    with pytest.raises(AssertionError, match="depends on state outside the plan"):
        check_workflow(
            orders.remembers_orders_in_memory, event=SMALL, invariants=[no_divergence(), same_result()], save_to=None
        )


def test_outcomes_follow_the_call_and_the_attempt_and_not_the_crash() -> None:
    planned = {"rate": PlannedOutcomes(5, first=((1, 2), ()))}
    assert [planned["rate"].outcome(0, attempt) for attempt in (1, 2, 3)] == [1, 2, 2]
    assert planned["rate"].outcome(1, 1) == planned["rate"].outcome(7, 1) == 5
