"""The page on observers names every field of every value they are given."""

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from durable_execution import observers
from durable_execution.protocol import Operation

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "observers.md").read_text()
VALUES = [
    value
    for value in vars(observers).values()
    if dataclasses.is_dataclass(value) and getattr(value, "__module__", "") == observers.__name__
]


def row(name: str) -> set[str]:
    """The words in code style that the row of a value names."""
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |") and line.count("|") == 3)
    return set(re.findall(r"`(\w+)`", line.split("|")[2]))


def properties(value: type[Any]) -> set[str]:
    return {name for name, member in inspect.getmembers(value) if isinstance(member, property)}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_every_field_is_named(value: Any) -> None:
    fields = {field.name for field in dataclasses.fields(value)} | properties(value)
    assert fields <= row(value.__name__)


def test_every_property_of_a_recorded_operation_is_named() -> None:
    assert properties(Operation) | {"wire"} <= row("Operation")
