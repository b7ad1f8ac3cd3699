"""What scenarios run on."""

from collections.abc import Iterator

import pytest

from durable_execution.local import LocalEngine
from tests.scenarios.scenario import Scenario
from tests.scenarios.styles import Style


@pytest.fixture
def skipping_engine() -> Iterator[LocalEngine]:
    """A local engine in memory whose time skips."""
    with LocalEngine(store=None, time="skip", trace_sink=False) as engine:
        yield engine


@pytest.fixture(params=["async", "blocking"])
def scenario(request: pytest.FixtureRequest, skipping_engine: LocalEngine) -> Scenario:
    """Runs a workflow; every test that asks for it is run in both handler styles."""
    style: Style = request.param
    return Scenario(skipping_engine, style)


@pytest.fixture
def async_scenario(skipping_engine: LocalEngine) -> Scenario:
    """Runs a workflow that only makes sense as `async def`."""
    return Scenario(skipping_engine, "async")


@pytest.fixture
def blocking_scenario(skipping_engine: LocalEngine) -> Scenario:
    """Runs a workflow that only makes sense as a plain `def`."""
    return Scenario(skipping_engine, "blocking")
