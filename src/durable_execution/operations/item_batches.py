"""Groups the items of `ctx.map` into batches, so that one branch handles several.

A separate module, because only a map with an `item_batcher` needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from durable_execution.config import ItemBatcherConfig
from durable_execution.errors import ConfigurationError, SerializationError
from durable_execution.serdes.sizes import size_in_bytes
from durable_execution.serdes.typed import to_json


def grouped(items: Sequence[Any], config: ItemBatcherConfig) -> list[list[Any]]:
    """Group items in order. The groups depend on the items alone, so that a replay makes the same ones.

    An item above `max_bytes` is a group of its own.

    Raises:
        ConfigurationError: An item has no size in bytes, because it cannot be written as JSON.
    """
    groups: list[list[Any]] = []
    size = 0
    for index, item in enumerate(items):
        item_size = _size(item, index) if config.max_bytes is not None else 0
        is_full = not groups or (config.max_items is not None and len(groups[-1]) >= config.max_items)
        if is_full or (config.max_bytes is not None and size + item_size > config.max_bytes):
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += item_size
    return groups


def _size(item: Any, index: int) -> int:
    try:
        return size_in_bytes(to_json(item))
    except SerializationError as error:
        raise ConfigurationError(
            f"ItemBatcherConfig(max_bytes=...) cannot measure item {index}: {error}. Use items that can be written as JSON, or "
            "max_items"
        ) from error
