"""The requirement files, each with a handler of ours, event by event."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.in_process import InProcess
from tests.conformance.matching import complaints
from tests.conformance.over_http import OverHttp, over_http
from tests.conformance.registry import cases
from tests.conformance.remote import RemoteFunction
from tests.conformance.requirement import read_requirement

SHARED = Path(os.environ.get("DURABLE_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared"))
FILES = sorted(path for path in (SHARED / "conformance").glob("*/*.yaml") if not path.parent.name.startswith("otel"))


def test_the_requirements_are_there(shared_conformance: Path) -> None:
    assert FILES, f"no requirement files in {shared_conformance}"


CRASHING = {"1-17", "1-18", "3-12"}


@pytest.fixture(scope="module")
def server() -> Iterator[OverHttp]:
    with over_http() as server:
        yield server


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_over_http(path: Path, server: OverHttp, tmp_path: Path) -> None:
    required = read_requirement(path)
    case = cases()[required.id]
    is_crashing = required.id in CRASHING
    outcome = server.run_in_processes(case, required, tmp_path) if is_crashing else server.run(case, required)
    assert complaints(required, outcome) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_in_process(path: Path) -> None:
    required = read_requirement(path)
    outcome = InProcess().run(cases()[required.id], required)
    assert complaints(required, outcome) == []


@pytest.fixture(scope="module")
def remote(server: OverHttp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteFunction]:
    with server.remote(tmp_path_factory.mktemp("remote")) as function:
        yield function


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_remotely(path: Path, server: OverHttp, remote: RemoteFunction) -> None:
    required = read_requirement(path)
    outcome = server.run_remotely(cases()[required.id], required, remote)
    assert complaints(required, outcome) == []
