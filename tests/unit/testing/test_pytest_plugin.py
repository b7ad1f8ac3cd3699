"""The fixtures, as a project that uses them sees them."""

import pytest

pytest_plugins = ["pytester"]

WORKFLOW = """
from datetime import timedelta
from durable_execution import durable_execution

@durable_execution
async def process_order(order, ctx):
    await ctx.step(lambda step: "paid", "charge")
    await ctx.wait(timedelta(hours=1), "pause")
    return order["id"]
"""


def run(pytester: pytest.Pytester, test: str) -> pytest.RunResult:
    pytester.makepyfile(orders=WORKFLOW)
    pytester.makepyfile("from orders import process_order\n" + test)
    return pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider", "-W", "error")


def test_a_runner_for_every_handler(pytester: pytest.Pytester) -> None:
    outcome = run(
        pytester,
        """
def test_order(durable_runner):
    result = durable_runner(process_order).run({"id": "A-17"})
    assert result.assert_succeeded() == "A-17"
    assert result.step("charge").result == "paid"

def test_options(durable_runner):
    runner = durable_runner(process_order, name="orders")
    assert ":function:orders:" in runner.run({"id": "A-17"}).arn

def test_engine(durable_engine):
    durable_engine.register("orders", process_order)
    assert durable_engine.run("orders", {"id": "A-17"}).result == "A-17"

def test_cloud(durable_cloud_runner, durable_engine):
    durable_engine.register("orders", process_order)
    runner = durable_cloud_runner("orders", client=durable_engine.client)
    execution = runner.start({"id": "A-17"})
    durable_engine.run_until_idle()
    assert execution.finish().result == "A-17"
""",
    )
    outcome.assert_outcomes(passed=4)


def test_a_failed_test_shows_its_executions(pytester: pytest.Pytester) -> None:
    outcome = run(
        pytester,
        """
def test_order(durable_runner):
    assert durable_runner(process_order).run({"id": "A-17"}).result == "A-18"
""",
    )
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(
        [
            "*durable execution*",
            "process_order SUCCEEDED after 2 invocations*",
            '  charge step SUCCEEDED → "paid"',
            "arn:aws:lambda:*",
        ]
    )


def test_a_crash_that_never_came_is_an_error(pytester: pytest.Pytester) -> None:
    outcome = run(
        pytester,
        """
def test_order(durable_runner):
    runner = durable_runner(process_order)
    runner.crash(at=99)
    runner.run({"id": "A-17"})
""",
    )
    outcome.assert_outcomes(passed=1, errors=1)
    outcome.stdout.fnmatch_lines(["*never occurred: crash at checkpoint 99*"])


def test_unless_the_test_has_failed_anyway(pytester: pytest.Pytester) -> None:
    outcome = run(
        pytester,
        """
def test_order(durable_runner):
    durable_runner(process_order).crash(at=99)
    assert False
""",
    )
    outcome.assert_outcomes(failed=1)


def test_the_fixtures_are_listed(pytester: pytest.Pytester) -> None:
    outcome = pytester.runpytest_inprocess("--fixtures", "-p", "no:cacheprovider")
    outcome.stdout.fnmatch_lines(["durable_runner*", "durable_cloud_runner*", "durable_engine*"])
