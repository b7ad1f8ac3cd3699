"""When a map or parallel is complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from durable_execution.errors import ConfigurationError


class CompletionOutcome(StrEnum):
    """How a batch that a rule of the application ends is judged."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class BatchItemStatus(StrEnum):
    """Where a branch stood when its batch completed."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STARTED = "STARTED"


@dataclass(frozen=True, slots=True)
class CompletionItem:
    """One branch, as a completion rule sees it. `status` is None while it has not started."""

    index: int
    name: str | None = None
    status: BatchItemStatus | None = None


@dataclass(frozen=True, slots=True)
class CompletionStatus:
    """A batch, as a completion rule sees it.

    Attributes:
        success_count: Branches that succeeded.
        failure_count: Branches that failed.
        completed_count: Both together.
        total_count: All branches, started or not.
        items: The branches in index order.
    """

    success_count: int
    failure_count: int
    completed_count: int
    total_count: int
    items: tuple[CompletionItem, ...] = ()


@dataclass(frozen=True, slots=True)
class CompletionDecision:
    """What a completion rule answers: `None` outcome goes on, any other ends the batch with that outcome."""

    outcome: CompletionOutcome | None = None

    @classmethod
    def go_on(cls) -> CompletionDecision:
        """The batch is not complete yet."""
        return cls()

    @classmethod
    def complete(cls, outcome: CompletionOutcome = CompletionOutcome.SUCCEEDED) -> CompletionDecision:
        """The batch is complete, judged as `outcome`."""
        return cls(outcome)


@dataclass(frozen=True, slots=True)
class CompletionConfig:
    """When a map or parallel is complete.

    Without any criterion, the first failure completes it. Tolerances are exceeded by *more* failures than they name;
    a percentage is of all branches, started or not. When a tolerance and `min_successful` are both met, the tolerance
    decides. A custom rule replaces the other criteria.

    Attributes:
        min_successful: Complete as soon as this many branches have succeeded.
        tolerated_failure_count: Complete as soon as more than this many have failed.
        tolerated_failure_percentage: Complete as soon as more than this share (0 to 100) of all branches has failed.
        should_complete: A rule of your own, called after each branch that ends. It must be a function of its argument.

    Raises:
        ConfigurationError: A value is out of range, or a rule is combined with other criteria.
    """

    min_successful: int | None = None
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: float | None = None
    should_complete: Callable[[CompletionStatus], CompletionDecision] | None = None

    def __post_init__(self) -> None:
        if self.min_successful is not None and self.min_successful < 1:
            raise ConfigurationError(f"min_successful must be at least 1, not {self.min_successful}")
        if self.tolerated_failure_count is not None and self.tolerated_failure_count < 0:
            raise ConfigurationError(f"tolerated_failure_count cannot be negative, got {self.tolerated_failure_count}")
        percentage = self.tolerated_failure_percentage
        if percentage is not None and not 0 <= percentage <= 100:
            raise ConfigurationError(f"tolerated_failure_percentage is from 0 to 100, got {percentage}")
        if self.should_complete is not None and self.has_criteria:
            raise ConfigurationError("should_complete replaces the other criteria: give either it or them")

    @property
    def has_criteria(self) -> bool:
        """Whether a threshold is set."""
        return (
            self.min_successful is not None
            or self.tolerated_failure_count is not None
            or self.tolerated_failure_percentage is not None
        )

    @classmethod
    def first_successful(cls) -> CompletionConfig:
        """Complete with the first success; failures do not stop the others."""
        return cls(min_successful=1)

    @classmethod
    def all_completed(cls) -> CompletionConfig:
        """Run every branch, however many fail."""
        return cls(tolerated_failure_percentage=100)

    @classmethod
    def all_successful(cls) -> CompletionConfig:
        """Complete with the first failure."""
        return cls(tolerated_failure_count=0)
