"""Handlers that a replay must survive; they are replayed in workers."""

import ctypes
import os
import re
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from durable_execution import BlockingContext, DurableContext, durable_execution
from tests.replay.workflows import body

CALLS: list[int] = []


def nothing() -> None:
    pass


def loop() -> None:
    while True:
        pass


def loop_in_c() -> None:
    re.match(r"(a+)+$", "a" * 40 + "b")


def wait_for_itself() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def recurse() -> None:
    recurse()


def forge() -> None:
    for descriptor in range(3, 1100):
        try:
            os.write(descriptor, b'{"verdict": "same"}')
        except OSError:
            continue
    os._exit(0)


ACTS: dict[str, Callable[[], Any]] = {
    "nothing": nothing,
    "exit": lambda: sys.exit(0),
    "end": lambda: os._exit(0),
    "end with 3": lambda: os._exit(3),
    "abort": os.abort,
    "read null": lambda: ctypes.string_at(0),
    "loop": loop,
    "loop in C": loop_in_c,
    "wait for itself": wait_for_itself,
    "recurse": recurse,
    "allocate": lambda: bytearray(2 << 30),
    "forge": forge,
    "close": lambda: os.closerange(3, 2000),
    "print": lambda: print("on stdout"),
    "print much": lambda: print("x" * 1_000_000),
    "change directory": lambda: os.chdir("/"),
}


@durable_execution
async def flow(event: Any, ctx: DurableContext) -> None:
    """Does what its payload says."""
    await ctx.step(body("a"), name="a")
    ACTS[event["do"]]()
    await ctx.wait(timedelta(seconds=1), name="w")
    await ctx.step(body("b"), name="b")


@durable_execution
def blocking_flow(event: Any, ctx: BlockingContext) -> None:
    """Does what its payload says, in a thread."""
    ctx.step(body("a"), name="a")
    ACTS[event["do"]]()
    ctx.wait(timedelta(seconds=1), name="w")
    ctx.step(body("b"), name="b")


@durable_execution
async def counts(event: Any, ctx: DurableContext) -> None:
    """Makes an extra call for every execution but the first in its process."""
    CALLS.append(1)
    await ctx.step(body("a"), name="a")
    if len(CALLS) > 1:
        await ctx.step(body("extra"), name="extra")
    await ctx.wait(timedelta(seconds=1), name="w")
    await ctx.step(body("b"), name="b")


@durable_execution
async def by_directory(event: Any, ctx: DurableContext) -> None:
    """Depends on the working directory, and changes it."""
    await ctx.step(body("a"), name="a" if os.access("settings.txt", os.R_OK) else "elsewhere")
    os.chdir("/")
    await ctx.wait(timedelta(seconds=1), name="w")
    await ctx.step(body("b"), name="b")


@durable_execution
async def by_environment(event: Any, ctx: DurableContext) -> None:
    """Depends on the environment, and changes it."""
    await ctx.step(body("a"), name=os.environ.get("MISBEHAVING", "a"))
    os.environ["MISBEHAVING"] = "changed"
    await ctx.wait(timedelta(seconds=1), name="w")
    await ctx.step(body("b"), name="b")
