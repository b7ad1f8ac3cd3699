"""Handlers that depend on what a replay must not depend on; they are never run for real."""

import _thread
import asyncio
import os
import random
import secrets
import socket
import sqlite3
import subprocess
import threading
import time
import uuid
from _thread import start_new_thread
from asyncio import sleep as async_sleep
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

from durable_execution import BlockingContext, DurableContext, durable_execution

STEP_BODIES_RUN: list[str] = []


def body(name: str) -> Any:
    async def run(_: Any) -> str:
        STEP_BODIES_RUN.append(name)
        return name

    return run


@durable_execution
async def plain(event: Any, ctx: DurableContext) -> str:
    await ctx.step(body("a"), name="a")
    await ctx.wait(timedelta(seconds=5), name="w")
    await ctx.step(body("b"), name="b")
    return "done"


def deciding(decide: Any) -> Any:
    """A handler that makes one more call when something says so."""

    async def workflow(event: Any, ctx: DurableContext) -> str:
        await ctx.step(body("a"), name="a")
        if decide(event, ctx):
            await ctx.step(body("extra"), name="extra")
        await ctx.wait(timedelta(seconds=5), name="w")
        await ctx.step(body("b"), name="b")
        return "done"

    workflow.__qualname__ = workflow.__name__ = "plain"
    return durable_execution(workflow)


def read_variable() -> bool:
    return os.environ.get("DURABLE_TEST_NEVER_SET") is None


def read_file() -> bool:
    return bool(Path(__file__).read_text(encoding="utf-8"))


def list_directory() -> bool:
    return bool(os.listdir(Path(__file__).parent))  # noqa: PTH208  # what users write


DECISIONS: dict[str, tuple[Any, str, str]] = {
    "datetime.now": (lambda *_: datetime.now(UTC).year > 2000, "clock", "datetime.now()"),
    "date.today": (lambda *_: date.today().year > 2000, "clock", "date.today()"),  # what users write
    "time.time": (lambda *_: time.time() > 0, "clock", "time.time()"),
    "time.monotonic": (lambda *_: time.monotonic() >= 0, "clock", "time.monotonic()"),
    "random.random": (lambda *_: random.random() < 2, "random", "random.random()"),
    "random.choice": (lambda *_: random.choice([1, 2]), "random", "random.choice()"),
    "secrets": (lambda *_: secrets.token_hex(4), "random", "secrets.token_hex()"),
    "os.urandom": (lambda *_: os.urandom(4), "random", "os.urandom()"),
    "uuid4": (lambda *_: uuid.uuid4(), "uuid", "uuid.uuid4()"),
    "uuid1": (lambda *_: uuid.uuid1(), "uuid", "uuid.uuid1()"),
    "environment": (lambda *_: read_variable(), "environment", "os.environ['DURABLE_TEST_NEVER_SET']"),
    "file": (lambda *_: read_file(), "file", "reading "),
    "directory": (lambda *_: list_directory(), "file", "os.listdir"),
    "pid": (lambda *_: os.getpid() > 0, "process", "os.getpid()"),
    "host name": (lambda *_: socket.gethostname(), "process", "socket.gethostname()"),
    "request id": (lambda _, ctx: ctx.lambda_context.aws_request_id, "lambda_context", "aws_request_id"),
}
"""What decides, the kind of suspect it is, and what the suspect is called."""


def acting(act: Any) -> Any:
    """A handler that does something to the world between its calls."""

    async def workflow(event: Any, ctx: DurableContext) -> str:
        await ctx.step(body("a"), name="a")
        act()
        await ctx.wait(timedelta(seconds=5), name="w")
        await ctx.step(body("b"), name="b")
        return "done"

    workflow.__qualname__ = workflow.__name__ = "plain"
    return durable_execution(workflow)


def acting_blocking(act: Any) -> Any:
    """The same as a plain function."""

    def workflow(event: Any, ctx: BlockingContext) -> str:
        ctx.step(body("a"), name="a")
        act()
        ctx.wait(timedelta(seconds=5), name="w")
        ctx.step(body("b"), name="b")
        return "done"

    workflow.__qualname__ = workflow.__name__ = "plain"
    return durable_execution(workflow)


def connect(port: int) -> Any:
    def act() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            pass

    return act


def send_datagram(port: int) -> Any:
    def act() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
            found.sendto(b"x", ("127.0.0.1", port))

    return act


def write_file(path: Path) -> Any:
    return lambda: path.write_text("written", encoding="utf-8")


def make_directory(path: Path) -> Any:
    return path.mkdir


def remove_file(path: Path) -> Any:
    return path.unlink


def open_database(path: Path) -> Any:
    return lambda: sqlite3.connect(path)


def run_program(path: Path) -> Any:
    return lambda: subprocess.run(["touch", str(path)], check=True)


def start_thread(path: Path) -> Any:
    def act() -> None:
        thread = threading.Thread(target=lambda: path.write_text("written", encoding="utf-8"))
        thread.start()
        thread.join()

    return act


def give_to_pool(path: Path) -> Any:
    """Nobody looks at what becomes of the work."""

    def act() -> None:
        pool = ThreadPoolExecutor(1)
        pool.submit(path.write_text, "written", encoding="utf-8")
        pool.shutdown(wait=False)

    return act


OLDER = ThreadPoolExecutor(1)


def give_to_older_pool(path: Path) -> Any:
    OLDER.submit(int).result(5)
    return lambda: OLDER.submit(path.write_text, "written", encoding="utf-8").exception(5)


def start_bare_thread(path: Path) -> Any:
    return lambda: _thread.start_new_thread(path.write_text, ("written",))


def start_bare_thread_by_name(path: Path) -> Any:
    return lambda: start_new_thread(path.write_text, ("written",))


def speak(connection: socket.socket) -> Any:
    """Over a connection that was made long before."""
    return lambda: connection.sendall(b"x")


def sleep_by_name() -> None:
    sleep(600)


class Napping:
    """Holds on to the function where no module shows it."""

    nap = staticmethod(time.sleep)


async def sleep_async_by_name() -> None:
    await async_sleep(600)


def acting_async(act: Any) -> Any:
    """A handler that awaits something that is no durable operation."""

    async def workflow(event: Any, ctx: DurableContext) -> str:
        await ctx.step(body("a"), name="a")
        await act()
        await ctx.wait(timedelta(seconds=5), name="w")
        await ctx.step(body("b"), name="b")
        return "done"

    workflow.__qualname__ = workflow.__name__ = "plain"
    return durable_execution(workflow)


def acting_inside(act: Any, *, is_blocking: bool) -> Any:
    """A handler that does something to the world in a child context."""

    def child(ctx: BlockingContext) -> None:
        ctx.step(body("x"), name="x")
        act()

    async def child_async(ctx: DurableContext) -> None:
        await ctx.step(body("x"), name="x")
        act()

    def blocking(event: Any, ctx: BlockingContext) -> None:
        ctx.run_in_child_context(child, name="child")
        ctx.step(body("end"), name="end")

    async def workflow(event: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(child_async, name="child")
        await ctx.step(body("end"), name="end")

    return durable_execution(blocking if is_blocking else workflow)


def in_other_thread(path: Path) -> Any:
    """Work that asyncio hands to a thread is isolated as well."""

    async def workflow(event: Any, ctx: DurableContext) -> str:
        await ctx.step(body("a"), name="a")
        await asyncio.to_thread(path.write_text, "written", encoding="utf-8")
        return "done"

    return durable_execution(workflow)
