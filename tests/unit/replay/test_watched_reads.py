"""What the profile function notices of the calls that user code makes, and whose frames it names."""

# ruff: noqa: PLW0108  # a read is the user's if a line of this file makes it

import asyncio
import datetime as dt
import gc
import glob
import json
import logging
import os
import random
import secrets
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import durable_execution.handler
from durable_execution.call_site import CallSite
from durable_execution.replay import suspects
from durable_execution.replay.suspects import (
    LIBRARY_DIRECTORIES,
    MAX_FRAMES,
    THREAD_ENTRIES,
    Owner,
    Profiler,
    Suspect,
    SuspectKind,
    SuspectList,
    acting_stack,
    base_name,
    begun_at,
    disown,
    is_user_frame,
    owner_of,
    responsible_stack,
    stop_watching,
    user_stack,
    watched_by,
)

HERE = Path(__file__)
LIBRARY = Path(LIBRARY_DIRECTORIES[0]) / "shoplib" / "rates.py"


class Day(dt.date):
    """A date of the user's own."""


class Moment(dt.datetime):
    """A time of the user's own."""


class Clock:
    """Something with a method that has the name of a method of `datetime`."""

    now = staticmethod(time.get_clock_info)


def seen(function: Callable[[], Any], *, is_watched: bool = True) -> list[Suspect]:
    """What is noticed while a function of this file runs."""
    found = SuspectList(lambda: (3, "flow/a"))
    token = watched_by.set(found if is_watched else None)
    try:
        Profiler(found).watch(function)
    finally:
        watched_by.reset(token)
        assert sys.getprofile() is None
    return list(found)


def sleeping(seconds: float) -> Callable[[], None]:
    async def sleep() -> None:
        await asyncio.sleep(seconds)

    def run() -> None:
        loop: Any = asyncio.new_event_loop()
        loop.call_later = lambda _, function, *arguments, **named: loop.call_soon(function, *arguments, **named)
        try:
            loop.run_until_complete(sleep())
        finally:
            loop.close()

    return run


def asking_a_loop() -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.time()
    finally:
        loop.close()


HELD_SLEEP = time.sleep
SEEDED, SYSTEM = random.Random(5), random.SystemRandom()
NOTICED: dict[str, tuple[Callable[[], Any], list[tuple[str, str, bool]]]] = {
    "time": (lambda: time.time(), [("clock", "time.time()", False)]),
    "monotonic": (lambda: time.monotonic(), [("clock", "time.monotonic()", False)]),
    "local time": (lambda: time.localtime(), [("clock", "time.localtime()", False)]),
    "CPU time": (lambda: time.thread_time(), [("clock", "time.thread_time()", False)]),
    "now": (lambda: dt.datetime.now(dt.UTC), [("clock", "datetime.now()", False)]),
    "today": (lambda: dt.date.today(), [("clock", "date.today()", False)]),
    "today of a subclass": (lambda: Day.today(), [("clock", "Day.today()", False)]),
    "now of a subclass": (lambda: Moment.now(), [("clock", "Moment.now()", False)]),
    "a method of the same name": (lambda: Clock.now("time"), []),
    "random": (lambda: random.random(), [("random", "random.random()", False)]),
    "a choice": (lambda: random.choice([1, 2]), [("random", "random.choice()", False)]),
    "bits": (lambda: random.getrandbits(5), [("random", "random.getrandbits()", False)]),
    "a seeded generator": (lambda: (SEEDED.random(), SEEDED.choice([1, 2])), []),
    "the system's generator": (lambda: SYSTEM.random(), [("random", "random.random()", False)]),
    "a generator without a seed": (lambda: random.Random(), [("random", "random.Random() without a seed", False)]),
    "a generator with one": (lambda: random.Random(5), []),
    "secrets": (lambda: secrets.token_bytes(), [("random", "secrets.token_bytes()", False)]),
    "urandom": (lambda: os.urandom(1), [("random", "os.urandom()", False)]),
    "uuid4": (lambda: uuid.uuid4(), [("uuid", "uuid.uuid4()", False)]),
    "uuid5": (lambda: uuid.uuid5(uuid.NAMESPACE_DNS, "a"), []),
    "a process": (lambda: os.getpid(), [("process", "os.getpid()", False)]),
    "a thread": (lambda: threading.get_ident(), [("process", "threading.get_ident()", False)]),
    "a file": (lambda: os.lstat(HERE), [("file", "os.lstat()", False)]),  # what users write
    "a path": (lambda: HERE.exists(), [("file", "os.stat()", False)]),
    "os.path": (lambda: os.path.getmtime(HERE), [("file", "os.stat()", False)]),  # noqa: PTH204  # what users write
    "a short sleep": (lambda: HELD_SLEEP(0), [("sleep", "time.sleep()", True)]),
    "a loop": (asking_a_loop, [("clock", "loop.time()", False)]),
    "a turn of the loop": (sleeping(0), []),
    "a nap": (sleeping(0.5), [("sleep", "asyncio.sleep(0.5)", True)]),
    "a sleep": (sleeping(2.5), [("sleep", "asyncio.sleep(2.5)", True)]),
    "a log line": (lambda: logging.getLogger("silent").log(0, "quiet"), []),
    "a record": (lambda: logging.LogRecord("n", 20, "f", 1, "m", None, None), []),
    "JSON": (lambda: json.loads(json.dumps({"a": 1})), []),
}


@pytest.mark.parametrize("name", NOTICED)
def test_a_read_of_the_users_code_is_noticed_once_and_by_its_name(name: str) -> None:
    function, expected = NOTICED[name]
    found = seen(function)
    assert [(one.kind.value, one.what, one.is_blocked) for one in found] == expected
    for one in found:
        assert (one.site.file, one.after, one.path) == (__file__, 3, "flow/a")
        assert str(one) == f"test_watched_reads.py:{one.site.line}: {one.what}"


@pytest.mark.parametrize("name", [name for name, (_, expected) in NOTICED.items() if expected])
def test_a_read_in_another_replay_or_in_none_is_not_noticed(name: str) -> None:
    assert seen(NOTICED[name][0], is_watched=False) == []


def test_threads_that_are_started_are_watched_too_until_it_ends() -> None:
    found = SuspectList(lambda: (0, None))

    def reads() -> None:
        watched_by.set(found)
        time.time()

    def in_a_thread() -> None:
        thread = threading.Thread(target=reads)
        thread.start()
        thread.join()

    Profiler(found).start_everywhere()
    try:
        in_a_thread()
    finally:
        stop_watching()
    assert [one.what for one in found] == ["time.time()"]
    found.clear()
    in_a_thread()
    assert list(found) == []
    assert (sys.getprofile(), threading.getprofile()) == (None, None)


def moved(function: Callable[..., Any], file: str, module: str = "shoplib.rates") -> Callable[..., Any]:
    """A function as one of another file."""
    assert isinstance(function, FunctionType)
    return FunctionType(
        function.__code__.replace(co_filename=file),
        {**function.__globals__, "__name__": module},
        closure=function.__closure__,
    )


def in_library(call: Callable[[], Any]) -> Any:
    return call()


@pytest.mark.parametrize("is_inside", [True, False])
def test_a_read_of_a_library_is_that_of_the_users_line_that_calls_it(is_inside: bool) -> None:
    library = moved(lambda: time.time(), str(LIBRARY))

    def calls() -> Any:
        return library()

    (found,) = seen(calls)
    assert found.what == "time.time()"
    assert [one.function.rpartition(".")[2] for one in found.stack][:1] == ["calls"]
    assert all(one.file != str(LIBRARY) for one in found.stack)


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        ("<frozen importlib._bootstrap>", Owner.IMPORT),
        ("<frozen os>", Owner.STANDARD),
        (os.__file__, Owner.STANDARD),
        (json.__file__, Owner.STANDARD),
        (durable_execution.handler.__file__, Owner.SDK),
        (str(LIBRARY), Owner.LIBRARY),
        ("/opt/python/lib/python3.12/site-packages/shoplib/rates.py", Owner.LIBRARY),
        ("/opt/site-packages.py", Owner.USER),
        (__file__, Owner.USER),
        ("/srv/shop/flow.py", Owner.USER),
    ],
)
def test_the_owner_of_a_file_follows_from_its_place(file: str, owner: Owner) -> None:
    assert owner_of(file) is owner


def test_the_code_of_an_attached_debugger_is_not_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "_process", suspects.Ownership())
    owner_of.cache_clear()
    try:
        assert owner_of("/srv/debugpy/server.py") is Owner.USER
        disown("/srv/debugpy/")
        assert owner_of("/srv/debugpy/server.py") is Owner.SDK
        assert owner_of("/srv/shop/flow.py") is Owner.USER
    finally:
        owner_of.cache_clear()


def stack_through(*files: str, look: Callable[[Any], Any] = user_stack) -> Any:
    """What is found on a stack whose outer frames are of this file and whose inner ones are of others, innermost last."""

    def innermost() -> Any:
        return look(sys._getframe())

    call: Callable[[], Any] = moved(innermost, files[-1])
    for file in reversed(files[:-1]):
        call = _around(call, file)
    return call()


def _around(call: Callable[[], Any], file: str) -> Callable[[], Any]:
    def outer() -> Any:
        return call()

    return moved(outer, file)


SDK_FILE = durable_execution.handler.__file__
USER_FILE = "/srv/shop/flow.py"


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ([USER_FILE], True),
        ([USER_FILE, str(LIBRARY)], True),
        ([USER_FILE, json.__file__], True),
        ([SDK_FILE, USER_FILE], True),
        ([USER_FILE, SDK_FILE], False),
        ([USER_FILE, str(LIBRARY), SDK_FILE], False),
        ([USER_FILE, "<frozen importlib._bootstrap>"], False),
        ([USER_FILE, "<frozen importlib._bootstrap>", USER_FILE], False),
    ],
)
def test_the_users_frames_are_named_unless_the_sdk_or_an_import_is_nearer(files: list[str], named: bool) -> None:
    found = stack_through(*files)
    assert (found[:1] != () and found[0].file == USER_FILE) is named
    assert bool(found) is named


def test_the_place_that_started_a_thread_comes_after_its_own_frames() -> None:
    start = CallSite("/srv/shop/start.py", 3, "start")
    token = begun_at.set((start,))
    try:
        assert stack_through(USER_FILE)[0].file == USER_FILE
        assert stack_through(USER_FILE)[-1] is start
        assert user_stack(None) == (start,)
        assert stack_through(USER_FILE, look=acting_stack)[-1] is start
        assert acting_stack(None) == (start,)
    finally:
        begun_at.reset(token)


def test_a_callback_of_the_garbage_collector_interrupts_code_that_has_nothing_to_do_with_it() -> None:
    found: list[tuple[CallSite, ...]] = []

    def callback(phase: str, info: Any) -> None:
        found.append(user_stack(sys._getframe()))

    class Object:
        def __call__(self, phase: str, info: Any) -> None:
            found.append(user_stack(sys._getframe()))

    callbacks: list[Any] = [callback, Object()]
    gc.callbacks.extend(callbacks)
    try:
        gc.collect()
    finally:
        for one in callbacks:
            gc.callbacks.remove(one)
    assert found
    assert set(found) == {()}


def test_a_stack_is_followed_for_two_hundred_frames() -> None:
    def deep(left: int) -> Any:
        return user_stack(sys._getframe()) if left == 0 else deep(left - 1)

    assert len(deep(300)) == MAX_FRAMES == 200


def test_a_stack_ends_where_the_sdk_started_the_thread() -> None:
    def inner() -> Any:
        return user_stack(sys._getframe())

    def entry() -> Any:
        return inner()

    THREAD_ENTRIES.add(id(entry.__code__))
    try:
        assert [one.function.rpartition(".")[2] for one in entry()] == ["inner"]
    finally:
        THREAD_ENTRIES.discard(id(entry.__code__))


@pytest.fixture
def on_a_bare_thread() -> Callable[[Callable[[], Any]], Any]:
    """Runs a function on a thread whose stack has nothing of the user's but it."""

    def run(function: Callable[[], Any]) -> Any:
        found: list[Any] = []

        def collect() -> None:
            found.append(function())

        bare = moved(collect, threading.__file__)
        thread = threading.Thread(target=bare, name="exporter")
        thread.start()
        thread.join()
        return found[0]

    return run


ALONE = (CallSite("<thread>", 0, "exporter"),)


@pytest.mark.parametrize(
    ("files", "responsible", "acting"),
    [
        ([str(LIBRARY)], "thread", "library"),
        ([json.__file__], "thread", "thread"),
        ([SDK_FILE], "nobody", "thread"),
        ([SDK_FILE, str(LIBRARY)], "nobody", "library"),
        (["<frozen importlib._bootstrap>"], "nobody", "thread"),
        ([USER_FILE, str(LIBRARY)], "user", "user"),
        ([USER_FILE, SDK_FILE], "nobody", "user"),
    ],
)
def test_a_thread_answers_for_what_only_libraries_do_on_it(
    files: list[str], responsible: str, acting: str, on_a_bare_thread: Callable[[Callable[[], Any]], Any]
) -> None:
    def who(look: Callable[[Any], tuple[CallSite, ...]]) -> str:
        bare = moved(stack_through, threading.__file__)
        around = moved(lambda: bare(*files, look=look), threading.__file__)
        with suppress(IndexError):
            found: tuple[CallSite, ...] = on_a_bare_thread(around)
            if found == ALONE:
                return "thread"
            return {USER_FILE: "user", str(LIBRARY): "library"}[found[0].file]
        return "nobody"

    assert (who(responsible_stack), who(acting_stack)) == (responsible, acting)


@pytest.mark.parametrize(("file", "is_users"), [(USER_FILE, True), ("<string>", False), (json.__file__, False)])
def test_code_without_a_file_is_not_the_users(file: str, is_users: bool) -> None:
    assert stack_through(file, look=is_user_frame) is is_users


def test_a_sleep_and_a_thread_have_no_value_and_all_else_has() -> None:
    assert set(SuspectKind) - suspects.VARYING == {SuspectKind.SLEEP, SuspectKind.THREAD}
    assert base_name("/srv/shop/flow.py") == "flow.py"
    assert {"glob", "tempfile", "pathlib"} <= {Path(one).stem for one in suspects.FILE_MAKERS}
    assert glob.__file__ in suspects.FILE_MAKERS
    assert tempfile.__file__ in suspects.FILE_MAKERS
