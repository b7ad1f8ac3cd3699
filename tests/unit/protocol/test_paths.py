"""Readable paths: the same rule for running code and for recorded histories."""

from hypothesis import given
from hypothesis import strategies as st

from durable_execution.protocol.ids import (
    MAX_PATH_LENGTH,
    Labels,
    branch_path,
    child_path,
    kind_of,
    root_path,
)


def test_the_root_is_the_functions_name() -> None:
    assert root_path("shop.orders:process_order") == "process_order"
    assert root_path("shop:Orders.process") == "process"
    assert root_path("shop:outer.<locals>.inner") == "inner"
    assert root_path("process-order") == "process-order"


def test_labels_count_what_has_the_same_name() -> None:
    labels = Labels()
    made = [labels.label("step", name) for name in ("pay", "ship", "pay", "pay")]
    assert made == ["pay", "ship", "pay(2)", "pay(3)"]


def test_unnamed_calls_are_counted_by_kind() -> None:
    labels = Labels()
    kinds = ("step", "wait", "step")
    assert [labels.label(kind, None) for kind in kinds] == ["step(1)", "wait(1)", "step(2)"]


def test_a_name_is_never_mixed_up_with_a_kind() -> None:
    labels = Labels()
    assert [labels.label("step", None), labels.label("step", "step"), labels.label("step", None)] == [
        "step(1)",
        "step",
        "step(2)",
    ]


def test_kinds_have_one_word_each() -> None:
    assert kind_of("STEP", "Step") == "step"
    assert kind_of("STEP", "WaitForCondition") == "wait_for_condition"
    assert kind_of("CONTEXT", "RunInChildContext") == "context"
    assert kind_of("CONTEXT", "Map") == "map"
    assert kind_of("CONTEXT", "Parallel") == "parallel"
    assert kind_of("CONTEXT", "WaitForCallback") == "wait_for_callback"
    assert kind_of("CHAINED_INVOKE", "ChainedInvoke") == "invoke"


def test_a_users_own_subtype_does_not_change_the_word() -> None:
    assert kind_of("STEP", "Payment") == kind_of("STEP", "Step")


def test_paths_read_from_the_outside_in() -> None:
    assert child_path(branch_path("order/notify", 3), "email(2)") == "order/notify#3/email(2)"


@given(st.lists(st.text("abc", min_size=1, max_size=300), min_size=30, max_size=80))
def test_a_deep_path_stays_short_and_keeps_both_ends(labels: list[str]) -> None:
    path = "root"
    for label in labels:
        path = child_path(path, label)
    assert len(path) <= MAX_PATH_LENGTH
    assert path.startswith("root/")
    assert path.endswith(f"/{labels[-1]}")
