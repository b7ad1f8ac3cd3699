"""Which branch a value decides."""

import pytest

from durable_execution.replay.cause import Decision, decision_on
from durable_execution.replay.origin import Dependence, Source, fix_of


def place(source: str, mark: str) -> int:
    return next(number for number, line in enumerate(source.splitlines(), start=1) if mark in line)


DIRECT = """
async def flow(event, ctx):
    await ctx.step(a)
    if datetime.now().hour > 12:  # value, branch
        await ctx.step(b)  # call
"""
BY_NAME = """
async def flow(event, ctx):
    now = clock()  # value
    late = now.hour > 18
    await ctx.step(a)
    if late and event:  # branch
        await ctx.step(b)  # call
    if event:
        pass
"""
LOOP = """
async def flow(event, ctx):
    names = os.listdir(".")  # value
    for name in names:  # branch
        await ctx.step(name)  # call
"""
TERNARY = """
async def flow(event, ctx):
    await ctx.step(a if random() > 0.5 else b)  # value, branch, call
"""
UNRELATED = """
async def flow(event, ctx):
    started = time()  # value
    if event:
        await ctx.step(b)  # call
"""
ELSEWHERE = """
def helper():
    return time()  # value

async def flow(event, ctx):
    if helper():
        await ctx.step(b)  # call
"""
MATCH = """
async def flow(event, ctx):
    kind = choice([1, 2])  # value
    match kind:  # branch
        case 1:
            await ctx.step(b)  # call
"""


@pytest.mark.parametrize("source", [DIRECT, BY_NAME, TERNARY, MATCH], ids=["direct", "by name", "ternary", "match"])
def test_branches(source: str) -> None:
    found = decision_on(source, value_line=place(source, "value"), call_line=place(source, "call"))
    assert found == Decision(place(source, "branch"), "branches")


def test_loops() -> None:
    found = decision_on(LOOP, value_line=place(LOOP, "value"), call_line=place(LOOP, "call"))
    assert found == Decision(place(LOOP, "branch"), "iterates")


@pytest.mark.parametrize("source", [UNRELATED, ELSEWHERE])
def test_values_that_decide_nothing_here(source: str) -> None:
    assert decision_on(source, value_line=place(source, "value"), call_line=place(source, "call")) is None


def test_a_call_that_is_not_made_any_more_has_no_line() -> None:
    assert decision_on(BY_NAME, value_line=place(BY_NAME, "value"), call_line=None) is not None


def test_source_that_cannot_be_parsed() -> None:
    assert decision_on("def (", value_line=1, call_line=1) is None


@pytest.mark.parametrize(
    ("what", "shown"), [("self.skus - sold", "sorted(self.skus - sold)"), ("set(line for l", "sorted(...)")]
)
def test_the_fix_of_an_order_sorts_the_set_that_is_iterated(what: str, shown: str) -> None:
    assert f"`{shown}`" in fix_of(Dependence(Source.ORDER, what), "the value")
