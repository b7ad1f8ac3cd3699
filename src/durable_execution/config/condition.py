"""Options of waits for a condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durable_execution.config.check import check_function, check_serdes
from durable_execution.errors import ConfigurationError
from durable_execution.polling import WaitStrategy

if TYPE_CHECKING:
    from durable_execution.serdes import SerDes


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForConditionConfig:
    """Options of `ctx.wait_for_condition`.

    Attributes:
        wait_strategy: Decides after each check whether and when to check again; see `poll_until`.
        initial_state: The state passed to the first check.
        serdes: Serializer of the state.
        result_type: Type of the state, if the check has no return annotation.
    """

    wait_strategy: WaitStrategy
    initial_state: Any = None
    serdes: SerDes[Any] | None = None
    result_type: Any = None

    def __post_init__(self) -> None:
        if self.wait_strategy is None:
            raise ConfigurationError("wait_strategy is required: write poll_until(lambda state: ...)")
        check_function("wait_strategy", self.wait_strategy)
        check_serdes("serdes", self.serdes)
