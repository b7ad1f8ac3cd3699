"""A value class is the frozen dataclass with slots that the standard library would make, without generated code."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pytest

from durable_execution import CallbackConfig, InvokeConfig, StepConfig, WaitForCallbackConfig
from durable_execution.value_classes import value_class

R = TypeVar("R")


@value_class(frozen=True, slots=True)
class Parcel(Generic[R]):
    """A parcel.

    Attributes:
        weight: In grams.
    """

    weight: int
    to: str = "Oslo"
    content: list[R] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError("weight must not be negative")


@dataclass(frozen=True, slots=True)
class StandardParcel(Generic[R]):
    weight: int
    to: str = "Oslo"
    content: list[R] = field(default_factory=list)


@value_class(frozen=True, slots=True, kw_only=True)
class Options:
    first: int
    second: str = "b"


@value_class(frozen=True, slots=True, kw_only=True)
class MoreOptions(Options):
    third: float = 0.5


@dataclass(frozen=True, kw_only=True)
class OwnOptions(Options):
    """A user's own class."""

    fourth: str


class NamedOptions(Options):
    """A subclass that is not a dataclass."""

    label: str


def test_nothing_is_generated_for_a_class() -> None:
    for name in ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"):
        assert getattr(Parcel, name) is getattr(Options, name), name


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda cls: cls(3) == cls(3, "Oslo", []), id="equal"),
        pytest.param(lambda cls: cls(3) == cls(4), id="different"),
        pytest.param(lambda cls: (cls(3) == 3, cls(3) != (3, "Oslo", [])), id="of another type"),
        pytest.param(lambda cls: cls(weight=3, to="Rome").to, id="by keyword"),
        pytest.param(lambda cls: str(cls(3, content=["x"])).removeprefix("Standard"), id="repr"),
        pytest.param(lambda cls: hash(dataclasses.replace(cls(3), content=())), id="hash"),
        pytest.param(lambda cls: dataclasses.asdict(cls(3)), id="asdict"),
        pytest.param(lambda cls: dataclasses.replace(cls(3), to="Rome").to, id="replace"),
        pytest.param(lambda cls: [each.name for each in dataclasses.fields(cls)], id="fields"),
        pytest.param(lambda cls: cls.__match_args__, id="match_args"),
        pytest.param(lambda cls: cls.__slots__, id="slots"),
        pytest.param(lambda cls: copy.copy(cls(3)) == copy.deepcopy(cls(3)) == cls(3), id="copy"),
        pytest.param(lambda cls: pickle.loads(pickle.dumps(cls(3, "Rome"))).to, id="pickle"),
        pytest.param(lambda cls: str(inspect.signature(cls)).replace("<factory>", "<class 'list'>"), id="signature"),
        pytest.param(lambda cls: str(cls.__dataclass_params__), id="parameters"),
        pytest.param(lambda cls: cls(3).content is cls(3).content, id="factory"),
    ],
)
def test_it_does_what_a_dataclass_of_the_standard_library_does(use: Callable[[Any], Any]) -> None:
    assert use(Parcel) == use(StandardParcel)


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda cls: setattr(cls(3), "to", "Rome"), id="set"),
        pytest.param(lambda cls: delattr(cls(3), "to"), id="delete"),
        pytest.param(lambda cls: cls(3, wieght=4), id="unknown"),
        pytest.param(lambda cls: cls(3, weight=4), id="twice"),
        pytest.param(lambda cls: cls(3, "Rome", [], 4), id="too many"),
        pytest.param(lambda cls: cls(to="Rome"), id="missing"),
        pytest.param(lambda cls: hash(cls(3)), id="unhashable"),
    ],
)
def test_it_refuses_what_a_dataclass_of_the_standard_library_refuses(use: Callable[[Any], Any]) -> None:
    with pytest.raises((TypeError, AttributeError)) as standard:
        use(StandardParcel)
    with pytest.raises(standard.type):
        use(Parcel)


def test_an_error_names_the_class_and_the_argument() -> None:
    with pytest.raises(TypeError, match=r"Options.__init__\(\) got an unexpected keyword argument 'frist'"):
        Options(first=1, frist=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match=r"Options.__init__\(\) missing a required .*argument: 'first'"):
        Options()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match=r"Options.__init__\(\) too many positional arguments"):
        Options(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_values_are_checked() -> None:
    with pytest.raises(ValueError, match="negative"):
        Parcel[str](-1)


def test_a_pattern_reads_the_fields() -> None:
    match Parcel[str](3, "Rome"):
        case Parcel(weight, to="Rome"):
            assert weight == 3
        case _:
            pytest.fail("no match")


def test_a_value_may_contain_itself() -> None:
    content: list[Any] = []
    parcel = Parcel(1, content=content)
    content.append(parcel)

    assert "content=[...]" in repr(parcel)


def test_value_classes_and_dataclasses_inherit_fields() -> None:
    assert str(MoreOptions(first=1, third=2)) == "MoreOptions(first=1, second='b', third=2)"
    assert OwnOptions(first=1, fourth="d") == OwnOptions(first=1, second="b", fourth="d")
    assert str(inspect.signature(OwnOptions)) == "(*, first: int, second: str = 'b', fourth: str) -> None"
    with pytest.raises(dataclasses.FrozenInstanceError):
        OwnOptions(first=1, fourth="d").fourth = "e"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_plain_subclass_has_attributes_of_its_own_and_frozen_fields() -> None:
    options = NamedOptions(first=1)
    options.label = "mine"

    assert options.label == "mine"
    del options.label
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.first = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_only_frozen_classes_with_slots_are_made() -> None:
    with pytest.raises(TypeError, match=r"use dataclasses\.dataclass"):
        value_class(frozen=False, slots=True)


def test_options_with_a_type_parameter_can_be_created() -> None:
    """`CallbackConfig[int](…)` raised a TypeError: Python 3.11's frozen dataclass with slots refuses the attribute it sets."""
    assert CallbackConfig[int](result_type=int) == CallbackConfig(result_type=int)
    assert WaitForCallbackConfig[int](result_type=int) == WaitForCallbackConfig(result_type=int)
    assert InvokeConfig[str](result_type=str) == InvokeConfig(result_type=str)


def test_options_show_their_fields_in_an_interpreter() -> None:
    assert list(inspect.signature(StepConfig).parameters) == [each.name for each in dataclasses.fields(StepConfig)]
