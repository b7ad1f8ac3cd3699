"""The one value of a difference, and how it is told."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from durable_execution.call_site import CallSite
from durable_execution.comparison.wording import effect_of, fix_of, likely_of
from durable_execution.divergence import (
    Divergence,
    DivergenceKind,
    Severity,
    Side,
    explain,
    explanation,
    lines_of,
    quoted,
    readable,
    shortened,
)

RECORDED = Side("STEP", "Step", "reserve_stock", "9f3c" * 16, 3, "SUCCEEDED", 1, path="process_order/reserve_stock")
REPLAYED = Side(
    "WAIT", "Wait", "cool_down", "9f3c" * 16, 3, call_site=CallSite("orders.py", 48, "process_order"),
    configuration={"wait_seconds": 30}, path="process_order/cool_down",
)  # fmt: skip
EXAMPLE = Divergence(
    kind=DivergenceKind.INSERTED,
    severity=Severity.ERROR,
    handler="orders:process_order",
    path="process_order/cool_down",
    context_path="process_order",
    position=3,
    recorded=RECORDED,
    replayed=REPLAYED,
    likely="orders.py:46 branches on datetime.now(), called outside a step at orders.py:45",
    effect=effect_of(DivergenceKind.INSERTED, RECORDED, REPLAYED, shifted=4),
    fix="guard it",
    follow_on=4,
    suspects=("orders.py:45: datetime.now()",),
)


def test_the_explanation_is_a_header_and_five_lines() -> None:
    assert explain(EXAMPLE).splitlines() == [
        "Nondeterminism in process_order at call 3: inserted",
        '  recorded   step "reserve_stock"    id 9f3c9f3c…  invocation 1, SUCCEEDED',
        '  replayed   wait "cool_down" 30 s   orders.py:48 in process_order',
        "  likely     orders.py:46 branches on datetime.now(), called outside a step at orders.py:45",
        '  effect     "cool_down" would take the recorded result of "reserve_stock"; 4 later calls shift by 1',
        "  fix        guard it",
    ]


def test_a_side_that_has_nothing_says_so() -> None:
    gone = replace(EXAMPLE, replayed=None)
    new = replace(EXAMPLE, recorded=None)
    assert dict(explanation(gone))["replayed"] == "nothing: process_order did not make this call"
    assert dict(explanation(new))["recorded"] == "nothing: this call is not recorded"


def test_it_survives_json() -> None:
    assert Divergence.from_wire(EXAMPLE.to_wire()) == EXAMPLE
    bare = replace(EXAMPLE, recorded=None, replayed=None, position=None, likely=None, suspects=())
    assert Divergence.from_wire(bare.to_wire()) == bare


def test_every_kind_has_its_sentences() -> None:
    for kind in DivergenceKind:
        for left, right in ((RECORDED, REPLAYED), (RECORDED, None), (None, REPLAYED), (None, None)):
            sentences = (likely_of(kind, left, right), effect_of(kind, left, right), fix_of(kind, left, right))
            assert all(sentence and "{" not in sentence for sentence in sentences)
        assert replace(EXAMPLE, kind=kind).title.isupper()


@given(st.text(max_size=300))
def test_hostile_names_stay_on_one_line_of_printable_characters(name: str) -> None:
    shown = quoted(name)
    assert shown.isprintable()
    assert len(shown) < 200
    text = explain(replace(EXAMPLE, recorded=replace(RECORDED, name=name), replayed=replace(REPLAYED, name=name)))
    assert len(text.splitlines()) == 6


def test_labels_say_what_was_asked_for() -> None:
    assert Side("CONTEXT", "Map", "audit", configuration={"branches": 200}).label == 'map "audit" 200 items'
    assert Side("CONTEXT", "Parallel", None, configuration={"branches": 2}).label == "parallel (unnamed) 2 branches"
    assert Side("CHAINED_INVOKE", None, "b", configuration={"function_name": "f"}).label == 'invoke "b" of "f"'
    assert Side("STEP", "WaitForCondition", None).label == "wait for condition (unnamed)"


def test_a_text_is_read_back() -> None:
    text = explain(EXAMPLE)
    assert lines_of(text.splitlines()) == dict(explanation(EXAMPLE))
    assert shortened(text) == f'{EXAMPLE.headline}; recorded step "reserve_stock"; replayed wait "cool_down" 30 s'
    assert shortened("something else") == "something else"
    assert shortened("") == ""


def test_a_difference_is_said_in_one_clause() -> None:
    assert EXAMPLE.sentence == 'your code calls wait "cool_down" 30 s, the recording has step "reserve_stock"'
    assert EXAMPLE.where == " at call 3"
    assert replace(EXAMPLE, context_path="flow/ship/item-1").where == " at call 3 of ship/item-1"
    assert replace(EXAMPLE, position=None).where == ""
    secret = replace(REPLAYED, name="password=hunter2hunter2")
    assert "hunter2" not in replace(EXAMPLE, replayed=secret).sentence


def test_long_text_keeps_its_beginning_and_its_end() -> None:
    assert readable("short\n") == "short\\n"
    assert readable("a" * 30 + "b" * 30 + "\n", limit=20) == "a" * 10 + "…" + "bbb\\n"
