"""What can be configured of maps and parallels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from durable_execution.config.check import check_choice, check_function, check_serdes
from durable_execution.config.completion import CompletionConfig
from durable_execution.errors import ConfigurationError

if TYPE_CHECKING:
    from durable_execution.serdes import SerDes


class NestingType(Enum):
    """How branches stand in the history.

    NESTED gives each branch a context of its own, checkpointed when it ends, so that a replay skips it. FLAT writes no
    branch contexts: fewer checkpoints, but branch code outside operations runs again on every replay.
    """

    NESTED = "NESTED"
    FLAT = "FLAT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelConfig:
    """Options of `ctx.parallel`.

    Attributes:
        max_concurrency: Branches in flight at once; a suspended branch keeps its place. None is no limit.
        completion_config: When the operation is complete.
        serdes: Serializer of the whole `BatchResult`, and of nothing else.
        item_serdes: Serializer of each branch's result. Without `serdes`, the results are then written nowhere else.
        result_type: Type of each branch's result, when annotations do not tell.
        summary_generator: Makes a text that is kept beside the decision when the result is above 256 KiB.
        nesting_type: Whether branches have contexts of their own in the history.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MapConfig:
    """Options of `ctx.map`.

    Attributes:
        max_concurrency: Items in flight at once; a suspended item keeps its place. None is no limit.
        completion_config: When the operation is complete.
        serdes: Serializer of the whole `BatchResult`, and of nothing else.
        item_serdes: Serializer of each item's result. Without `serdes`, the results are then written nowhere else.
        result_type: Type of each item's result, when the function's annotation does not tell.
        summary_generator: Makes a text that is kept beside the decision when the result is above 256 KiB.
        nesting_type: Whether items have contexts of their own in the history.
        item_namer: Names the context of an item, called with item and index; default `map-item-<index>`.
    """

    max_concurrency: int | None = None
    completion_config: CompletionConfig = field(default_factory=CompletionConfig)
    serdes: SerDes[Any] | None = None
    item_serdes: SerDes[Any] | None = None
    result_type: Any = None
    summary_generator: Callable[[Any], str] | None = None
    nesting_type: NestingType = NestingType.NESTED
    item_namer: Callable[[Any, int], str] | None = None

    def __post_init__(self) -> None:
        _check(self)
        check_function("item_namer", self.item_namer)


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
