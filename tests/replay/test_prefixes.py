"""Every state a recording went through, and recordings in other worlds."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from durable_execution.divergence import Divergence
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay import FORMATS, ReplayReport, Verdict, render
from durable_execution.replay.cause.evidence import CauseSearch
from durable_execution.replay.checks import cut_points, replay_every_prefix
from durable_execution.replay.isolation.substitutes import variables_read
from durable_execution.replay.reorder import divergence_in_order
from durable_execution.replay.workers.cause_finder import CauseFinder
from durable_execution.replay.workers.perturb import Perturbation, Perturber, environment_perturbations
from durable_execution.replay.workers.supervisor import WorkerOptions
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


def test_the_cause_of_a_difference_that_all_states_show_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    explain = CauseSearch.explain

    def counted(self: CauseSearch, divergences: Sequence[Divergence]) -> list[Divergence]:
        searched.append(len(divergences))
        return explain(self, divergences)

    monkeypatch.setattr(CauseSearch, "explain", counted)
    recording = recording_of("many")
    report = replay_every_prefix(other_worlds.many_renamed, recording)
    assert [one.kind for one in report.roots] == ["renamed"]
    assert len(cut_points(recording, 10_000)) > 10
    assert len(searched) == 1


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
    assert divergence_in_order(handler, recording_of(name), seed=seed, seconds=20) is None


def perturbed(name: str, perturbations: list[Perturbation], *, finds_cause: bool = False) -> ReplayReport:
    recording = recording_of(name)
    report = ReplayReport(name, f"{REFERENCE}:{name}", Verdict.SAME, execution=recording)
    options = WorkerOptions(jobs=2)
    finder = CauseFinder(options) if finds_cause else None
    with Perturber(options, finder, perturbations) as perturber:
        return perturber.perturb(report, report.handler)


@pytest.mark.parametrize(
    ("name", "perturbation"),
    [
        ("by_set", Perturbation("hash seed", {"PYTHONHASHSEED": "3"}, suspects="the order of a set")),
        ("by_clock", Perturbation("clock", clock_offset=400 * 86_400, suspects="the clock")),
        ("by_random", Perturbation("random", random_seed=99, suspects="random numbers")),
    ],
)
@pytest.mark.timeout(120)
def test_what_has_not_bitten_yet_is_found_under_a_perturbation(name: str, perturbation: Perturbation) -> None:
    report = perturbed(name, [perturbation])
    assert report.verdict is Verdict.UNSTABLE
    assert report.exit_code == 1
    assert report.error == f"behaves differently under {perturbation.name}"
    root = report.roots[0]
    assert root.likely == f"only with {perturbation.name}: look for {perturbation.suspects}"
    assert root.replayed is not None
    assert root.replayed.call_site is not None
    assert root.replayed.call_site.file.endswith("other_worlds.py")


@pytest.mark.timeout(120)
def test_the_cause_of_what_a_perturbation_shows_is_named_in_every_format() -> None:
    report = perturbed("by_set", [Perturbation("hash seed", {"PYTHONHASHSEED": "3"})], finds_cause=True)
    assert "only with hash seed: other_worlds.py:" in (report.roots[0].likely or "")
    for form in FORMATS:
        assert "only with hash seed" in render([report], form)
        assert "other_worlds.py" in render([report], form)


@pytest.mark.timeout(120)
def test_a_deterministic_program_is_the_same_under_perturbations() -> None:
    report = perturbed(
        "concurrent",
        [
            Perturbation("hash seed", {"PYTHONHASHSEED": "3"}),
            Perturbation("clock", clock_offset=86_400),
            Perturbation("order", order_seed=1),
        ],
    )
    assert (report.verdict, report.divergences) == (Verdict.SAME, ())
    assert report.notes == ("behaves the same under 3 perturbations",)


@pytest.mark.timeout(120)
def test_a_handler_that_fails_for_an_invented_value_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_TEST_MODE", "fast")
    report = perturbed("by_mode", [Perturbation("a mode", {"DURABLE_TEST_MODE": "other"}, is_value=True)])
    assert (report.verdict, report.divergences) == (Verdict.SAME, ())
    failed = [note for note in report.notes if "the handler fails" in note]
    assert len(failed) == 2  # the one above, and the variable unset
    assert "with a mode, the handler fails, perhaps only because of the value" in failed[0]


@pytest.mark.timeout(120)
def test_what_varies_by_itself_is_not_blamed_on_a_perturbation() -> None:
    report = perturbed("by_process", [Perturbation("hash seed", {"PYTHONHASHSEED": "3"})])
    assert report.error == "behaves differently under no perturbation"
    assert "look for values that differ between two equal processes" in (report.roots[0].likely or "")


def test_variables_that_were_read_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"A": "true", "B": "fast", "C": "INFO", "D": "100", "E": "free text"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("F", raising=False)
    monkeypatch.delenv("G", raising=False)
    variables = {**dict.fromkeys([*values, "F"]), "G": "safe"}
    found = [one.environ for one in environment_perturbations(variables, [("fast", "safe")])]
    assert found == [
        {"A": "false"}, {"A": None}, {"B": "safe"}, {"B": None}, {"C": "DEBUG"}, {"C": None}, {"D": "0"}, {"D": None},
        {"E": None}, {"F": "1"}, {"G": "fast"},
    ]  # fmt: skip


@pytest.mark.timeout(120)
def test_a_handler_that_cannot_be_imported_there(tmp_path: Path) -> None:
    report = ReplayReport("x", "x", Verdict.SAME, execution=recording_of("concurrent"))
    with Perturber(WorkerOptions()) as perturber:
        found = perturber.perturb(report, f"{tmp_path}/absent.py:flow")
    assert found.notes == ("the handler could not be replayed under perturbations",)


def test_the_text_that_is_used_where_a_variable_is_not_set_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is plausible depends on it: another level, or another member of the enum."""
    for name in "ABC":
        monkeypatch.delenv(f"READ_{name}", raising=False)
    with variables_read() as variables:
        os.environ.get("READ_A", "safe")
        os.getenv("READ_B", default="INFO")
        os.environ.get("READ_C")
    assert variables == {"READ_A": "safe", "READ_B": "INFO", "READ_C": None}
