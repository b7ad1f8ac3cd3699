"""The debugger's first screen says what `durable-debug explain` says where an execution does not continue."""

import pytest

from durable_debugger.model.fleet_facts import FactReader
from durable_debugger.model.session import Session
from durable_execution.explain import STUCK, StateKind, explain_execution
from durable_execution.history.recorded import RecordedExecution
from tests.explain.planted import at
from tests.explain.test_mixtures import MIXTURES
from tests.explain.test_states import PLANTED

ALL = {**PLANTED, **MIXTURES}
TITLES = [title for title, planted in ALL.items() if planted.state in STUCK]
HEADLINES = [*TITLES, "no history"]
WAITING = [title for title, planted in ALL.items() if planted.state.value.startswith(("waiting", "retry_pending"))]
OUTSIDE = [title for title, planted in ALL.items() if planted.state in (StateKind.TIMED_OUT, StateKind.STOPPED)]


def read(title: str) -> RecordedExecution:
    planted = ALL[title]
    return planted.made().read(execution={"Status": planted.status} if planted.status else None)


@pytest.mark.parametrize("title", [*WAITING, *OUTSIDE])
def test_the_selected_row_is_the_place_of_the_explanation(title: str) -> None:
    execution = read(title)
    session = Session(execution, as_of=at(ALL[title].now))
    place = explain_execution(execution, as_of=at(ALL[title].now)).place
    assert place is not None
    assert session.operations[session.headline.row].id == place.id


@pytest.mark.parametrize("title", HEADLINES)
def test_the_headline_is_the_explanation(title: str) -> None:
    execution = read(title)
    session = Session(execution, as_of=at(ALL[title].now))
    found = explain_execution(execution, as_of=at(ALL[title].now))
    assert session.headline.text == found.headline.rstrip(".")
    if found.place is not None and found.place.id is not None:
        assert session.operations[session.headline.row].id == found.place.id


@pytest.mark.parametrize("title", TITLES)
def test_a_fleet_groups_by_the_same_state(title: str) -> None:
    planted = ALL[title]
    history = planted.made()
    facts = FactReader().read(history.events, reference="one", arn=history.arn, status=planted.status or "")
    by_clock = (StateKind.QUOTA_NEAR, StateKind.FUNCTION_TIMEOUT)  # a fleet is not read as of a time
    state = explain_execution(read(title), as_of=None).state
    assert state is planted.state or planted.state in by_clock
    if state in STUCK:
        assert facts.waits.startswith(state.value.replace("_", " ")), facts.waits
    else:
        assert facts.waits


def test_every_state_in_which_it_is_stuck_is_planted() -> None:
    assert {ALL[title].state for title in TITLES} == STUCK
