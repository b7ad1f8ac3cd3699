"""Small programs whose calls vary for a known reason; the line that makes them vary is marked."""

import asyncio
import contextvars
import functools
import itertools
import locale
import logging
import os
import random
import sys
import time
import traceback
import uuid
import weakref
from collections import ChainMap
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any, ClassVar

from durable_execution import BlockingContext, DurableContext, durable_execution

MARK = "# CAUSE"
counted = 0
numbers = itertools.count(100)
DRAWN = random.random()


def body(step: Any) -> int:
    return 1


def harmless() -> float:
    """A timer for a log line."""
    return time.perf_counter()


async def call(ctx: DurableContext, name: str) -> None:
    harmless()
    await ctx.step(body, name=name)


def module_counter() -> str:
    global counted  # noqa: PLW0603
    counted += 1  # CAUSE
    return f"n{counted}"


def _closure() -> Callable[[], str]:
    seen: list[int] = []

    def name() -> str:
        seen.append(len(seen))  # CAUSE
        return f"n{len(seen)}"

    return name


closure = _closure()


class Registry:
    names: ClassVar[list[str]] = []

    def add(self, name: str) -> int:
        self.names.append(name)  # CAUSE
        return len(self.names)


def class_attribute() -> str:
    return f"n{Registry().add('x')}"


def default_argument(kept: list[int] = []) -> str:  # noqa: B006  # CAUSE
    kept.append(1)
    return f"n{len(kept)}"


def module_generator() -> str:
    return f"n{next(numbers)}"  # CAUSE


def random_uuid() -> str:
    token = uuid.uuid4()  # CAUSE
    return f"n{token.hex}"


def random_number() -> str:
    return f"n{random.random()}"  # CAUSE


def clock() -> str:
    return f"n{time.time_ns()}"  # CAUSE


class Emitter(logging.Handler):
    emitted = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.emitted += 1  # CAUSE


emitter = Emitter(logging.WARNING)
logger = logging.getLogger("varying")
logger.propagate = False
logger.addHandler(emitter)


def called_by_a_library() -> str:
    logger.warning("counted")
    return f"n{emitter.emitted}"


def _appended(kept: list[int], value: int) -> int:
    kept.append(value)
    return len(kept)


append = functools.partial(_appended, [])  # CAUSE


def kept_in_a_partial() -> str:
    return f"n{append(1)}"


def seeded_by_the_clock() -> str:
    seed = time.time_ns()  # CAUSE
    source = random.Random(seed)
    return f"n{source.random()}"


def told_by_an_error() -> str:
    def failing() -> str:
        raise LookupError(f"no route at {time.time_ns()}")  # CAUSE

    try:
        return failing()
    except LookupError as error:
        return str(error)


def yielded() -> str:
    def drawn() -> Iterator[float]:
        for _ in range(2):
            yield random.random()  # CAUSE

    total = 0.0
    for one in drawn():
        total += one
    return f"n{total}"


class Watch:
    def __init__(self) -> None:
        self.started = time.perf_counter()


class Run:
    started = time.time()


def attribute_of_its_own_class() -> str:
    run = Run()
    run.started = time.time()  # CAUSE
    Watch()
    return f"n{run.started}"


def made_in_a_comprehension() -> str:
    parcels = [Parcel(sku) for sku in ("tea", "pot")]
    harmless()
    return f"n{max(one.number for one in parcels)}"


class Labelled:
    printed = 0

    def __init__(self) -> None:
        type(self).printed += 1  # CAUSE
        self.number = type(self).printed


class Parcel(Labelled):
    def __init__(self, sku: str) -> None:
        super().__init__()
        self.sku = sku


def changed_by_a_method() -> str:
    size = rates.size()
    rates.update("EUR")
    return f"n{size}"


class Rates:
    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def update(self, currency: str) -> None:
        self.known[f"{currency}{len(self.known)}"] = 1  # CAUSE

    def size(self) -> int:
        return len(self.known)


rates = Rates()


STATUS = SimpleNamespace(level=0)


def set_by_name() -> str:
    setattr(STATUS, "level", STATUS.level + 1)  # noqa: B010  # CAUSE
    return f"n{STATUS.level}"


living: "weakref.WeakSet[Watch]" = weakref.WeakSet()
held: list[Watch] = []


def weakly_kept() -> str:
    watch = Watch()
    held.append(watch)
    living.add(watch)  # CAUSE
    return f"n{len(living)}"


layers: "ChainMap[str, int]" = ChainMap({})


def layered() -> str:
    global layers  # noqa: PLW0603
    layers = layers.new_child({"a": 1})  # CAUSE
    return f"n{len(layers.maps)}"


@functools.lru_cache(maxsize=1)
def _rates() -> dict[str, float]:
    return {"eur": 1.0}


@contextmanager
def _budget(seconds: float) -> Generator[float, None, float]:
    began = time.perf_counter()
    left = seconds - time.time_ns() % 1_000_003  # CAUSE
    try:
        yield left
    finally:
        logging.getLogger("shop").info("took %s", time.perf_counter() - began)
    return time.perf_counter() - began


def budget() -> str:
    with _budget(60) as left:
        return f"left {left}"


class Ledger:
    def __init__(self) -> None:
        self.entries: list[tuple[float, int]] = []

    def book(self, amount: int) -> None:
        self.entries.append((time.perf_counter(), amount))

    def balance(self) -> int:
        return sum(amount for _, amount in self.entries)


turns: list[int] = []


def rendered(turn: int, ledger: Ledger) -> str:
    head = "left" if turn % 2 else "right"
    return f"{head}: {turn} {ledger.balance()}"


def beside_a_clock() -> str:
    ledger = Ledger()
    ledger.book(3)
    turns.append(1)  # CAUSE
    return rendered(len(turns), ledger)


class Turn:
    def __init__(self) -> None:
        self.turn = 0

    def __get__(self, owner: object, kind: type | None = None) -> int:
        self.turn += 1  # CAUSE
        return self.turn


class Desk:
    place = Turn()

    def __init__(self) -> None:
        self.opened = time.perf_counter()


def given_by_a_descriptor() -> str:
    desk = Desk()
    place = desk.place
    return f"n{place}"


request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")


def set_in_a_context_variable() -> str:
    request.set(uuid.uuid4().hex)  # CAUSE
    return f"n{request.get()}"


SELF_VARYING: dict[str, Callable[[], str]] = {
    one.__name__: one
    for one in (
        module_counter,
        class_attribute,
        default_argument,
        module_generator,
        random_uuid,
        random_number,
        clock,
        called_by_a_library,
        kept_in_a_partial,
        seeded_by_the_clock,
        told_by_an_error,
        yielded,
        attribute_of_its_own_class,
        made_in_a_comprehension,
        changed_by_a_method,
        set_by_name,
        weakly_kept,
        layered,
        budget,
        beside_a_clock,
        given_by_a_descriptor,
        set_in_a_context_variable,
    )
} | {"closure": closure}


def string_hash(key: str) -> str:
    return f"n{hash(key) % 1_000_003}"  # CAUSE


def set_order(key: str) -> str:
    tags = {key, "b", "c", "d", "e", "f"}
    return "".join(tags)  # CAUSE


def first_of_set(key: str) -> str:
    return next(iter({key, "b", "c", "d", "e", "f"}))  # CAUSE


def dict_of_set(key: str) -> str:
    order = dict.fromkeys({key, "b", "c", "d", "e", "f"})  # CAUSE
    return f"{next(iter(order))}!"


def local_zone(key: str) -> str:
    return datetime.fromtimestamp(len(key)).isoformat()  # CAUSE


def encoding(key: str) -> str:
    return f"{key}{locale.getpreferredencoding()}"  # CAUSE


def formatted_traceback(key: str) -> str:
    try:
        raise ValueError(key)
    except ValueError:
        return str(len(traceback.format_exc()))  # CAUSE


def line_number(key: str) -> str:
    return f"{key}{sys._getframe().f_lineno}"  # CAUSE


def joined_keys(key: str) -> str:
    asked, known = {key: 1, "b": 2, "c": 3, "d": 4}, {"b": 1}
    return "".join(asked.keys() - known.keys())  # CAUSE


def variable(key: str) -> str:
    return os.environ.get("SHOP_NAME", key)  # CAUSE


def listing_beside_an_id(key: str) -> str:
    ident = uuid.uuid4().hex
    names = os.listdir(os.path.dirname(__file__))  # CAUSE  # noqa: PTH120, PTH208  # a call that a user writes
    found = [ident, names]
    return f"{key}{len(found[1])}"


OBSERVED: dict[str, Callable[[str], str]] = {
    one.__name__: one
    for one in (
        string_hash,
        set_order,
        first_of_set,
        dict_of_set,
        local_zone,
        encoding,
        formatted_traceback,
        line_number,
        joined_keys,
        variable,
        listing_beside_an_id,
    )
}


@durable_execution
async def written_in_a_step(event: Any, ctx: DurableContext) -> str:
    accepted = False

    def authorize(step: Any) -> int:
        nonlocal accepted
        accepted = True  # CAUSE
        return 1

    await ctx.step(authorize, name="authorize")
    await call(ctx, f"accepted_{accepted}")
    return "done"


@durable_execution
async def filled_in_a_context(event: Any, ctx: DurableContext) -> str:
    done: list[int] = []

    async def collect(inner: DurableContext) -> None:
        done.append(await inner.step(body, name="collect"))  # CAUSE

    await ctx.run_in_child_context(collect, name="collected")
    await call(ctx, f"item_{done[0]}")
    return "done"


class Counted:
    def __init__(self) -> None:
        self.rows = 0

    def count(self, step: Any) -> int:
        self.rows = 3  # CAUSE
        return self.rows


@durable_execution
async def counted_in_a_method(event: Any, ctx: DurableContext) -> str:
    counted = Counted()
    await ctx.step(counted.count, name="count")
    await call(ctx, f"rows_{counted.rows}")
    return "done"


@durable_execution
async def returned_by_a_step(event: Any, ctx: DurableContext) -> str:
    accepted = False

    def authorize(step: Any) -> bool:
        accepted = True
        return accepted or step is None

    if await ctx.step(authorize, name="authorize"):
        accepted = True
    await call(ctx, f"accepted_{accepted}")
    return "done"


class DeclinedError(Exception):
    """What a step raises."""


caught: type[Exception] = DeclinedError
"""What the handler catches: the class by the name that today's code gives it."""


@durable_execution
async def catching(event: Any, ctx: DurableContext) -> str:
    def charge(step: Any) -> int:
        raise DeclinedError("no money")

    try:
        await ctx.step(charge, name="charge")
    except caught:
        await call(ctx, "refuse")
    return "done"


TEMPLATE: dict[str, Any] = {"names": [], "made": time.time()}


def copied_shallowly() -> str:
    message = dict(TEMPLATE)
    message["names"].append("a")
    return f"to_{len(message['names'])}"


def finishing(prefix: str) -> Any:
    """A handler that names a step after the task that finishes first."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        finished: list[str] = []

        async def load(name: str) -> None:
            await call(ctx, name)
            finished.append(name)  # CAUSE

        await asyncio.gather(load("left"), load("right"))
        await call(ctx, f"{prefix}_{finished[0]}")
        return "done"

    return handler


LOST = {
    "written_in_a_step": written_in_a_step,
    "filled_in_a_context": filled_in_a_context,
    "counted_in_a_method": counted_in_a_method,
}
"""Handlers that use what a function changed that a replay does not run again."""


def naming(name: Callable[[], str], *, is_blocking: bool = False) -> Any:
    """A handler that names a step by a function, between steps that do not vary."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        harmless()
        await call(ctx, "first")
        chosen = name()
        await call(ctx, chosen)
        await asyncio.gather(call(ctx, "left"), call(ctx, "right"))
        return "done"

    @durable_execution
    def blocking(event: Any, ctx: BlockingContext) -> str:
        harmless()
        ctx.step(body, name="first")
        ctx.step(body, name=name())
        return "done"

    return blocking if is_blocking else handler


def marked(name: str) -> int:
    """The line that is marked in the function of this name, or the next marked one."""
    with open(__file__, encoding="utf-8") as file:  # noqa: PTH123
        lines = file.read().splitlines()
    heads = {
        "class_attribute": "class Registry",
        "called_by_a_library": "class Emitter",
        "kept_in_a_partial": "append =",
        "given_by_a_descriptor": "class Turn",
        "counted_in_a_method": "class Counted",
    }
    starts = (heads[name],) if name in heads else (f"def {name}(", f"def _{name}(", f"async def {name}(")
    start = next(n for n, line in enumerate(lines) if line.lstrip().startswith(starts))
    return next(n for n in range(start, len(lines)) if MARK in lines[n] and "=" not in lines[n][:4]) + 1
