"""Local variables at a call."""

import sys
from typing import Any

from durable_execution.call_site import CallSite
from durable_execution.redaction import Redaction
from durable_execution.trace.local_variables import locals_at, short


def here() -> CallSite:
    frame = sys._getframe(1)
    return CallSite(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)


def test_names_and_short_values() -> None:
    order, card_number = {"id": 7}, "4111111111111111"
    found = locals_at(here(), Redaction())
    assert found["order"] == "{'id': 7}"
    assert found["card_number"] == "⊘"
    assert (order, card_number) is not None


def test_values_are_bounded_and_may_misbehave() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    cyclic: list[Any] = []
    cyclic.append(cyclic)
    assert len(short("x" * 1_000_000)) < 300
    assert len(short(list(range(1_000_000)))) < 300
    assert short(Rude()).startswith("<Rude")
    beside = short({"bad": Rude(), "good": 1})
    assert beside.startswith("{'bad': <Rude")
    assert beside.endswith("'good': 1}")
    assert len(short(cyclic)) < 100


def test_a_function_that_is_not_on_the_stack_has_none() -> None:
    assert locals_at(CallSite("elsewhere.py", 1, "f"), Redaction()) == {}
    assert locals_at(None, Redaction()) == {}


def test_a_secret_is_hidden_before_its_name_is_cut_off() -> None:
    """The end of a shortened text is shown, and may begin anywhere."""

    class Login:
        def __repr__(self) -> str:
            return f"Login(note='{'x' * 90}', api_key='hunter2-a', user='{'y' * 45}')"

    def call(length: int) -> dict[str, str]:
        text = '{"note": "' + "x" * 100 + '", "api_key": "hunter2-a", "user": "' + "y" * length + '"}'
        login = Login()
        site = CallSite(__file__, sys._getframe().f_lineno, sys._getframe().f_code.co_qualname)
        found = locals_at(site, Redaction())
        assert (text, login) is not None
        return found

    for length in range(60):
        found = call(length)
        assert "hunter2" not in found["text"], length
        assert "hunter2" not in found["login"]
