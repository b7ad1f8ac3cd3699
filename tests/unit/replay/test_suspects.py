"""Which reads are remembered, and whose code a frame is."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any, cast

import pytest

from durable_execution.call_site import CallSite
from durable_execution.replay import suspects
from durable_execution.replay.suspects import (
    CODE_MODULES,
    LIBRARY_DIRECTORIES,
    MAX_SUSPECTS,
    PYTHON_FUNCTIONS,
    Owner,
    Profiler,
    SuspectKind,
    SuspectList,
    acting_stack,
    claim,
    owner_of,
    responsible_stack,
    user_stack,
)

LIBRARY = Path(LIBRARY_DIRECTORIES[0])


def site(line: int, function: str = "flow") -> CallSite:
    return CallSite("flow.py", line, function)


def test_each_place_is_remembered_once_and_as_it_was_last() -> None:
    calls = iter([(1, "flow/a"), (2, "flow/b"), (3, "flow/c")])
    found = SuspectList(lambda: next(calls))
    found.add(SuspectKind.CLOCK, "time.time()", (site(7), site(1, "main")))
    found.add(SuspectKind.CLOCK, "time.time()", (site(8), site(1, "main")))
    found.add(SuspectKind.CLOCK, "time.time()", (site(7), site(2, "main")))
    assert [(one.site.line, one.after, one.path) for one in found] == [(8, 2, "flow/b"), (7, 3, "flow/c")]
    assert not any(one.is_blocked for one in found)


def test_a_read_of_nobodys_code_is_not_remembered() -> None:
    found = SuspectList(lambda: (0, None))
    found.add(SuspectKind.CLOCK, "time.time()", ())
    assert len(found) == 0


def test_two_hundred_places_are_remembered_and_those_are_still_updated() -> None:
    count = iter(range(1_000))
    found = SuspectList(lambda: (next(count), None))
    for line in range(1, MAX_SUSPECTS + 6):
        found.add(SuspectKind.CLOCK, "time.time()", (site(line),))
    assert len(found) == MAX_SUSPECTS == 200
    found.add(SuspectKind.CLOCK, "time.time()", (site(1),))
    assert len(found) == 200
    assert [one.site.line for one in found][-2:] == [200, 1]


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(suspects, "_process", suspects.Ownership())
    owner_of.cache_clear()
    yield
    owner_of.cache_clear()


def installed(module: str, path: str) -> FunctionType:
    """A handler of an installed module."""
    code = installed.__code__.replace(co_filename=str(LIBRARY / path))
    return FunctionType(code, {"__name__": module})


@pytest.mark.parametrize(
    ("module", "path", "own"),
    [
        ("shop.orders.handler", "shop/orders/handler.py", ["shop/orders/handler.py", "shop/money.py"]),
        ("shop.handler", "shop/handler.py", ["shop/handler.py", "shop/orders/lines.py"]),
        ("shop", "shop/__init__.py", ["shop/__init__.py", "shop/orders/lines.py"]),
        ("shop.orders", "shop/orders/__init__.py", ["shop/orders/lines.py", "shop/money.py"]),
        ("shop", "shop.py", ["shop.py"]),
    ],
)
@pytest.mark.usefixtures("claims")
def test_the_whole_package_of_an_installed_handler_is_the_users(module: str, path: str, own: list[str]) -> None:
    assert owner_of(str(LIBRARY / path)) is Owner.LIBRARY
    claim(installed(module, path))
    assert {owner_of(str(LIBRARY / one)) for one in own} == {Owner.USER}
    for other in ("shopping.py", "shopping/lines.py", "requests/api.py"):
        assert owner_of(str(LIBRARY / other)) is Owner.LIBRARY


def test_the_users_frames_are_the_stack_innermost_first() -> None:
    def inner() -> tuple[CallSite, ...]:
        return user_stack(sys._getframe())

    names = [one.function.rpartition(".")[2] for one in inner()]
    assert names[:2] == ["inner", "test_the_users_frames_are_the_stack_innermost_first"]
    assert user_stack(None) == ()


@pytest.fixture
def library_frame() -> Iterator[FrameType]:
    """The innermost frame of a thread that runs only code of the standard library."""
    event = threading.Event()
    thread = threading.Thread(target=event.wait, name="exporter")
    thread.start()
    try:
        yield sys._current_frames()[thread.ident or 0]
    finally:
        event.set()
        thread.join()


def test_a_thread_without_the_users_code_is_responsible_itself(library_frame: FrameType) -> None:
    assert user_stack(library_frame) == ()
    alone = (CallSite("<thread>", 0, threading.current_thread().name),)
    assert responsible_stack(library_frame) == alone
    assert acting_stack(library_frame) == alone
    assert (
        responsible_stack(sys._getframe())[0].function == "test_a_thread_without_the_users_code_is_responsible_itself"
    )


@pytest.mark.parametrize("module", ["orders", ["not", "hashable"], None])
def test_the_code_of_a_frame_is_only_looked_at_in_modules_with_watched_functions(module: Any) -> None:
    """Each look calls the audit hooks, tens of thousands of times in a long replay."""

    class Frame:
        @property
        def f_globals(self) -> dict[str, Any]:
            return {"__name__": module}

        @property
        def f_code(self) -> Any:
            raise AssertionError("looked at")

    watching = SuspectList(lambda: (1, None))
    Profiler(watching)._function()(cast("FrameType", Frame()), "call", None)
    assert {function.__module__ for function in PYTHON_FUNCTIONS} == CODE_MODULES
