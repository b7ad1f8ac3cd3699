"""The search language."""

from datetime import timedelta

import pytest

from durable_debugger.model import facts
from durable_debugger.model.search import parse
from durable_debugger.model.session import Session
from durable_debugger.views.chrome import hit_count
from tests.tui.conftest import order_session
from tests.tui.recordings import START, order_execution


def found(text: str, session: Session | None = None) -> list[str]:
    session = session or Session(order_execution(), as_of=START + timedelta(minutes=2))
    session.search(parse(text))
    return [facts.label(session.operations[row]) for row in session.hits or ()]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("charge", ["charge_card"]),
        ("CHARGE", ["charge_card"]),
        ("DHL", ["reserve_courier"]),
        ("kind:wait", ["cooling_off"]),
        ("kind:callback status:waiting", ["manager_approval"]),
        ("attempt:>1", ["charge_card"]),
        (">5s", ["charge_card", "cooling_off"]),
        (">5s -kind:wait", ["charge_card"]),
        ("name:ship", ["ship_parcel"]),
        ("file:flow.py:43", ["ship_parcel"]),
        ("kind:step inv:1 <200ms", ["reserve_stock"]),
        ('"ship_parcel"', ["ship_parcel"]),
        ("chg", []),
    ],
)
def test_terms_narrow_down(text: str, names: list[str]) -> None:
    assert found(text) == names


def test_divergences_can_be_searched_for() -> None:
    session = order_session()
    assert found("div:root", session) == ["reserve_courier"]
    assert found("div:follow-on", session) == ["ship_parcel", "audit", "manager_approval"]
    assert found("div:skipped", session) == ["reserve_courier"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [("stauts:failed", "did you mean status:?"), ("attempt:many", "attempt:>1"), ("xyzzy:1", "known keys are kind:")],
)
def test_what_is_not_understood_is_named(text: str, hint: str) -> None:
    assert hint in (parse(text).problem or "")


@pytest.mark.parametrize("text", ["", " ", '"', "-", ":", '"unclosed', "kind:", "a:b:c", ">>2s"])
def test_nothing_typed_is_an_error(text: str) -> None:
    assert isinstance(found(text), list)


def test_hits_are_walked_in_a_circle() -> None:
    session = Session(order_execution(), as_of=START)
    session.search(parse("s"))
    assert session.hits
    session.cursor = session.hits[-1]
    assert session.next_hit(1) == session.hits[0]
    session.cursor = session.hits[0]
    assert session.next_hit(-1) == session.hits[-1]
    session.search(None)
    assert session.next_hit(1) is None


@pytest.mark.parametrize(("count", "words"), [(0, "0 hits"), (1, "1 hit"), (2, "2 hits")])
def test_the_number_of_hits_agrees(count: int, words: str) -> None:
    assert hit_count(count) == words
