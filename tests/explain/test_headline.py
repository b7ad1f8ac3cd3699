"""The debugger's first screen says what `durable-debug explain` says where an execution does not continue."""

import pytest

from durable_debugger.model.headline import STUCK
from durable_debugger.model.session import Session
from durable_execution.explain import explain_execution
from tests.explain.planted import at
from tests.explain.test_states import PLANTED

TITLES = [title for title, planted in PLANTED.items() if planted.state in STUCK]


@pytest.mark.parametrize("title", TITLES)
def test_the_headline_is_the_explanation(title: str) -> None:
    execution = PLANTED[title].made().read()
    session = Session(execution, as_of=at(100))
    found = explain_execution(execution, as_of=at(100))
    assert session.headline.text == found.headline.rstrip(".")
    if found.place is not None and found.place.id is not None:
        assert session.operations[session.headline.row].id == found.place.id


def test_every_state_in_which_it_is_stuck_is_planted() -> None:
    assert {PLANTED[title].state for title in TITLES} == STUCK
