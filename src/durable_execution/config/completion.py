"""Completion criteria of map and parallel operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from durable_execution.errors import ConfigurationError
from durable_execution.value_classes import value_class


class CompletionOutcome(StrEnum):
    """The outcome of a batch that a custom rule completes."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class BatchItemStatus(StrEnum):
    """The status of a branch when its batch completed."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STARTED = "STARTED"


@dataclass(frozen=True, slots=True)
class CompletionItem:
    """One branch, as passed to a completion rule. `status` is None until the branch starts."""

    index: int
    name: str | None = None
    status: BatchItemStatus | None = None


@value_class(frozen=True, slots=True)
class CompletionStatus:
    """A batch, as passed to a completion rule.

    Attributes:
        success_count: Branches that succeeded.
        failure_count: Branches that failed.
        completed_count: Branches that ended: the sum of both.
        total_count: All branches, started or not.
        items: The branches in index order.
    """

    success_count: int
    failure_count: int
    completed_count: int
    total_count: int
    items: tuple[CompletionItem, ...] = ()


@value_class(frozen=True, slots=True)
class CompletionDecision:
    """The result of a completion rule. Outcome `None` continues; any other completes the batch with that outcome."""

    outcome: CompletionOutcome | None = None

    @classmethod
    def go_on(cls) -> CompletionDecision:
        """Continue: the batch is not complete yet."""
        return cls()

    @classmethod
    def complete(cls, outcome: CompletionOutcome = CompletionOutcome.SUCCEEDED) -> CompletionDecision:
        """Complete the batch with `outcome`."""
        return cls(outcome)


@value_class(frozen=True, slots=True)
class CompletionConfig:
    """When a map or parallel is complete.

    Without criteria, the first failure completes the batch. *More* failures than a tolerance names exceed it. A percentage
    counts all branches, started or not. If a tolerance is exceeded and `min_successful` is reached, the tolerance decides. A
    custom rule replaces the other criteria.

    Attributes:
        min_successful: Complete as soon as this many branches have succeeded.
        tolerated_failure_count: Complete as soon as more than this many have failed.
        tolerated_failure_percentage: Complete as soon as more than this share (0 to 100) of all branches has failed.
        should_complete: Your own rule, called after each branch that ends. It may depend on its argument only.

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
            raise ConfigurationError(f"tolerated_failure_count must be at least 0, not {self.tolerated_failure_count}")
        percentage = self.tolerated_failure_percentage
        if percentage is not None and not 0 <= percentage <= 100:
            raise ConfigurationError(f"tolerated_failure_percentage must be from 0 to 100, not {percentage}")
        if self.should_complete is not None and self.has_criteria:
            raise ConfigurationError(
                "should_complete replaces the other criteria: set either should_complete or the thresholds"
            )

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
        """Complete with the first success; a failure does not stop the other branches."""
        return cls(min_successful=1)

    @classmethod
    def all_completed(cls) -> CompletionConfig:
        """Run every branch, however many fail."""
        return cls(tolerated_failure_percentage=100)

    @classmethod
    def all_successful(cls) -> CompletionConfig:
        """Complete with the first failure."""
        return cls(tolerated_failure_count=0)
