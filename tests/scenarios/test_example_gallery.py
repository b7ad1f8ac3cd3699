"""Every example of an operation or pattern runs, replays its recorded history, and is in the index."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from durable_execution.lint import lint_paths
from durable_execution.replay import Replayer
from durable_execution.replay.loading import load_history
from durable_execution.testing import LocalRunner

EXAMPLES = Path(__file__).parents[2] / "examples"
HISTORIES = EXAMPLES / "histories"
FILES = sorted(file for folder in ("operations", "patterns") for file in (EXAMPLES / folder).glob("*.py"))


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gallery_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def example(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ModuleType]:
    payloads = shutil.copytree(HISTORIES / "payloads", tmp_path / "payloads")  # what histories refer to
    monkeypatch.setenv("EXAMPLE_PAYLOADS", str(payloads))
    return request.param, load(request.param)


def test_it_returns_what_it_says(example: tuple[Path, ModuleType]) -> None:
    _, module = example
    with LocalRunner(module.handler, functions=getattr(module, "FUNCTIONS", None)) as runner:
        execution = runner.start(module.PAYLOAD)
        for name, answer in getattr(module, "CALLBACKS", {}).items():
            execution.succeed_callback(name, json.loads(answer))
        assert execution.finish().assert_succeeded() == module.RESULT


def test_its_recorded_history_replays(example: tuple[Path, ModuleType]) -> None:
    file, module = example
    recorded = load_history(HISTORIES / f"{file.stem}.history.json")
    report = Replayer(module.handler).replay(recorded)
    assert (report.verdict.value, report.divergences, report.effects) == ("same", (), ())


def test_nothing_in_it_breaks_replay() -> None:
    assert [str(finding) for finding in lint_paths([EXAMPLES / "operations", EXAMPLES / "patterns"])] == []


def test_there_is_one_for_every_operation_and_pattern() -> None:
    assert len(FILES) >= 24
    assert len({file.stem for file in FILES}) == len(FILES)
    assert {file.name.partition(".")[0] for file in HISTORIES.glob("*.json")} == {file.stem for file in FILES}
