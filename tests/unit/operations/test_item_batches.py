"""Items of a map in groups: by number, by size, and the same ones on every replay."""

import json
from collections.abc import Sequence
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution import BlockingContext, DurableContext, ItemBatcherConfig, MapConfig, durable_execution
from durable_execution.errors import ConfigurationError
from durable_execution.operations.batch_codec import grouped
from tests.unit.fake_service import FakeService, invoke


class Order(pydantic.BaseModel):
    id: str


@pytest.mark.parametrize(
    ("items", "config", "groups"),
    [
        ([1, 2, 3, 4, 5], ItemBatcherConfig(max_items=2), [[1, 2], [3, 4], [5]]),
        ([], ItemBatcherConfig(max_items=2), []),
        (["aa", "bb", "cc"], ItemBatcherConfig(max_bytes=8), [["aa", "bb"], ["cc"]]),
        (["a", "b" * 50, "c"], ItemBatcherConfig(max_bytes=8), [["a"], ["b" * 50], ["c"]]),
        (["ä", "ä"], ItemBatcherConfig(max_bytes=7), [["ä"], ["ä"]]),  # four bytes each, three characters
        (["a", "b", "c", "d"], ItemBatcherConfig(max_items=3, max_bytes=6), [["a", "b"], ["c", "d"]]),
    ],
    ids=["number", "none", "size", "one is too large", "bytes", "both"],
)
def test_groups(items: Sequence[Any], config: ItemBatcherConfig, groups: list[list[Any]]) -> None:
    assert grouped(items, config) == groups


@given(st.lists(st.text(max_size=20)), st.integers(1, 5), st.integers(1, 60))
def test_no_item_is_lost_and_no_group_is_empty_or_larger_than_it_may_be(
    items: list[str], max_items: int, max_bytes: int
) -> None:
    groups = grouped(items, ItemBatcherConfig(max_items=max_items, max_bytes=max_bytes))
    assert [item for group in groups for item in group] == items
    for group in groups:
        assert 1 <= len(group) <= max_items
        sizes = [len(json.dumps(item, ensure_ascii=False).encode()) for item in group]
        assert len(group) == 1 or sum(sizes) <= max_bytes


def test_a_function_gets_a_list_and_gives_one_result_for_it() -> None:
    seen: list[Any] = []

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> list[int]:
        async def total(group_ctx: DurableContext, numbers: list[int], index: int) -> int:
            seen.append((index, numbers))
            return sum(numbers)

        config = MapConfig(item_batcher=ItemBatcherConfig(max_items=2), item_namer=lambda group, _: f"from-{group[0]}")
        return (await ctx.map([1, 2, 3], total, config=config)).get_results()

    service = FakeService()
    assert json.loads(invoke(handler, service)["Result"]) == [3, 3]
    assert seen == [(0, [1, 2]), (1, [3])]
    names = {update.get("Name") for call in service.calls for update in call}
    assert names >= {"from-1", "from-3"}


def test_a_blocking_handler_groups_items_too() -> None:
    def total(group_ctx: BlockingContext, numbers: list[int], index: int) -> int:
        return sum(numbers)

    @durable_execution
    def handler(_: Any, ctx: BlockingContext) -> list[int]:
        return ctx.map([1, 2, 3], total, config=MapConfig(item_batcher=ItemBatcherConfig(max_items=2))).get_results()

    assert json.loads(invoke(handler, FakeService())["Result"]) == [3, 3]


def test_an_item_without_a_size_is_refused_with_the_cure() -> None:
    assert grouped([Order(id="a")], ItemBatcherConfig(max_bytes=5)) == [[Order(id="a")]]
    with pytest.raises(ConfigurationError, match=r"cannot measure item 1.*or max_items"):
        grouped(["a", object()], ItemBatcherConfig(max_bytes=5))


@pytest.mark.parametrize(
    ("options", "said"),
    [({}, "has no limit"), ({"max_items": 0}, "max_items must be"), ({"max_bytes": 1.5}, "max_bytes must be")],
)
def test_limits_are_checked(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ItemBatcherConfig(**options)
    with pytest.raises(ConfigurationError, match="item_batcher must be an ItemBatcherConfig"):
        MapConfig(item_batcher=10)  # type: ignore[arg-type]
