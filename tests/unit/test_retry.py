"""Retry strategies: exact delays, jitter within its bounds, and no overflow."""

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.errors import ConfigurationError
from durable_execution.retry import (
    Jitter,
    RetryDecision,
    RetryPresets,
    RetryStrategy,
    exponential_backoff,
    linear_backoff,
)

ERROR = RuntimeError("the bank is closed")
SECONDS = st.floats(0, 86_400 * 366, allow_nan=False)


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def delays(strategy: RetryStrategy) -> list[int]:
    """The delays of a step that never succeeds."""
    found: list[int] = []
    while (decision := strategy(ERROR, len(found) + 1)).should_retry:
        found.append(decision.delay_seconds)
        assert len(found) < 1000
    return found


def test_delays_grow_by_the_rate() -> None:
    strategy = exponential_backoff(initial_delay=seconds(2), backoff_rate=3, jitter=Jitter.NONE)
    assert delays(strategy) == [2, 6]


def test_delays_stay_below_the_maximum() -> None:
    strategy = exponential_backoff(
        max_attempts=6, initial_delay=seconds(1), max_delay=seconds(5), backoff_rate=2, jitter=Jitter.NONE
    )
    assert delays(strategy) == [1, 2, 4, 5, 5]


def test_linear_delays_grow_by_the_increment() -> None:
    strategy = linear_backoff(
        max_attempts=5, initial_delay=seconds(1), increment=seconds(3), max_delay=seconds(9), jitter=Jitter.NONE
    )
    assert delays(strategy) == [1, 4, 7, 9]


def test_delays_are_rounded_up_to_whole_seconds() -> None:
    assert RetryDecision.retry(timedelta(milliseconds=1)).delay_seconds == 1
    assert RetryDecision.retry(seconds(2.1)).delay_seconds == 3
    assert RetryDecision.retry(timedelta(0)).delay_seconds == 1


def test_delays_stay_within_what_the_service_takes() -> None:
    assert RetryDecision.retry(seconds(-5)).delay_seconds == 1
    assert RetryDecision.retry(timedelta.max).delay_seconds == 366 * 86_400
    strategy = exponential_backoff(max_attempts=100, max_delay=timedelta.max, backoff_rate=10, jitter=Jitter.NONE)
    assert delays(strategy)[-1] == 366 * 86_400


@given(SECONDS)
def test_full_jitter_is_from_one_second_to_the_delay(delay: float) -> None:
    spread = Jitter.FULL.apply(seconds(delay)).total_seconds()
    assert 1 <= spread <= max(1, int(delay) + 1)
    assert spread == int(spread)


@given(SECONDS)
def test_half_jitter_is_at_least_half_of_the_delay(delay: float) -> None:
    spread = Jitter.HALF.apply(seconds(delay)).total_seconds()
    assert max(1, delay / 2 - 1e-6) <= spread <= max(1, int(delay) + 1)


def test_no_jitter_keeps_the_delay() -> None:
    assert Jitter.NONE.apply(seconds(7)) == seconds(7)


def test_jitter_spreads() -> None:
    drawn = {Jitter.FULL.apply(seconds(10_000)) for _ in range(50)}
    assert len(drawn) > 10


@given(st.integers(1, 10**6), st.floats(1, 1e6, allow_nan=False))
def test_no_number_of_attempts_overflows(attempts: int, rate: float) -> None:
    strategy = exponential_backoff(max_attempts=10**7, backoff_rate=rate, jitter=Jitter.NONE)
    decision = strategy(ERROR, attempts)
    assert decision.should_retry
    assert seconds(5) <= decision.delay <= timedelta(minutes=5)


@given(st.integers(1, 10**9))
def test_no_number_of_linear_attempts_overflows(attempts: int) -> None:
    decision = linear_backoff(max_attempts=10**10, increment=timedelta(days=300), jitter=Jitter.NONE)(ERROR, attempts)
    assert decision.delay <= timedelta(minutes=5)


def test_the_first_attempt_counts() -> None:
    assert not exponential_backoff(max_attempts=1)(ERROR, 1).should_retry
    assert exponential_backoff(max_attempts=2)(ERROR, 1).should_retry
    assert not exponential_backoff(max_attempts=2)(ERROR, 2).should_retry


class CardDeclinedError(ValueError):
    pass


@pytest.mark.parametrize(
    ("rules", "error", "retried"),
    [
        (None, ERROR, True),
        ([], ERROR, False),
        ([RuntimeError], ERROR, True),
        ([Exception], ERROR, True),
        ([ValueError], ERROR, False),
        ([ValueError], CardDeclinedError(), True),
        (["bank"], ERROR, True),
        (["Bank"], ERROR, False),
        ([re.compile("bank|shop")], ERROR, True),
        ([re.compile("^bank")], ERROR, False),
        ([ValueError, "closed"], ERROR, True),
    ],
)
def test_which_errors_are_retried(rules: Any, error: Exception, retried: bool) -> None:
    assert exponential_backoff(retryable_errors=rules)(error, 1).should_retry is retried
    assert linear_backoff(retryable_errors=rules)(error, 1).should_retry is retried


@pytest.mark.parametrize("make", [exponential_backoff, linear_backoff])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_attempts": 0}, "at least 1"),
        ({"max_attempts": -1}, "at least 1"),
        ({"initial_delay": timedelta(seconds=-1)}, "negative"),
        ({"max_delay": timedelta(seconds=-1)}, "negative"),
    ],
)
def test_values_out_of_range_are_refused_at_once(make: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make(**options)


@pytest.mark.parametrize("rate", [0.5, 0, -1, float("nan")])
def test_delays_cannot_shrink(rate: float) -> None:
    with pytest.raises(ConfigurationError, match=f"backoff_rate must be at least 1, not {rate}"):
        exponential_backoff(backoff_rate=rate)


def test_linear_delays_cannot_shrink() -> None:
    with pytest.raises(ConfigurationError, match="increment is negative"):
        linear_backoff(increment=seconds(-1))


def test_a_configuration_error_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="max_attempts"):
        exponential_backoff(max_attempts=0)


@pytest.mark.parametrize(
    ("preset", "attempts"),
    [
        ("none", 1),
        ("default", 6),
        ("transient", 3),
        ("resource_availability", 5),
        ("critical", 10),
        ("linear", 6),
        ("fixed", 5),
    ],
)
def test_presets_make_so_many_attempts(preset: str, attempts: int) -> None:
    assert len(delays(getattr(RetryPresets, preset)())) == attempts - 1


def test_the_default_of_a_step_is_six_attempts_from_5_to_60_seconds() -> None:
    most = [5, 10, 20, 40, 60]
    for _ in range(20):
        drawn = delays(RetryPresets.default())
        assert all(1 <= delay <= limit for delay, limit in zip(drawn, most, strict=True))


def test_presets_without_jitter_are_exact() -> None:
    assert delays(RetryPresets.critical()) == [1, 2, 3, 4, 6, 8, 12, 18, 26]
    assert delays(RetryPresets.linear()) == [1, 2, 3, 4, 5]
    assert delays(RetryPresets.fixed()) == [5, 5, 5, 5]
    assert delays(RetryPresets.fixed(seconds(30))) == [30, 30, 30, 30]


def test_transient_keeps_at_least_half_of_the_delay() -> None:
    first, second = delays(RetryPresets.transient())
    assert 3 <= first <= 5
    assert 5 <= second <= 10


def test_one_kind_of_error_needs_no_list() -> None:
    for rules in (ValueError, "no seat", re.compile("s[a-z]+t")):
        decide = exponential_backoff(retryable_errors=rules)
        assert decide(ValueError("no seat"), 1).should_retry
        assert not decide(KeyError("late"), 1).should_retry


@pytest.mark.parametrize("rules", [[int], [5], 5, [ValueError()]])
def test_what_no_error_can_match_is_refused(rules: Any) -> None:
    with pytest.raises((ConfigurationError, TypeError), match=r"retryable_errors|not iterable"):
        exponential_backoff(retryable_errors=rules)


@pytest.mark.parametrize("attempts", [1, 3])
def test_the_number_of_fixed_attempts_can_be_chosen(attempts: int) -> None:
    strategy = RetryPresets.fixed(timedelta(seconds=7), attempts=attempts)
    decisions = [strategy(ValueError(), made) for made in range(1, attempts + 1)]
    assert [decision.delay_seconds for decision in decisions if decision.should_retry] == [7] * (attempts - 1)
    assert not decisions[-1].should_retry
