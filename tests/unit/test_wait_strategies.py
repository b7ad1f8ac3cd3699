"""Wait strategies: when a condition is checked again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.errors import ConfigurationError
from durable_execution.retry import ConditionNotMetError, Jitter, WaitDecision, poll_until


def test_a_condition_that_is_met_ends_the_wait() -> None:
    assert not poll_until(lambda state: state == "ready")("ready", 1).should_continue


def test_delays_grow_by_half_and_stay_below_the_maximum() -> None:
    strategy = poll_until(
        lambda state: False, initial_delay=timedelta(seconds=2), max_delay=timedelta(seconds=6), jitter=Jitter.NONE
    )
    assert [strategy(None, attempt).delay_seconds for attempt in range(1, 6)] == [2, 3, 5, 6, 6]


def test_running_out_of_checks_is_an_error() -> None:
    strategy = poll_until(lambda state: False, max_attempts=3)
    assert strategy(None, 2).should_continue
    with pytest.raises(ConditionNotMetError, match=r"not met in 3 checks \(max_attempts\)"):
        strategy(None, 3)


def test_a_condition_met_at_the_last_check_is_met() -> None:
    assert not poll_until(lambda state: True, max_attempts=1)(None, 1).should_continue


@given(st.integers(1, 59))
def test_the_default_waits_from_one_second_to_five_minutes(attempt: int) -> None:
    decision = poll_until(lambda state: False)(None, attempt)
    assert 1 <= decision.delay_seconds <= 300


def test_decisions_round_up() -> None:
    assert WaitDecision.check_again(timedelta(milliseconds=1500)).delay_seconds == 2
    assert WaitDecision.check_again(timedelta(0)).delay_seconds == 1
    assert not WaitDecision.done().should_continue


def test_values_out_of_range_are_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        poll_until(lambda state: True, max_attempts=0)
    with pytest.raises(ConfigurationError, match="negative"):
        poll_until(lambda state: True, initial_delay=timedelta(seconds=-1))
    with pytest.raises(ConfigurationError, match="backoff_rate must be at least 1"):
        poll_until(lambda state: True, backoff_rate=0.1)
