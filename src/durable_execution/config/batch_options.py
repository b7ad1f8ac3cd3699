"""Options of maps and parallels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING, Any

from durable_execution.config.completion import CompletionConfig
from durable_execution.config.step_options import check_choice, check_function, check_serdes
from durable_execution.errors import ConfigurationError
from durable_execution.value_classes import value_class

if TYPE_CHECKING:
    from durable_execution.serdes import SerDes


class NestingType(Enum):
    """How branches are recorded in the history.

    NESTED records a context for each branch, checkpointed when it ends, so that a replay skips the branch. FLAT uses virtual
    contexts: fewer checkpoints, but branch code outside operations runs again on every replay.
    """

    NESTED = "NESTED"
    FLAT = "FLAT"


@value_class(frozen=True, slots=True, kw_only=True)
class ParallelConfig:
    """Options of `ctx.parallel`.

    Attributes:
        max_concurrency: Most branches in flight at once. A suspended branch counts. None means no limit.
        completion_config: When the operation is complete.
        serdes: Serializer of the whole `BatchResult` only.
        item_serdes: Serializer of each branch's result. Without `serdes`, the results are stored only with the branches.
        result_type: Type of each branch's result, if the functions have no return annotation.
        summary_generator: Creates a text to store in place of a result above 256 KiB.
        nesting_type: Whether the history records a context for each branch.
    """

    max_concurrency: int | None = None
    completion_config: CompletionConfig = field(default_factory=CompletionConfig.all_successful)
    serdes: SerDes[Any] | None = None
    item_serdes: SerDes[Any] | None = None
    result_type: Any = None
    summary_generator: Callable[[Any], str] | None = None
    nesting_type: NestingType = NestingType.NESTED

    def __post_init__(self) -> None:
        _check(self)


@value_class(frozen=True, slots=True, kw_only=True)
class ItemBatcherConfig:
    """How `ctx.map` groups items, so that one branch handles several. At least one limit is needed.

    Attributes:
        max_items: Most items in a group.
        max_bytes: Largest size of a group: of its items as JSON, in bytes. A larger item is a group of its own.
    """

    max_items: int | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        limits = {"max_items": self.max_items, "max_bytes": self.max_bytes}
        given = {name: limit for name, limit in limits.items() if limit is not None}
        if not given:
            raise ConfigurationError("ItemBatcherConfig() has no limit: pass max_items=... or max_bytes=...")
        for name, limit in given.items():
            if type(limit) is not int or limit < 1:
                raise ConfigurationError(f"{name} must be a whole number of at least 1, not {limit!r}")


@value_class(frozen=True, slots=True, kw_only=True)
class MapConfig:
    """Options of `ctx.map`.

    Attributes:
        max_concurrency: Most items in flight at once. A suspended item counts. None means no limit.
        completion_config: When the operation is complete.
        serdes: Serializer of the whole `BatchResult` only.
        item_serdes: Serializer of each item's result. Without `serdes`, the results are stored only with the items.
        result_type: Type of each item's result, if the function has no return annotation.
        summary_generator: Creates a text to store in place of a result above 256 KiB.
        nesting_type: Whether the history records a context for each item.
        item_namer: Called with item and index, returns the name of the item's context; default `map-item-<index>`.
        item_batcher: Groups the items. The function, and `item_namer`, then receive a list of items in place of an item.
    """

    max_concurrency: int | None = None
    completion_config: CompletionConfig = field(default_factory=CompletionConfig)
    serdes: SerDes[Any] | None = None
    item_serdes: SerDes[Any] | None = None
    result_type: Any = None
    summary_generator: Callable[[Any], str] | None = None
    nesting_type: NestingType = NestingType.NESTED
    item_namer: Callable[[Any, int], str] | None = None
    item_batcher: ItemBatcherConfig | None = None

    def __post_init__(self) -> None:
        _check(self)
        check_function("item_namer", self.item_namer)
        if self.item_batcher is not None and not isinstance(self.item_batcher, ItemBatcherConfig):
            raise ConfigurationError(
                f"item_batcher must be an ItemBatcherConfig, not {self.item_batcher!r:.60}: ItemBatcherConfig(max_items=10)"
            )


def _check(config: ParallelConfig | MapConfig) -> None:
    most = config.max_concurrency
    if most is not None and most < 1:
        raise ConfigurationError(f"max_concurrency must be at least 1, not {most}: leave it out for no limit")
    if not isinstance(config.completion_config, CompletionConfig):
        raise ConfigurationError(f"completion_config must be a CompletionConfig, not {config.completion_config!r:.60}")
    check_choice("nesting_type", config.nesting_type, NestingType)
    check_serdes("serdes", config.serdes)
    check_serdes("item_serdes", config.item_serdes)
    check_function("summary_generator", config.summary_generator)
