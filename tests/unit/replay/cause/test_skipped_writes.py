"""Which statements would have changed a shared value, had the bodies of steps run."""

from pathlib import Path

import pytest

from durable_execution.replay.cause.skipped_writes import shared_changes
from durable_execution.replay.source.statements import read_again

SOURCE = """
SEEN = []

class Chart:
    def __init__(self):
        self.allergies = []

    async def examine(self, step):
        self._learn("nuts")

    def _learn(self, what):
        self.allergies.append(what)

    def forget(self):
        self.allergies.clear()

class Child(Chart):
    pass

class Menu:
    async def examine(self, step):
        self.allergies = ["milk"]

@decorated
def remember(step):
    SEEN.append(1)

def local(step):
    SEEN = []
    SEEN.append(2)

def outer(SEEN):
    def inner(step):
        SEEN.append(3)
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    place = tmp_path / "clinic.py"
    place.write_text(SOURCE, encoding="utf-8")
    read_again()
    return str(place)


def found(
    file: str, path: str, owner: str | None, *given: str, ran: frozenset[tuple[str, int]] = frozenset()
) -> list[str]:
    return [one.text for _, one in shared_changes(path, owner, [file], given, set(ran))]


@pytest.mark.parametrize("owner", ["Chart", "Child"])
def test_an_attribute_is_changed_by_the_methods_of_its_class_that_a_step_runs(file: str, owner: str) -> None:
    assert found(file, "self.allergies", owner, "examine", "chart") == ["self.allergies.append(what)"]


def test_every_class_is_meant_if_that_of_the_object_is_not_known(file: str) -> None:
    texts = found(file, "chart.allergies", None, "examine")
    assert sorted(texts) == ['self.allergies = ["milk"]', "self.allergies.append(what)"]


def test_a_value_of_the_module_is_changed_where_it_is_not_a_local_name(file: str) -> None:
    assert found(file, "SEEN", None, "remember", "local", "inner") == ["SEEN.append(1)"]


def test_what_no_durable_call_is_given_changes_nothing(file: str) -> None:
    assert found(file, "self.allergies", "Chart", "chart") == []


def test_what_ran_was_not_skipped(file: str) -> None:
    lines = SOURCE.splitlines()
    for first in ("@decorated", "def remember(step):"):
        ran = frozenset({(file, lines.index(first) + 1)})
        assert found(file, "SEEN", None, "remember", ran=ran) == []
