"""Decide when a map or parallel is complete, and why. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from durable_execution.batch_result import CompletionReason
from durable_execution.config import (
    CompletionConfig,
    CompletionDecision,
    CompletionItem,
    CompletionOutcome,
    CompletionStatus,
)
from durable_execution.errors import ConfigurationError

Items = Callable[[], Sequence[CompletionItem]]


@dataclass(slots=True)
class CompletionPolicy:
    """Counts branches as they end, and decides when the batch is complete.

    Attributes:
        total: All branches, started or not.
        config: The criteria.
        succeeded: Branches that succeeded so far.
        failed: Branches that failed so far.
    """

    total: int
    config: CompletionConfig
    succeeded: int = 0
    failed: int = 0

    def reason(self, items: Items) -> CompletionReason | None:
        """Return why the batch is complete, or None while it is not.

        The checks run in this order: exceeded tolerance, custom rule, all branches ended, minimum of successes reached.
        """
        if self._is_tolerance_exceeded():
            return CompletionReason.FAILURE_TOLERANCE_EXCEEDED
        decided = self._custom(items)
        if decided is not None:
            return decided
        if self.succeeded + self.failed >= self.total:
            return CompletionReason.ALL_COMPLETED
        minimum = self.config.min_successful
        if minimum is not None and self.succeeded >= minimum:
            return CompletionReason.MIN_SUCCESSFUL_REACHED
        return None

    def _is_tolerance_exceeded(self) -> bool:
        config = self.config
        if config.should_complete is not None:
            return False
        if not config.has_criteria:
            return self.failed > 0
        if config.tolerated_failure_count is not None and self.failed > config.tolerated_failure_count:
            return True
        percentage = config.tolerated_failure_percentage
        return percentage is not None and self.total > 0 and self.failed * 100 / self.total > percentage

    def _custom(self, items: Items) -> CompletionReason | None:
        rule = self.config.should_complete
        if rule is None:
            return None
        decision: object = rule(
            CompletionStatus(
                success_count=self.succeeded,
                failure_count=self.failed,
                completed_count=self.succeeded + self.failed,
                total_count=self.total,
                items=tuple(items()),
            )
        )
        if not isinstance(decision, CompletionDecision):
            raise ConfigurationError(
                f"should_complete returned {decision!r:.60}: return CompletionDecision.go_on() or "
                "CompletionDecision.complete(outcome)"
            )
        if decision.outcome is None:
            return None
        if decision.outcome is CompletionOutcome.FAILED:
            return CompletionReason.CUSTOM_COMPLETION_FAILED
        return CompletionReason.CUSTOM_COMPLETION_SUCCEEDED
