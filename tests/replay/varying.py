"""Small programs whose calls vary for a known reason; the line that makes them vary is marked."""

import asyncio
import functools
import itertools
import locale
import os
import random
import time
import traceback
import uuid
from collections.abc import Callable
from datetime import datetime
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


@functools.lru_cache(maxsize=1)
def _rates() -> dict[str, float]:
    return {"eur": 1.0}


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


def variable(key: str) -> str:
    return os.environ.get("SHOP_NAME", key)  # CAUSE


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
        variable,
    )
}


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
    start = next(n for n, line in enumerate(lines) if line.lstrip().startswith((f"def {name}(", f"def _{name}(")))
    if name == "class_attribute":
        start = next(n for n, line in enumerate(lines) if line.startswith("class Registry"))
    return next(n for n in range(start, len(lines)) if MARK in lines[n] and "=" not in lines[n][:4]) + 1
