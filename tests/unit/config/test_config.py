"""Options that can never work are refused where they are written, with the reason."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import config
from durable_execution.config import (
    CallbackConfig,
    ChildConfig,
    CompletionConfig,
    CompletionDecision,
    CompletionOutcome,
    CompletionStatus,
    InvokeConfig,
    MapConfig,
    ParallelConfig,
    StepConfig,
    StepSemantics,
    WaitForCallbackConfig,
    WaitForConditionConfig,
)
from durable_execution.errors import ConfigurationError
from durable_execution.protocol.enums import MAX_CALLBACK_TIMEOUT_SECONDS
from durable_execution.serdes import JsonSerDes

SECOND = timedelta(seconds=1)


def rule(status: CompletionStatus) -> CompletionDecision:
    return CompletionDecision.go_on()


@pytest.mark.parametrize(
    ("cls", "options", "said"),
    [
        (MapConfig, {"max_concurrency": 0}, "max_concurrency must be at least 1, not 0: leave it out for no limit"),
        (ParallelConfig, {"max_concurrency": -1}, "max_concurrency must be at least 1, not -1"),
        (CompletionConfig, {"min_successful": 0}, "min_successful must be at least 1"),
        (CompletionConfig, {"tolerated_failure_count": -1}, "must be at least 0, not -1"),
        (CompletionConfig, {"tolerated_failure_percentage": -1}, "from 0 to 100"),
        (CompletionConfig, {"tolerated_failure_percentage": 101}, "from 0 to 100"),
        (CompletionConfig, {"tolerated_failure_percentage": float("nan")}, "from 0 to 100"),
        (CompletionConfig, {"min_successful": 1, "should_complete": rule}, "replaces the other criteria"),
        (CallbackConfig, {"timeout": timedelta(0)}, "timeout must be from 1 to 99999999 seconds, not 0"),
        (CallbackConfig, {"timeout": timedelta(milliseconds=500)}, "timeout must be from 1"),
        (CallbackConfig, {"timeout": timedelta(days=2000)}, "timeout must be from 1"),
        (CallbackConfig, {"heartbeat_timeout": timedelta(seconds=-1)}, "heartbeat_timeout must be from 1"),
        (WaitForCallbackConfig, {"timeout": timedelta(0)}, "timeout must be from 1"),
        (StepConfig, {"sub_type": ""}, "must be 1 to 32 characters"),
        (StepConfig, {"sub_type": "x" * 33}, "must be 1 to 32 characters"),
        (ChildConfig, {"sub_type": "with blank"}, "must be 1 to 32 characters"),
        (CallbackConfig, {"sub_type": "ümlaut"}, "must be 1 to 32 characters"),
        (StepConfig, {"sub_type": "new\n"}, "must be 1 to 32 characters"),
        (StepConfig, {"sub_type": "WaitForCondition"}, "is reserved for the SDK"),
        (ChildConfig, {"sub_type": "MapIteration"}, "is reserved for the SDK"),
        (CallbackConfig, {"timeout": 5}, r"timeout must be a timedelta, not 5: write timedelta\(seconds=5\)"),
        (StepConfig, {"step_semantics": "AT_MOST_ONCE_PER_RETRY"}, "or StepSemantics.AT_MOST_ONCE_PER_RETRY, not 'AT"),
        (
            MapConfig,
            {"nesting_type": "FLAT"},
            "nesting_type must be NestingType.NESTED or NestingType.FLAT, not 'FLAT'",
        ),
        (StepConfig, {"retry_strategy": 3}, "retry_strategy must be a function, not 3"),
        (WaitForCallbackConfig, {"retry_strategy": 3}, "retry_strategy must be a function, not 3"),
        (WaitForConditionConfig, {"wait_strategy": None}, "wait_strategy is required"),
        (StepConfig, {"serdes": JsonSerDes}, r"must be a serializer, not its class: write JsonSerDes\(\)"),
        (ChildConfig, {"serdes": "json"}, "an object with serialize"),
        (InvokeConfig, {"result_serdes": object()}, "result_serdes must be an object with deserialize"),
        (MapConfig, {"item_serdes": JsonSerDes}, "item_serdes must be a serializer"),
        (MapConfig, {"item_namer": "item"}, "item_namer must be a function"),
        (
            MapConfig,
            {"completion_config": {"min_successful": 1}},
            "must be a CompletionConfig, not {'min_successful': 1}",
        ),
        (ChildConfig, {"summary_generator": "text"}, "summary_generator must be a function"),
    ],
)
def test_what_can_never_work_is_refused(cls: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        cls(**options)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (MapConfig, {"max_concurrency": 1}),
        (CompletionConfig, {"min_successful": 1, "tolerated_failure_count": 0, "tolerated_failure_percentage": 0}),
        (CompletionConfig, {"tolerated_failure_percentage": 100}),
        (CompletionConfig, {"should_complete": rule}),
        (CallbackConfig, {"timeout": SECOND, "heartbeat_timeout": SECOND * MAX_CALLBACK_TIMEOUT_SECONDS}),
        (StepConfig, {"sub_type": "Payment-2_x"}),
        (ChildConfig, {"sub_type": "x" * 32}),
    ],
)
def test_the_ends_of_a_range_belong_to_it(cls: Any, options: dict[str, Any]) -> None:
    cls(**options)


@pytest.mark.parametrize(
    "cls", [StepConfig, ChildConfig, CallbackConfig, WaitForCallbackConfig, MapConfig, ParallelConfig, CompletionConfig]
)
def test_everything_has_a_default_and_nothing_changes_afterwards(cls: Any) -> None:
    made = cls()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(made)[0].name, None)
    assert made == cls()


@pytest.mark.parametrize(
    "cls", [StepConfig, ChildConfig, CallbackConfig, MapConfig, ParallelConfig, WaitForConditionConfig]
)
def test_options_are_given_by_name(cls: Any) -> None:
    with pytest.raises(TypeError):
        cls(None)


def test_defaults_are_those_of_awss_sdk() -> None:
    assert StepConfig().step_semantics is StepSemantics.AT_LEAST_ONCE_PER_RETRY
    assert ParallelConfig().completion_config == CompletionConfig.all_successful()
    assert MapConfig().completion_config == CompletionConfig()


def test_completion_has_shorthands() -> None:
    assert CompletionConfig.first_successful() == CompletionConfig(min_successful=1)
    assert CompletionConfig.all_completed() == CompletionConfig(tolerated_failure_percentage=100)
    assert CompletionConfig.all_successful() == CompletionConfig(tolerated_failure_count=0)
    assert not CompletionConfig().has_criteria
    assert CompletionConfig.first_successful().has_criteria


def test_a_rule_says_go_on_or_how_it_ends() -> None:
    assert CompletionDecision.go_on().outcome is None
    assert CompletionDecision.complete().outcome is CompletionOutcome.SUCCEEDED
    assert CompletionDecision.complete(CompletionOutcome.FAILED).outcome is CompletionOutcome.FAILED


@pytest.mark.parametrize("name", config.__all__)
def test_every_name_can_be_had(name: str) -> None:
    assert getattr(config, name).__doc__


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        getattr(config, "No" + "pe")


def test_a_serializer_needs_only_the_methods_that_are_called() -> None:
    class Reads:
        def deserialize(self, data: str, context: Any) -> Any:
            return data

    class Writes:
        def serialize(self, value: Any, context: Any) -> str:
            return str(value)

    reads: Any = Reads()
    writes: Any = Writes()
    assert CallbackConfig(serdes=reads).serdes is WaitForCallbackConfig(serdes=reads).serdes
    assert InvokeConfig(payload_serdes=writes, result_serdes=reads).result_serdes is reads
    with pytest.raises(ConfigurationError, match="payload_serdes"):
        InvokeConfig(payload_serdes=reads)
