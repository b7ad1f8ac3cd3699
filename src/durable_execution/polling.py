"""Wait strategies: decide after each check of a condition whether and when to check again."""

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
    """The decision of a wait strategy after a check.

    Attributes:
        should_continue: Whether to check again.
        delay: Time until the next check, limited to 1 second to 366 days.
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
        """Stop: the condition is met."""
        return cls(False)

    @property
    def delay_seconds(self) -> int:
        """Whole seconds, rounded up, from 1 second to 366 days."""
        return whole_seconds(self.delay)


def checked_decision(decision: object) -> WaitDecision:
    """Return the decision of a wait strategy after checking its type.

    Raises:
        ConfigurationError: The strategy returned something other than a decision.
    """
    if isinstance(decision, WaitDecision):
        return decision
    raise ConfigurationError(
        f"a wait strategy returned {decision!r:.60}: return WaitDecision.check_again(delay) or WaitDecision.done()"
    )


WaitStrategy: TypeAlias = Callable[[Any, int], WaitDecision]
"""Called with the state that the check returned and the number of checks made so far (from 1)."""


class ConditionNotMetError(Exception):
    """A wait strategy used up its checks."""


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
        is_met: Takes the state that the check returned; returns whether it ends the wait.
        max_attempts: Most checks; after the last, the operation fails with `WaitForConditionError`.
        initial_delay: Delay after the first check.
        max_delay: Upper bound of the delay.
        backoff_rate: Factor from one delay to the next.
        jitter: How delays are randomized.

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
