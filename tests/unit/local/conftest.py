"""Engines in memory whose time skips and whose ids count, so that everything repeats exactly."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from durable_execution.local import CountingIds, EngineLimits, LocalEngine, SkippingClock

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
