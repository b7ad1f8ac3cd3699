"""For whatever workflow, and a crash at whatever checkpoint: the same result, and nothing ran twice that must not."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_execution.local import EngineLimits, LocalEngine
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.faults import NETWORK, Fault, FaultyService, When
from tests.scenarios.random_workflows import Journal, Node, Step, programs, workflow_of
from tests.scenarios.scenario import FUNCTION, Scenario
from tests.scenarios.styles import Style

FEWER = settings(max_examples=max(10, settings().max_examples // 3))
"""An example is many invocations."""

PATIENT = EngineLimits(failed_invocations=100)


def run(program: tuple[Node, ...], style: Style, service: FaultyService) -> tuple[Any, Journal, list[dict[str, Any]]]:
    journal = Journal()
    with LocalEngine(store=None, time="skip", trace_sink=False, limits=PATIENT) as engine:
        scenario = Scenario(engine, style)
        scenario.subject(workflow_of(program, journal), wrapping=service)
        ended = engine.run(FUNCTION)
        assert ended.status is ExecutionStatus.SUCCEEDED, ended.error
        return ended.result, journal, scenario.history(ended.arn)


def has_at_most_once(nodes: Any) -> bool:
    """Whether a cut-off attempt would count as failed, so that the result may be another."""
    if isinstance(nodes, Step):
        return nodes.is_at_most_once
    if isinstance(nodes, tuple):
        return any(has_at_most_once(node) for node in nodes)
    return any(has_at_most_once(getattr(nodes, name, ())) for name in ("body", "bodies"))


fault = st.builds(Fault, st.integers(0, 12), st.sampled_from([NETWORK, SystemExit(1)]), st.sampled_from(When))
faults = st.lists(fault, min_size=1, max_size=3, unique_by=lambda fault: fault.at)


@pytest.mark.parametrize("style", ["async", "blocking"])
@FEWER
@given(program=programs, faults=faults)
def test_a_crash_at_any_checkpoint_changes_nothing(
    style: Style, program: tuple[Node, ...], faults: list[Fault]
) -> None:
    undisturbed, _, _ = run(program, style, FaultyService())
    result, journal, _ = run(program, style, FaultyService(faults))
    assert journal.repeated_at_most_once() == []
    if not has_at_most_once(program):
        assert result == undisturbed


@FEWER
@given(program=programs)
def test_both_styles_leave_the_same_history(program: tuple[Node, ...]) -> None:
    histories = [run(program, style, FaultyService())[2] for style in ("async", "blocking")]
    described = [sorted(map(_described, history)) for history in histories]
    assert described[0] == described[1]


@FEWER
@given(program=programs)
def test_a_second_run_gives_the_same_ids_and_the_same_result(program: tuple[Node, ...]) -> None:
    first, second = (run(program, "async", FaultyService()) for _ in range(2))
    assert first[0] == second[0]
    assert [_described(event) for event in first[2]] == [_described(event) for event in second[2]]


def _described(event: dict[str, Any]) -> str:
    """What an event says, without when."""
    about = {name: event.get(name) for name in ("EventType", "Id", "ParentId", "Name", "SubType")}
    if str(about["EventType"]).startswith("Execution"):
        about["Id"] = about["Name"] = None
    details = event.get(f"{event['EventType']}Details") or {}
    payload = (details.get("Result") or {}).get("Payload")
    return json.dumps([about, payload if about["SubType"] != "Map" else None], sort_keys=True)
