"""Short forms of the campaigns. The long forms are commands: `python -m tests.campaigns.kill`, `… .faults`, `… .fuzz`."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.campaigns import faults, fuzz, kill


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_mutated_files_raise_nothing_of_their_own(kind: str) -> None:
    mutants = 100 if kind == "answer" else 20
    outcome = fuzz.campaign(mutants, seed=20_000, kinds=(kind,))
    assert outcome.tried[kind] == mutants
    assert outcome.findings == []
    assert len({code for _, code in outcome.exits}) > 1, "some mutants must be read, and others refused"


def test_jobs_share_the_mutants(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.shares(5, 7, 2) == [range(7, 9), range(9, 12)]
    assert fuzz.shares(1, 0, 4) == [range(1)]
    first = fuzz.Outcome(Counter(store=2), Counter({("store", 0): 2}), [])
    found = fuzz.Outcome(Counter(store=1), Counter({("store", 3): 1}), [fuzz.Finding("store", 9, "show", "KeyError")])
    assert next(fuzz.report(first + found)) == "store: 3 mutants, 1 raised"
    monkeypatch.setattr(fuzz, "limited", lambda seeds, **_: first if seeds == range(2) else found)
    monkeypatch.setattr(sys, "argv", ["fuzz", "--mutants", "2"])
    assert fuzz.main() == 0
    assert capsys.readouterr().out == "store: 2 mutants, 0 raised\nstore: exit code 0 2 times\n"


@pytest.mark.parametrize("mode", faults.MODES)
def test_failing_disks_and_networks_lose_and_repeat_nothing(tmp_path: Path, mode: str) -> None:
    found = faults.campaign(mode, 25, tmp_path)
    assert found.injected.total() >= 25
    assert len(found.injected) > 2
    assert found.problems == []


@pytest.mark.real_time
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("mode", "kills"), [("engine", 4), ("serve", 2), ("workers", 4)])
def test_killed_processes_lose_and_repeat_nothing(tmp_path: Path, mode: str, kills: int) -> None:
    found = kill.campaign(mode, kills, tmp_path)
    assert found.kills >= kills
    assert found.problems == []
