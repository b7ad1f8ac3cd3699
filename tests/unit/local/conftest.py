"""Engines in memory whose time skips and whose ids count, so that everything repeats exactly."""

from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from durable_execution.local import CountingIds, EngineLimits, LocalEngine, SkippingClock
from tests.unit.local import scripts

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(None, clock=SkippingClock(START), ids=CountingIds()) as made:
        yield made


@pytest.fixture
def limits() -> EngineLimits:
    """Override in a test module to change what `small_engine` allows."""
    return EngineLimits()


@pytest.fixture
def small_engine(limits: EngineLimits) -> Iterator[LocalEngine]:
    with LocalEngine(None, clock=SkippingClock(START), ids=CountingIds(), limits=limits) as made:
        yield made


@pytest.fixture
def store_file(tmp_path: Path) -> Path:
    return tmp_path / "store" / "executions.db"


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Fail a test for an assertion that failed in one of its handlers, whatever the engine made of it."""
    scripts.FAILED.clear()
    result = yield
    if scripts.FAILED:
        raise scripts.FAILED[0]
    return result
