"""The project's own cases: the whole history and every log record, character by character."""

import random

import pytest

from tests.conformance.expectations import Expectation, expectations
from tests.conformance.in_process import InProcess
from tests.conformance.registry import cases
from tests.conformance.rendering import render

ALL = list(expectations())


@pytest.mark.parametrize("expected", ALL, ids=lambda expected: expected.id)
def test_in_process(expected: Expectation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.5)
    outcome = InProcess().run(cases()[expected.id], expected.requirement)
    assert render(outcome) == list(expected.lines)


def test_every_handler_has_an_expectation() -> None:
    assert sorted(expected.id for expected in ALL) == sorted(cases())
