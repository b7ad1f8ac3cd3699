"""Every state a recording went through, and recordings in other worlds."""

from pathlib import Path

import pytest

from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay import UnusableHandlerError, Verdict
from durable_execution.replay.check import cut_points, replay_every_prefix
from durable_execution.replay.perturb import Perturbation, environment_perturbations, perturb
from durable_execution.replay.reorder import conflict_in_order
from tests.replay import other_worlds, workflows
from tests.replay.recording import history_of

REFERENCE = "tests.replay.other_worlds"


def recording_of(name: str) -> RecordedExecution:
    events, arn = history_of(getattr(other_worlds, name))
    return read_history(events, arn=arn)


def test_every_state_of_a_deterministic_program_is_the_same() -> None:
    events, _ = history_of(workflows.plain)
    report = replay_every_prefix(workflows.plain, read_history(events))
    assert (report.verdict, report.divergences) == (Verdict.SAME, ())
    assert "replayed" in report.notes[-1]


def test_an_execution_that_failed_behind_its_last_call_is_the_same_in_every_state() -> None:
    recording = recording_of("fails_at_the_end")
    assert recording.status == "FAILED"
    assert replay_every_prefix(other_worlds.fails_at_the_end, recording).verdict is Verdict.SAME


def test_code_that_breaks_only_when_suspended_at_one_spot() -> None:
    recording = recording_of("only_while_waiting")
    report = replay_every_prefix(other_worlds.only_while_waiting_changed, recording)
    assert report.verdict is Verdict.DIVERGED
    assert [(one.kind, one.path) for one in report.roots] == [("renamed", "only_while_waiting_changed/patient")]
    assert "only when suspended after event" in (report.roots[0].likely or "")


def test_a_sample_of_many_states_keeps_both_ends() -> None:
    recording = recording_of("many")
    every = cut_points(recording, 10_000)
    some = cut_points(recording, 5)
    assert len(some) == 5
    assert (some[0], some[-1]) == (every[0], every[-1])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["many", "concurrent", "first_of_three"])
def test_another_order_of_completion_changes_nothing(name: str, seed: int) -> None:
    handler = getattr(other_worlds, name)
    assert conflict_in_order(handler, recording_of(name), seed=seed, seconds=20) is None


@pytest.mark.parametrize(
    ("name", "perturbation"),
    [
        ("by_set", Perturbation("hash seed", {"PYTHONHASHSEED": "3"}, suspects="the order of a set")),
        ("by_clock", Perturbation("clock", clock_offset=400 * 86_400, suspects="the clock")),
        ("by_random", Perturbation("random", random_seed=99, suspects="random numbers")),
    ],
)
@pytest.mark.timeout(120)
def test_what_has_not_bitten_yet_is_found_in_another_world(name: str, perturbation: Perturbation) -> None:
    findings = perturb(f"{REFERENCE}:{name}", recording_of(name), perturbations=[perturbation])
    assert [finding.perturbation for finding in findings] == [perturbation]
    assert perturbation.suspects in str(findings[0])


@pytest.mark.timeout(120)
def test_a_deterministic_program_is_the_same_in_other_worlds() -> None:
    worlds = [
        Perturbation("hash seed", {"PYTHONHASHSEED": "3"}),
        Perturbation("clock", clock_offset=86_400),
        Perturbation("order", order_seed=1),
    ]
    assert perturb(f"{REFERENCE}:concurrent", recording_of("concurrent"), perturbations=worlds) == []


def test_variables_that_were_read_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_TEST_FLAG", "true")
    base = {
        "suspects": [{"kind": "environment", "what": "os.environ['DURABLE_TEST_FLAG']"}, {"kind": "clock", "what": "x"}]
    }
    assert [perturbation.environ for perturbation in environment_perturbations(base)] == [
        {"DURABLE_TEST_FLAG": "false"},
        {"DURABLE_TEST_FLAG": None},
    ]


@pytest.mark.timeout(120)
def test_a_handler_that_cannot_be_imported_there(tmp_path: Path) -> None:
    with pytest.raises(UnusableHandlerError, match="no such file"):
        perturb(f"{tmp_path}/absent.py:flow", recording_of("concurrent"), perturbations=[])
