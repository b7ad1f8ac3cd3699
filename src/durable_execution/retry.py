"""Retry strategies: functions that take an error and an attempt number, and return a decision.

A strategy runs once per failed attempt; its decision is checkpointed, so jitter does not affect replay.

Wait strategies: decide after each check of a condition whether and when to check again.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias, TypeVar

from durable_execution.errors import ConfigurationError
from durable_execution.protocol.enums import MAX_DELAY_SECONDS, MIN_DELAY_SECONDS
from durable_execution.value_classes import value_class

DEFAULT_INITIAL_DELAY = timedelta(seconds=5)
DEFAULT_MAX_DELAY = timedelta(minutes=5)


class _Chance:
    """The random numbers of an environment, from a generator that is seeded on first use.

    Environments that Lambda restores from one snapshot (SnapStart), and programs that call `random.seed`, would otherwise all
    retry after the same delays.
    """

    def __init__(self) -> None:
        self._generator: random.Random | None = None

    def draw(self) -> float:
        """Draw a number from 0 to 1."""
        if self._generator is None:
            self._generator = random.Random()  # spreads load, not a secret
        return self._generator.random()

    @contextmanager
    def drawing_from(self, seed: str) -> Iterator[None]:
        """Draw the same numbers for the same seed, inside the block."""
        before, self._generator = self._generator, random.Random(seed)
        try:
            yield
        finally:
            self._generator = before


_chance = _Chance()
draw, drawing_from = _chance.draw, _chance.drawing_from


class Jitter(StrEnum):
    """How a delay is randomized, so that many executions do not retry at the same time.

    FULL draws from 0 to the delay, HALF draws from half the delay to the whole delay, NONE keeps the delay. The result is
    rounded up to whole seconds and is at least 1 second, the smallest delay the service accepts.
    """

    NONE = "NONE"
    HALF = "HALF"
    FULL = "FULL"

    def apply(self, delay: timedelta) -> timedelta:
        """Return the randomized delay."""
        seconds = delay.total_seconds()
        if self is Jitter.FULL:
            seconds *= draw()
        elif self is Jitter.HALF:
            seconds *= 0.5 + draw() / 2
        return timedelta(seconds=_whole(seconds))


@value_class(frozen=True, slots=True)
class RetryDecision:
    """The decision of a retry strategy after a failed attempt.

    Attributes:
        should_retry: Whether a further attempt follows.
        delay: Time until that attempt, limited to 1 second to 366 days.
    """

    STRATEGY: ClassVar[str] = "retry"
    ADVICE: ClassVar[str] = "RetryDecision.retry(delay) or RetryDecision.stop()"

    should_retry: bool
    delay: timedelta = timedelta(seconds=1)

    @classmethod
    def retry(cls, delay: timedelta) -> RetryDecision:
        """Try again after `delay`."""
        check_duration("the delay of RetryDecision.retry", delay)
        return cls(True, delay)

    @classmethod
    def stop(cls) -> RetryDecision:
        """Stop: the operation fails with the last error."""
        return cls(False)

    @property
    def delay_seconds(self) -> int:
        """Whole seconds, rounded up, from 1 second to 366 days."""
        return whole_seconds(self.delay)


Decision = TypeVar("Decision", "RetryDecision", "WaitDecision")


def checked_decision(decision: object, kind: type[Decision]) -> Decision:
    """Return what a strategy decided, if it is a decision of the kind that is needed.

    Args:
        decision: What the user's strategy returned.
        kind: `RetryDecision` or `WaitDecision`.

    Raises:
        ConfigurationError: It is something else.
    """
    if isinstance(decision, kind):
        return decision
    raise ConfigurationError(f"a {kind.STRATEGY} strategy returned {decision!r:.60}: return {kind.ADVICE}")


RetryStrategy: TypeAlias = Callable[[Exception, int], RetryDecision]
"""Called with the error and the number of attempts made so far (from 1)."""

Rule: TypeAlias = type[Exception] | str | re.Pattern[str]
"""Selects the errors to retry: by class, by text in the message, or by a pattern found in the message."""


def exponential_backoff(
    *,
    max_attempts: int = 3,
    initial_delay: timedelta = DEFAULT_INITIAL_DELAY,
    max_delay: timedelta = DEFAULT_MAX_DELAY,
    backoff_rate: float = 2.0,
    jitter: Jitter = Jitter.FULL,
    retryable_errors: Sequence[Rule] | Rule | None = None,
) -> RetryStrategy:
    """Retry with growing delays: `initial_delay * backoff_rate ** (attempt - 1)`, at most `max_delay`, then jitter.

    Args:
        max_attempts: Attempts in all, the first included.
        initial_delay: Delay after the first attempt.
        max_delay: Upper bound of the delay.
        backoff_rate: Factor from one delay to the next.
        jitter: How delays are randomized.
        retryable_errors: The errors to retry: exception classes, texts that the message contains, or patterns that are
            found in it; one or several. None retries every error.

    Raises:
        ConfigurationError: A value is out of range.
    """
    check_delays(max_attempts, initial_delay, max_delay, backoff_rate=backoff_rate)
    rules = _rules(retryable_errors)

    def decide(error: Exception, attempts_made: int) -> RetryDecision:
        if attempts_made >= max_attempts or not _is_retryable(error, rules):
            return RetryDecision.stop()
        return RetryDecision.retry(jitter.apply(grown(initial_delay, backoff_rate, attempts_made, max_delay)))

    return decide


def linear_backoff(
    *,
    max_attempts: int = 6,
    initial_delay: timedelta = timedelta(seconds=1),
    increment: timedelta = timedelta(seconds=1),
    max_delay: timedelta = DEFAULT_MAX_DELAY,
    jitter: Jitter = Jitter.FULL,
    retryable_errors: Sequence[Rule] | Rule | None = None,
) -> RetryStrategy:
    """Retry with delays that grow by `increment`. Arguments as for `exponential_backoff`."""
    check_delays(max_attempts, initial_delay, max_delay)
    check_duration("increment", increment)
    if increment < timedelta(0):
        raise ConfigurationError("delays cannot shrink: increment is negative")
    rules = _rules(retryable_errors)

    def decide(error: Exception, attempts_made: int) -> RetryDecision:
        if attempts_made >= max_attempts or not _is_retryable(error, rules):
            return RetryDecision.stop()
        seconds = initial_delay.total_seconds() + increment.total_seconds() * (attempts_made - 1)
        return RetryDecision.retry(jitter.apply(_at_most(seconds, max_delay)))

    return decide


class RetryPresets:
    """Named strategies. Their values are those of AWS's SDK for Python 3.0."""

    @staticmethod
    def none() -> RetryStrategy:
        """One attempt."""
        return exponential_backoff(max_attempts=1)

    @staticmethod
    def default() -> RetryStrategy:
        """The default of a step: 6 attempts, 5 s to 60 s, doubling, full jitter."""
        return exponential_backoff(max_attempts=6, max_delay=timedelta(seconds=60))

    @staticmethod
    def transient() -> RetryStrategy:
        """For transient errors: 3 attempts, from 5 s, doubling, half jitter."""
        return exponential_backoff(max_attempts=3, jitter=Jitter.HALF)

    @staticmethod
    def resource_availability() -> RetryStrategy:
        """For a resource that is starting: 5 attempts, 5 s to 5 min, doubling, full jitter."""
        return exponential_backoff(max_attempts=5)

    @staticmethod
    def critical() -> RetryStrategy:
        """For critical work: 10 attempts, 1 s to 60 s, times 1.5, no jitter."""
        return exponential_backoff(
            max_attempts=10,
            initial_delay=timedelta(seconds=1),
            max_delay=timedelta(minutes=1),
            backoff_rate=1.5,
            jitter=Jitter.NONE,
        )

    @staticmethod
    def linear() -> RetryStrategy:
        """6 attempts after 1, 2, 3, 4, 5 s."""
        return linear_backoff(jitter=Jitter.NONE)

    @staticmethod
    def fixed(interval: timedelta = DEFAULT_INITIAL_DELAY, *, attempts: int = 5) -> RetryStrategy:
        """`attempts` attempts, `interval` apart."""
        return exponential_backoff(
            max_attempts=attempts, initial_delay=interval, max_delay=interval, backoff_rate=1, jitter=Jitter.NONE
        )


def grown(initial: timedelta, rate: float, attempts_made: int, limit: timedelta) -> timedelta:
    """Return `initial * rate ** (attempts_made - 1)`, at most `limit`."""
    try:
        seconds = initial.total_seconds() * rate ** (attempts_made - 1)
    except OverflowError:
        return limit
    return _at_most(seconds, limit)


def whole_seconds(delay: timedelta) -> int:
    """Convert a delay to what the service accepts: whole seconds, rounded up, from 1 second to 366 days."""
    return _whole(delay.total_seconds())


def _whole(seconds: float) -> int:
    return min(max(MIN_DELAY_SECONDS, math.ceil(seconds)), MAX_DELAY_SECONDS)


def _at_most(seconds: float, limit: timedelta) -> timedelta:
    return limit if seconds >= limit.total_seconds() else timedelta(seconds=seconds)


def _rules(wanted: Sequence[Rule] | Rule | None) -> tuple[Rule, ...] | None:
    """Return the rules as a tuple; accept a single rule without a list."""
    if wanted is None:
        return None
    rules: tuple[Any, ...] = (wanted,) if isinstance(wanted, (type, str, re.Pattern)) else tuple(wanted)
    for rule in rules:
        is_class = isinstance(rule, type) and issubclass(rule, BaseException)
        if not is_class and not isinstance(rule, (str, re.Pattern)):
            raise ConfigurationError(
                f"retryable_errors takes exception classes, texts and compiled patterns, not {rule!r:.60}"
            )
    return rules


def _is_retryable(error: Exception, wanted: Sequence[Rule] | None) -> bool:
    if wanted is None:
        return True
    return any(
        isinstance(error, rule)
        if isinstance(rule, type)
        else rule in str(error)
        if isinstance(rule, str)
        else rule.search(str(error)) is not None
        for rule in wanted
    )


def check_duration(option: str, value: object) -> None:
    """Refuse a value that is not a duration.

    Raises:
        ConfigurationError: The value is not a `timedelta`.
    """
    if not isinstance(value, timedelta):
        seconds = value if isinstance(value, (int, float)) else "..."
        raise ConfigurationError(f"{option} must be a timedelta, not {value!r:.40}: write timedelta(seconds={seconds})")


def check_optional_duration(option: str, value: object) -> None:
    """Refuse a value that is neither a duration nor None.

    Raises:
        ConfigurationError: The value is not a `timedelta`.
    """
    if value is not None:
        check_duration(option, value)


def check_delays(
    max_attempts: int, initial_delay: timedelta, max_delay: timedelta, *, backoff_rate: float = 1.0
) -> None:
    """Check the values that all strategies share.

    Raises:
        ConfigurationError: A delay is negative or not a duration, delays shrink, or there is less than one attempt.
    """
    check_duration("initial_delay", initial_delay)
    check_duration("max_delay", max_delay)
    if max_attempts < 1:
        raise ConfigurationError(
            f"max_attempts includes the first attempt, so it must be at least 1, not {max_attempts}"
        )
    if initial_delay < timedelta(0) or max_delay < timedelta(0):
        raise ConfigurationError("initial_delay and max_delay must not be negative")
    if not backoff_rate >= 1:
        raise ConfigurationError(f"backoff_rate must be at least 1, not {backoff_rate}")


@value_class(frozen=True, slots=True)
class WaitDecision:
    """The decision of a wait strategy after a check.

    Attributes:
        should_continue: Whether to check again.
        delay: Time until the next check, limited to 1 second to 366 days.
    """

    STRATEGY: ClassVar[str] = "wait"
    ADVICE: ClassVar[str] = "WaitDecision.check_again(delay) or WaitDecision.done()"

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
