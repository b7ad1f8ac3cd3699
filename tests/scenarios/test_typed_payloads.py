"""Values come back as what they were, whichever kind of value they are, on the first run and on every replay."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from durable_execution import (
    CallbackConfig,
    ChildConfig,
    DurableContext,
    InvokeConfig,
    Jitter,
    MapConfig,
    StepConfig,
    WaitForConditionConfig,
    poll_until,
)
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.bodies import gives
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)
T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(StrEnum):
    SMALL = "S"
    LARGE = "L"


class Address(BaseModel):
    street: str
    floor: int | None = None


class Customer(BaseModel):
    name: Annotated[str, Field(min_length=1)]
    addresses: list[Address] = []
    born: date | None = None


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    article: str
    price: Decimal
    colours: tuple[Colour, ...] = ()


@dataclass
class Basket:
    lines: list[Line] = field(default_factory=list)
    by_size: dict[Size, int] = field(default_factory=dict)


class Point(NamedTuple):
    x: int
    y: int


class Parcel(TypedDict):
    weight: Decimal
    sent: datetime


class Circle(BaseModel):
    kind: Literal["circle"] = "circle"
    radius: float


class Square(BaseModel):
    kind: Literal["square"] = "square"
    side: float


LINE = Line("tea", Decimal("4.20"), (Colour.RED, Colour.BLUE))
NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)

PLAIN: list[Any] = [
    None,
    True,
    0,
    -(2**70),
    1.5,
    float("1e300"),
    "",
    "grüße 🚀",
    [],
    {},
    [1, [2, [3, None]]],
    {"a": {"b": [1, 2.5, None, "x"]}},
    {"t": "s", "v": "not a tag"},
    (1, 2),
    {"point": (1, (2, 3))},
    b"\x00\xff",
    UUID(int=7),
    Decimal("1.10"),
    NOW,
    date(2026, 3, 1),
    [Decimal("0.1"), {"when": NOW}],
]

TYPED: list[tuple[Any, Any]] = [
    (Customer(name="Ada", addresses=[Address(street="Main", floor=3)], born=date(1815, 12, 10)), Customer),
    (Page[Customer](items=[Customer(name="Ada")], next="2"), Page[Customer]),
    (LINE, Line),
    (Basket([LINE], {Size.LARGE: 2}), Basket),
    (Colour.BLUE, Colour),
    (Size.SMALL, Size),
    (Point(1, 2), Point),
    ({"weight": Decimal("1.50"), "sent": NOW}, Parcel),
    ([LINE, LINE], list[Line]),
    ({"a": LINE}, dict[str, Line]),
    ({Colour.RED: 1}, dict[Colour, int]),
    ((1, "a", LINE), tuple[int, str, Line]),
    ({1, 2, 3}, set[int]),
    (frozenset({Colour.RED}), frozenset[Colour]),
    (timedelta(days=3, microseconds=5), timedelta),
    (NOW, datetime),
    (UUID(int=7), UUID),
    (Decimal("1.10"), Decimal),
    (b"\x00\xff", bytes),
    (None, Line | None),
    (LINE, Line | None),
    (Square(side=2.0), Circle | Square),
    (range(3), None),
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_values_without_a_type_come_back_as_they_were(scenario: Scenario, value: Any) -> None:
    seen: list[Any] = []

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def child(inner: DurableContext) -> Any:
            return await inner.step(gives(value))

        async def item(inner: DurableContext, number: int, _index: int) -> Any:
            return await inner.step(gives(value)) if number else value

        seen.append(await ctx.step(gives(value)))
        seen.append(await ctx.run_in_child_context(child))
        seen.extend((await ctx.map([0, 1], item)).get_results())
        await ctx.wait(MINUTE)

    scenario.result(workflow)
    assert seen == [value] * 8
    assert {type(found) for found in seen} == {type(value)}


@pytest.mark.parametrize(("value", "kind"), TYPED[:-1], ids=lambda part: repr(part)[:40])
def test_values_of_a_type_come_back_as_they_were(scenario: Scenario, value: Any, kind: Any) -> None:
    seen: list[Any] = []

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def child(inner: DurableContext) -> Any:
            return await inner.step(gives(value), config=StepConfig(result_type=kind))

        async def item(_inner: DurableContext, _item: int, _index: int) -> Any:
            return value

        async def annotated(_step: Any) -> kind:  # pyright: ignore[reportInvalidTypeForm]  # every kind in turn
            return value

        async def check(_state: Any, _step: Any) -> kind:  # pyright: ignore[reportInvalidTypeForm]
            return value

        polling = WaitForConditionConfig(
            wait_strategy=poll_until(lambda _: True, jitter=Jitter.NONE), initial_state=value, result_type=kind
        )
        seen.append(await ctx.step(annotated))
        seen.append(await ctx.step(gives(value), config=StepConfig(result_type=kind)))
        seen.append(await ctx.run_in_child_context(child, config=ChildConfig(result_type=kind)))
        seen.extend((await ctx.map([0], item, config=MapConfig(result_type=kind))).get_results())
        seen.append(await ctx.wait_for_condition(check, config=polling))
        await ctx.wait(MINUTE)

    scenario.result(workflow)
    assert seen == [value] * 10
    assert {type(found) for found in seen} == {type(value)}


def test_a_branch_s_annotation_is_enough(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[bool]:
        async def branch(_inner: DurableContext) -> Line:
            return LINE

        async def item(_inner: DurableContext, _item: int, _index: int) -> Line:
            return LINE

        batches = [await ctx.parallel([branch]), await ctx.map([1], item)]
        await ctx.wait(MINUTE)
        return [batch.get_results() == [LINE] for batch in batches]

    assert scenario.result(workflow) == [True, True]


@pytest.mark.parametrize(
    ("value", "name"), [(range(3), "range"), (object(), "object"), ({1: "a"}, "int"), (1j, "complex")]
)
def test_a_value_that_cannot_make_the_trip_is_refused_at_the_first_run(
    scenario: Scenario, value: Any, name: str
) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        await ctx.step(gives(value), "strange")

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.type == "durable_execution.errors.SerializationError"
    assert "the result of workflow/strange cannot be stored" in (ended.error.message or "")
    assert name in (ended.error.message or "")
    assert scenario.invocations(ended.arn) == 1


def test_a_value_that_is_not_what_its_annotation_says_is_refused(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def liar(_step: Any) -> Customer:
            return 7  # type: ignore[return-value]

        await ctx.step(liar, "liar")

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert "workflow/liar" in (ended.error.message or "")
    assert "Customer" in (ended.error.message or "")


def test_a_handler_s_payload_is_fitted_to_its_annotation(scenario: Scenario) -> None:
    async def workflow(basket: Basket, ctx: DurableContext) -> Basket:
        await ctx.wait(MINUTE)
        assert type(basket) is Basket
        assert basket.by_size == {Size.LARGE: 2}
        return basket

    payload = {"lines": [{"article": "tea", "price": "4.20", "colours": ["red"]}], "by_size": {"L": 2}}
    assert scenario.result(workflow, payload) == payload


def test_a_payload_that_does_not_fit_fails_without_a_retry(scenario: Scenario) -> None:
    async def workflow(_customer: Customer, _ctx: DurableContext) -> None:
        raise AssertionError("the handler does not run")

    ended = scenario.run(workflow, {"name": ""})
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.type == "durable_execution.errors.PayloadError"
    assert "at least 1 character" in (ended.error.message or "")
    assert scenario.invocations(ended.arn) == 1


def test_a_callback_s_answer_is_a_model(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> bool:
        callback = await ctx.create_callback("customer", config=CallbackConfig(result_type=Customer))
        customer = await callback.result()
        await ctx.wait(MINUTE)
        return bool(customer == Customer(name="Ada"))

    arn = scenario.start(workflow)
    scenario.answer(arn, "customer", {"name": "Ada"})
    assert scenario.ended(arn).result is True


def test_an_invoked_function_s_result_is_a_model(scenario: Scenario) -> None:
    scenario.engine.register("find", lambda event, _context: {"name": event["name"]})

    async def workflow(_event: Any, ctx: DurableContext) -> bool:
        config = InvokeConfig(result_type=Customer)
        found = await ctx.invoke("find", Customer(name="Ada"), config=config)
        await ctx.wait(MINUTE)
        return bool(found == Customer(name="Ada"))

    assert scenario.result(workflow) is True
