"""Results of maps, parallels and combinators as a person thinks of them, in every view that shows a result."""

import html
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model.differences import Differences
from durable_debugger.model.session import Session
from durable_debugger.screens.fork_dialog import ForkScreen
from durable_debugger.screens.inspection import copyables
from durable_debugger.text import payloads
from durable_debugger.text.segments import plain
from durable_debugger.views.diff import DiffMode, diff_line, diff_rows
from durable_debugger.views.inspector import inspector_lines
from durable_debugger.views.page import html_page
from durable_debugger.views.step import ANSWERS, moment_lines
from durable_debugger.views.value import value_lines
from durable_execution import (
    CompletionConfig,
    DurableContext,
    ItemBatcherConfig,
    MapConfig,
    ParallelConfig,
    RetryPresets,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
)
from durable_execution.comparison.call_tree import tree_of
from durable_execution.comparison.comparison import compare
from durable_execution.history.reading import read_history
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.serdes import CompressedSerDes, DirectoryStore, OffloadedSerDes
from tests.tui.conftest import Drive, settled


@dataclass
class Price:
    sku: str
    amount: Decimal


class NoStockError(Exception):
    pass


@durable_step
def price(step: StepContext, sku: str) -> Price:
    if sku == "C3":
        raise NoStockError(f"no stock of {sku}")
    return Price(sku, Decimal("9.90"))


async def price_item(ctx: DurableContext, sku: str, index: int) -> Price:
    return await ctx.step(price(sku), config=StepConfig(retry_strategy=RetryPresets.none()))


async def email(ctx: DurableContext) -> dict[str, bool]:
    return await ctx.step(lambda _: {"sent": True}, name="send_email")


async def sms(ctx: DurableContext) -> str:
    await ctx.wait(timedelta(hours=1), name="quiet_hours")
    return "sms"


async def count(ctx: DurableContext, skus: list[str], index: int) -> int:
    return await ctx.step(lambda _: len(skus), name="count")


def handler_with(payload_store: Path) -> Any:
    offloaded = StepConfig(serdes=OffloadedSerDes(None, store=DirectoryStore(payload_store), above_bytes=1000))
    compressed = StepConfig(serdes=CompressedSerDes())

    @durable_execution
    async def process(order: dict[str, Any], ctx: DurableContext) -> int:
        skus = ["A1", "B2", "C3"]
        every = MapConfig(completion_config=CompletionConfig.all_completed())
        prices = await ctx.map(skus, price_item, name="prices", config=every)
        first = ParallelConfig(completion_config=CompletionConfig.first_successful())
        await ctx.parallel([email, sms], name="notify", config=first)
        await ctx.map(skus, count, name="sizes", config=MapConfig(item_batcher=ItemBatcherConfig(max_items=2)))
        await ctx.step(lambda _: ["row"] * 2000, name="rows", config=offloaded)
        await ctx.step(lambda _: {"token": "sk_live_4242424242424242", "n": ["row"] * 500}, "packed", config=compressed)
        await ctx.step(lambda _: {"colours": ["row"] * 500}, "plain", config=compressed)
        await ctx.race(sms(ctx), email(ctx), name="fastest")
        await ctx.all(email(ctx), name="both")
        return prices.success_count

    return process


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Session]:
    """Opens a session on an execution with every kind of stored value."""
    with LocalEngine(None, time="skip", ids=CountingIds(), trace_sink=False) as engine:
        engine.register("process", handler_with(tmp_path_factory.mktemp("payloads")))
        arn = engine.start("process", {}, name="process")
        engine.run_until_idle(skips="work")
        page = engine.client.get_durable_execution_history(
            DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=1000
        )
    execution = read_history({"Events": page["Events"]}, arn=arn)
    assert execution.status == "SUCCEEDED", execution.error
    return lambda: Session(execution, as_of=execution.ended_at)


SHOWN = {
    "prices": '[{"sku": "A1", "amount": "9.90"}, {"sku": "B2", "amount": "9.90"}, failed: ',
    "notify": '[{"sent": true}, not finished]',
    "sizes": "[2, 1]",
    "rows": "12,001 bytes stored outside the execution as ",
    "packed": '{"token": "⊘", "n": ["row", ',
    "plain": '{"colours": ["row", "row", ',
    "fastest": "the value of awaitable 2, counted from 1, which ended first",
    "both": "the values of all its awaitables",
}
PRIVATE = ('"all"', "isEncoded", '"t":', "durable:", "sk_live")


def row_of(session: Session, name: str) -> int:
    return next(row for row, operation in enumerate(session.operations) if operation.name == name)


def _details(session: Session, row: int) -> str:
    session.select(row)
    return "\n".join(map(plain, inspector_lines(session, 400)))


def _step(session: Session, row: int) -> str:
    moments = session.playback.moments
    session.seek(next(at for at, one in enumerate(moments) if one.row == row and one.kind in ANSWERS))
    shown = "\n".join(map(plain, moment_lines(session, 400)))
    session.seek(None)
    return shown


def _values_of_diff(session: Session, row: int) -> str:
    tree = tree_of(session.raw)
    differences = Differences(compare(tree, tree, handler="shop:process"), session.rows)
    mode = DiffMode(is_with_values=True)
    return "\n".join(
        plain(diff_line(session, mode, each, 200)) for each in diff_rows(differences, mode) if each.row == row
    )


def _page(session: Session, row: int) -> str:
    return html.unescape("".join(html_page(session)).partition('id="events"')[0])


def _copied(session: Session, row: int) -> str:
    session.select(row)
    return "\n".join(each.text for each in copyables(session) if each.key in "ar")


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("view", [_details, _step, _values_of_diff, _copied], ids=lambda view: view.__name__.strip("_"))
def test_every_view_shows_a_result_as_the_value_it_is(opened: Callable[[], Session], view: Any, name: str) -> None:
    session = opened()
    shown = view(session, row_of(session, name))
    assert SHOWN[name][: 40 if view is _values_of_diff else None] in shown
    assert not [word for word in PRIVATE if word in shown]


@pytest.mark.parametrize("name", SHOWN)
def test_the_page_shows_a_result_as_the_value_it_is(opened: Callable[[], Session], name: str) -> None:
    page = _page(opened(), 0)
    assert SHOWN[name][:40] in page
    assert not [word for word in PRIVATE if word in page]


def test_the_value_window_names_failed_items_and_why_a_parallel_ended_early(opened: Callable[[], Session]) -> None:
    session = opened()
    session.select(row_of(session, "prices"))
    lines = [plain(line).strip() for line in value_lines(session)]
    assert lines[1:4] == ["[", "{", '"sku": "A1",']
    assert any(line.startswith("failed: ") and line.endswith("NoStockError: no stock of C3") for line in lines)
    session.select(row_of(session, "notify"))
    assert "ended early: enough succeeded" in [plain(line).strip() for line in value_lines(session)]
    assert "ended     early: enough succeeded" in _details(session, session.cursor)


FORMS = {
    "javascript": (
        {
            "all": [
                {"index": 0, "status": "SUCCEEDED", "result": 1},
                {"index": 1, "status": "FAILED", "error": {"name": "Error", "message": "no"}},
            ],
            "completionReason": "ALL_COMPLETED",
        },
        "[1, failed: Error: no]",
    ),
    "rust": (
        {
            "items": [{"index": 0, "status": "Succeeded", "result": {"a": 1}}, {"index": 1, "status": "Started"}],
            "completion_reason": "MinSuccessfulReached",
        },
        '[{"a": 1}, not finished]',
    ),
    "too large": (
        {"type": "MapResult", "totalCount": 300, "failureCount": 2, "completionReason": "ALL_COMPLETED"},
        "300 items, 2 failed; too large to store as one result",
    ),
    "inside a value": (
        {
            "t": "m",
            "v": {
                "n": {
                    "t": "br",
                    "v": {"all": {"t": "l", "v": []}, "completionReason": {"t": "s", "v": "ALL_COMPLETED"}},
                }
            },
        },
        '{"n": []}',
    ),
    "encrypted": ({"durable:encrypted": "AAAA"}, "encrypted"),
    "damaged": ({"durable:zlib": "AAAA"}, "compressed, and cannot be read"),
    "a value with the same members": ({"all": [1], "completionReason": "x"}, '{"all": [1], "completionReason": "x"}'),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_in_which_other_sdks_store_a_batch(form: str) -> None:
    stored, shown = FORMS[form]
    assert payloads.one_line(json.dumps(stored)) == shown


def test_values_too_deep_to_format_stay_text() -> None:
    deep = '{"t":"l","v":[' * 4000 + "]}" * 4000
    assert payloads.one_line(deep) == deep
    assert payloads.pretty("[" * 900 + "]" * 900)


def test_the_fork_window_has_no_type_tags_where_json_says_the_same(opened: Callable[[], Session], drive: Drive) -> None:
    session = opened()

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        session.select(row_of(session, "send_email"))
        await pilot.press("F")
        await settled(app, pilot)
        assert isinstance(app.screen, ForkScreen)
        assert json.loads(app.screen._recorded) == {"sent": True}

    drive(session, script)
