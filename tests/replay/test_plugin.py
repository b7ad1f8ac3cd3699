"""Recorded histories as tests."""

import json
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.replay.recording import history_of
from tests.replay.workflows import plain

pytestmark = pytest.mark.acceptance

PLUGIN = "durable_execution.testing.plugin_histories"
FLOW = """
from datetime import timedelta
from durable_execution import durable_execution

async def body(step):
    return 1

@durable_execution
async def flow(event, ctx):
    await ctx.step(body, name="{name}")
    await ctx.wait(timedelta(seconds=5), name="w")
    await ctx.step(body, name="b")
    return "done"
"""

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    events, _ = history_of(plain)
    pytester.makeini(
        "[pytest]\ntestpaths = histories\ndurable_histories = histories\ndurable_handlers = rh_plugin_flow:flow\n"
    )
    pytester.makepyfile(rh_plugin_flow=FLOW.format(name="a"))
    folder = pytester.mkdir("histories")
    (folder / "order.history.json").write_text(json.dumps(events, default=str), encoding="utf-8")
    (folder / "other.json").write_text("{}", encoding="utf-8")
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    is_installed = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
    return project.runpytest_subprocess("-p", "no:cacheprovider", *([] if is_installed else ["-p", PLUGIN]), *arguments)


def test_a_history_that_fits_passes(project: pytest.Pytester) -> None:
    run(project).assert_outcomes(passed=1)


def test_a_failure_prints_the_five_lines(project: pytest.Pytester) -> None:
    project.makepyfile(rh_plugin_flow=FLOW.format(name="renamed"))
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*Nondeterminism in flow at call 1: renamed*", "*recorded*", "*replayed*", "*likely*", "*effect*", "*fix*",
         "*--durable-update*"]
    )  # fmt: skip
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_handler_that_ends_the_process_is_a_failure_of_its_history(project: pytest.Pytester) -> None:
    for name in ("first", "second"):
        events, _ = history_of(plain)
        path = project.path / "histories" / f"{name}.history.json"
        path.write_text(json.dumps(events, default=str), encoding="utf-8")
    project.makepyfile(rh_plugin_flow=FLOW.format(name="a").replace('    return "done"', "    import os; os._exit(0)"))
    result = run(project)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*EXITED*first.history.json*", "*ended its process with exit code 0*"])


def test_an_update_records_it_again(project: pytest.Pytester) -> None:
    project.makepyfile(rh_plugin_flow=FLOW.format(name="renamed"))
    run(project, "--durable-update").assert_outcomes(passed=1)
    run(project).assert_outcomes(passed=1)
    events = json.loads(Path(project.path / "histories" / "order.history.json").read_text(encoding="utf-8"))
    assert "renamed" in {event.get("Name") for event in events}


def test_without_a_handler_the_option_is_named(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\ntestpaths = histories\ndurable_histories = histories\n")
    result = run(project)
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*durable_handlers*"])
