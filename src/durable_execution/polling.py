"""Wait strategies: after each check of a condition, whether and when to check again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from durable_execution.errors import ConfigurationError
from durable_execution.retry import (
    DEFAULT_INITIAL_DELAY,
    DEFAULT_MAX_DELAY,
    Jitter,
    check_delays,
    check_duration,
    grown,
    whole_seconds,
)


@dataclass(frozen=True, slots=True)
class WaitDecision:
    """What a wait strategy decides after a check.

    Attributes:
        should_continue: Whether to check again.
        delay: How long until then; at least one second is waited, and at most 366 days.
    """

    should_continue: bool
    delay: timedelta = timedelta(seconds=1)

    @classmethod
    def check_again(cls, delay: timedelta) -> WaitDecision:
        """Check again after `delay`."""
        check_duration("the delay of WaitDecision.check_again", delay)
        return cls(True, delay)

    @classmethod
    def done(cls) -> WaitDecision:
        """The condition is met."""
        return cls(False)

    @property
    def delay_seconds(self) -> int:
        """Whole seconds, rounded up, from 1 second to 366 days."""
        return whole_seconds(self.delay)


def checked_decision(decision: object) -> WaitDecision:
    """What a wait strategy has returned, if it is a decision.

    Raises:
        ConfigurationError: It is not.
    """
    if isinstance(decision, WaitDecision):
        return decision
    raise ConfigurationError(
        f"a wait strategy returned {decision!r:.60}: return WaitDecision.check_again(delay) or WaitDecision.done()"
    )


WaitStrategy: TypeAlias = Callable[[Any, int], WaitDecision]
"""Called with the state the check returned and the number of checks made so far (from 1)."""


class ConditionNotMetError(Exception):
    """A wait strategy has run out of checks."""


def poll_until(
    is_met: Callable[[Any], bool],
    *,
    max_attempts: int = 60,
    initial_delay: timedelta = DEFAULT_INITIAL_DELAY,
    max_delay: timedelta = DEFAULT_MAX_DELAY,
    backoff_rate: float = 1.5,
    jitter: Jitter = Jitter.FULL,
) -> WaitStrategy:
    """Check until `is_met(state)`, with growing delays.

    Args:
        is_met: Whether the state that the check returned ends the wait.
        max_attempts: Checks in all; after them the operation fails with `WaitForConditionError`.
        initial_delay: Delay after the first check.
        max_delay: Upper bound of the delay.
        backoff_rate: Factor from one delay to the next.
        jitter: How delays are spread.

    Raises:
        ConfigurationError: A value is out of range.
    """
    check_delays(max_attempts, initial_delay, max_delay, backoff_rate=backoff_rate)

    def decide(state: Any, attempts_made: int) -> WaitDecision:
        if is_met(state):
            return WaitDecision.done()
        if attempts_made >= max_attempts:
            raise ConditionNotMetError(f"the condition was not met in {attempts_made} checks (max_attempts)")
        return WaitDecision.check_again(jitter.apply(grown(initial_delay, backoff_rate, attempts_made, max_delay)))

    return decide
