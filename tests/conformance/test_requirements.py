"""The requirement files, each with a handler of ours, event by event."""

import os
from pathlib import Path

import pytest

from tests.conformance.in_process import InProcess
from tests.conformance.matching import complaints
from tests.conformance.registry import cases
from tests.conformance.requirement import read_requirement

SHARED = Path(os.environ.get("DURABLE_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared"))
FILES = sorted(path for path in (SHARED / "conformance").glob("*/*.yaml") if not path.parent.name.startswith("otel"))


def test_the_requirements_are_there(shared_conformance: Path) -> None:
    assert FILES, f"no requirement files in {shared_conformance}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_in_process(path: Path) -> None:
    required = read_requirement(path)
    outcome = InProcess().run(cases()[required.id], required)
    assert complaints(required, outcome) == []
