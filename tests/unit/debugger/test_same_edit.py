"""One edit that gives several calls a different value is one difference; several edits are several."""

from pathlib import Path

import pytest

from durable_debugger.model.differences import differences_of
from durable_debugger.sources.files import load_file
from durable_execution.replay import Replayer
from durable_execution.replay.loading import load_handler
from tests.tui.broken import Broken, record

HANDLER = """
{above}


@durable_execution
async def handler(order: dict, ctx: DurableContext) -> object:
    {before}
    await ctx.step(reserve())
    await ctx.wait({first}, name="pause")
    {between}
    await ctx.wait({second}, name="cool_down")
    return await ctx.step(ship())
"""
LOCAL = {"before": "pause = timedelta(minutes=5)", "first": "pause"}
EDITED = {**LOCAL, "before": "pause = timedelta(minutes=10)"}
REST = {"between": "rest = timedelta(minutes=5)", "second": "rest"}


def handler(**parts: str) -> str:
    lines = {"above": "", "before": "pass", "between": "pass", "first": "", "second": "pause"}
    return HANDLER.format(**{**lines, **parts}).strip()


@pytest.mark.parametrize(
    ("before", "after", "roots"),
    [
        (LOCAL, EDITED, ["pause"]),
        ({**LOCAL, "between": "pause *= 2"}, {**EDITED, "between": "pause *= 2"}, ["pause"]),
        (
            {"above": "pause = timedelta(minutes=5)", "first": "pause"},
            {"above": "pause = timedelta(minutes=10)", "first": "pause"},
            ["pause"],
        ),
        (
            {**LOCAL, **REST},
            {**EDITED, "between": "rest = timedelta(minutes=9)", "second": "rest"},
            ["pause", "cool_down"],
        ),
        ({**LOCAL, "between": "pause *= 2"}, {**EDITED, "between": "pause *= 3"}, ["pause", "cool_down"]),
        (LOCAL, {**EDITED, "second": "pause * 2"}, ["pause", "cool_down"]),
    ],
    ids=["constant", "derived", "module", "two constants", "derived differently", "edited call"],
)
def test_calls_that_get_their_value_from_one_edited_line_are_one_difference(
    tmp_path: Path, before: dict[str, str], after: dict[str, str], roots: list[str]
) -> None:
    case = record(Broken("waits", handler(**before), handler(**after)), tmp_path)
    execution = load_file(str(case.history)).execution
    report = Replayer(load_handler(case.target)).replay(execution)
    assert [one.recorded.name for one in report.roots if one.recorded] == roots
    assert report.roots[0].follow_on == 2 - len(roots)
    assert "was edited after the recording" in (report.roots[0].likely or "")
    found = differences_of(report, execution)
    assert (len(found.aligned), len(found.roots), found.follow_on) == (4, len(roots), 2 - len(roots))
