"""One annotation that cannot be resolved costs the others nothing."""

import inspect
from functools import partial
from typing import Any

import pytest

from durable_execution.local import run
from durable_execution.serdes.annotations import annotation_of, annotations_of, parameters_of
from durable_execution.serdes.codec import return_annotation
from durable_execution.trace.recorder import secrets_of
from tests.unit.serdes import annotated


def test_a_context_that_only_the_type_checker_sees_costs_no_types() -> None:
    ended = run(annotated.flow, {"order_id": "A-17"}, time="skip")
    assert ended.result == ["Order", "Receipt"], ended.error


def test_a_payload_that_only_the_type_checker_sees_is_named() -> None:
    ended = run(annotated.hidden_payload, [], time="skip")
    assert ended.error is not None
    assert "the annotation of 'order' in hidden_payload cannot be resolved: name 'Sequence' is not" in str(ended.error)


@pytest.mark.parametrize(
    "function",
    [annotated.inner, annotated.Callable(), partial(annotated.inner), annotated.Holder().method],
    ids=["wrapped", "callable", "partial", "method"],
)
def test_the_return_type_of_whatever_can_be_called(function: Any) -> None:
    assert return_annotation(function) is annotated.Receipt


def test_a_return_type_that_cannot_be_seen_is_none() -> None:
    assert return_annotation(annotated.hidden_return) is None
    with pytest.raises(NameError):
        annotation_of(annotated.hidden_return, "return")


def test_what_has_no_annotations_has_none() -> None:
    assert annotation_of(lambda x: x, "x") is None
    assert annotations_of(len) == {}
    assert return_annotation(len) is None
    assert list(parameters_of(annotated.inner)) == ["_step"]


def test_secrets_are_known_by_their_type_though_annotations_are_text() -> None:
    assert secrets_of(inspect.unwrap(annotated.flow)) == {"phrase"}
