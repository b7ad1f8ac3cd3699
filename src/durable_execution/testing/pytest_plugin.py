"""Fixtures for pytest. pytest loads the plugin automatically where this package is installed.

| fixture | provides |
|---|---|
| `durable_runner` | `durable_runner(handler, **options)`: a `LocalRunner`, closed after the test |
| `durable_cloud_runner` | `durable_cloud_runner(function_name, **options)`: a `CloudRunner` |
| `durable_engine` | a `LocalEngine` in memory that skips waits |

When a test that uses `durable_runner` fails, the report shows the executions it ran.
"""

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from durable_execution.local import LocalEngine
    from durable_execution.testing import CloudRunner, LocalRunner

MAX_SHOWN = 5
HAS_FAILED: pytest.StashKey[bool] = pytest.StashKey()


RUNNERS: "pytest.StashKey[list[LocalRunner]]" = pytest.StashKey()


@pytest.fixture
def durable_runner(request: pytest.FixtureRequest) -> "Iterator[Callable[..., LocalRunner]]":
    """Creates runners for handlers: `durable_runner(handler, **options)`, with the options of `LocalRunner`.

    After the test, the runners are closed, and every requested crash and error must have occurred.
    """
    from durable_execution.testing import LocalRunner

    made: list[LocalRunner] = request.node.stash.setdefault(RUNNERS, [])

    def make(handler: Any, **options: Any) -> LocalRunner:
        made.append(LocalRunner(handler, **options))
        return made[-1]

    yield make
    for runner in made:
        runner.close()
    if not request.node.stash.get(HAS_FAILED, False):
        for runner in made:
            runner.assert_faults_happened()


@pytest.fixture
def durable_cloud_runner() -> "Callable[..., CloudRunner]":
    """Creates runners for deployed functions: `durable_cloud_runner("process-order")`, with the options of `CloudRunner`."""
    from durable_execution.testing import CloudRunner

    return CloudRunner


@pytest.fixture
def durable_engine() -> "Iterator[LocalEngine]":
    """A local engine in memory that skips waits."""
    from durable_execution.local import LocalEngine

    with LocalEngine(None, time="skip") as engine:
        yield engine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the executions of a failed test in its report."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[HAS_FAILED] = True
        report.sections.extend(_sections(item.stash.get(RUNNERS, [])))
    return report


def _sections(runners: "list[LocalRunner]") -> Iterator[tuple[str, str]]:
    started = [execution for runner in runners for execution in runner.executions]
    for execution in started[-MAX_SHOWN:]:
        try:
            yield "durable execution", f"{execution.report().describe()}\n{execution.arn}"
        except Exception as error:  # noqa: BLE001  # the addition must not make the report fail
            yield "durable execution", f"{execution.arn} cannot be shown: {error}"
