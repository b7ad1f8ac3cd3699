"""What is known of a call: whose code made it, and which function it runs."""

import contextvars
import functools
import sys
from concurrent.futures import ThreadPoolExecutor
from types import CodeType, FrameType, FunctionType, SimpleNamespace
from typing import Any, cast

import pytest

from durable_execution import durable_step
from durable_execution.call_site import caller
from durable_execution.runtime import call as module
from durable_execution.runtime.call import (
    Call,
    Memory,
    call_site_of,
    code_of,
    current_call_site,
    fingerprint_of_code,
    qualified_name_of,
    user_frame,
)


def test_what_was_found_is_kept_until_it_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Memory, "MOST", 3)
    memory: Memory[int, str] = Memory()
    assert [memory.keep(number, str(number)) for number in range(3)] == ["0", "1", "2"]
    assert dict(memory) == {0: "0", 1: "1", 2: "2"}
    assert memory.keep(3, "3") == "3"
    assert dict(memory) == {3: "3"}


def test_a_process_remembers_a_bounded_number_of_functions() -> None:
    assert Memory.MOST == 4096


def compiled(source: str, name: str = "<made>") -> CodeType:
    (code,) = (one for one in compile(source, name, "exec").co_consts if isinstance(one, CodeType))
    return code


def function_of(source: str, name: str = "<made>") -> Any:
    return FunctionType(compiled(source, name), {})


def test_equal_code_has_an_equal_fingerprint_wherever_it_is() -> None:
    one, other = function_of("def f(): return 1", "a.py"), function_of("\n\ndef f(): return 1", "b.py")
    assert fingerprint_of_code(one) == fingerprint_of_code(other)
    assert fingerprint_of_code(one) == fingerprint_of_code(one)


@pytest.mark.parametrize(
    "source",
    [
        "def f(): return 2",
        "def f(): return 1.0",
        "def f(): return a",
        "def f(): return 1 + 0 * a",
        "def f(): return (lambda: 1)",
    ],
)
def test_different_code_has_a_different_fingerprint(source: str) -> None:
    assert fingerprint_of_code(function_of(source)) != fingerprint_of_code(function_of("def f(): return 1"))


def test_code_inside_a_function_counts() -> None:
    inner = [fingerprint_of_code(function_of(f"def f(): return lambda: {number}")) for number in (1, 2)]
    assert inner[0] != inner[1]


def test_a_function_without_code_has_no_fingerprint() -> None:
    assert (fingerprint_of_code(len), code_of(len), qualified_name_of(len)) == (None, None, "len")
    assert (code_of(object()), qualified_name_of(object())) == (None, None)


def work(_: Any) -> int:
    return 1


@durable_step
def decorated(_: Any) -> int:
    return 1


def test_a_partial_and_a_durable_step_are_the_function_inside() -> None:
    assert code_of(functools.partial(work, 1)) is work.__code__
    assert qualified_name_of(functools.partial(work, 1)) == "work"
    assert qualified_name_of(decorated) == "decorated"


def frame_in(file: str, name: str = "flow") -> FrameType:
    """A frame of a function in a file, below one of this test."""
    found: list[FrameType] = []
    source = "def f(keep, sys): keep.append(sys._getframe(0))"
    made = FunctionType(compiled(source, file), {"__name__": name})
    made(found, sys)
    return found[0]


def test_the_callers_frame_is_the_users_own() -> None:
    own = frame_in("/srv/app/orders.py")
    assert user_frame(own) is own
    installed = frame_in(f"{module.SITE_PACKAGES}lib.py")
    assert user_frame(installed) is installed, "an installed package makes calls like any code"
    for file, name in (
        (f"{module.STDLIB}concurrent/futures/thread.py", "concurrent.futures.thread"),
        ("<frozen importlib._bootstrap>", "importlib"),
        ("/srv/sdk/context.py", "durable_execution.context"),
    ):
        passed = frame_in(file, name)
        assert user_frame(passed) is passed.f_back
    assert user_frame(None) is None
    assert user_frame(frame_in(module.LOOP_FILE, "asyncio.events")) is None, "what is above the loop made the loop"


def test_a_call_site_is_found_again_by_its_instruction() -> None:
    def here() -> Any:
        return call_site_of(sys._getframe(0))

    first, second = here(), here()
    assert first is second
    assert first is not None
    assert (first.file, first.function.rpartition(".")[2]) == (__file__, "here")
    assert first.line == here.__code__.co_firstlineno + 1
    assert call_site_of(None) is None


def made(function: Any) -> Call:
    found = Call(cast("Any", None), "id", 1, "STEP", "Step", "a", "a")
    found.function = function
    return found


@functools.wraps(work)
def wrapped(step: Any) -> int:
    return work(step)


@pytest.mark.parametrize(
    ("function", "code", "name"),
    [
        (None, None, None),
        (work, work.__code__, "work"),
        (functools.partial(work, 1), work.__code__, "work"),
        (decorated, code_of(decorated), "decorated"),
        (wrapped, code_of(wrapped), "work"),
        (len, None, "len"),
    ],
    ids=["none", "function", "partial", "durable step", "wrapped", "built in"],
)
def test_a_call_knows_the_code_and_the_name_of_its_function(
    function: Any, code: CodeType | None, name: str | None
) -> None:
    assert made(function).code_and_name == (code, name)
    if function is not None:
        assert made(function).code_and_name == (code_of(function), qualified_name_of(function))


def test_a_call_from_a_pool_has_the_site_of_the_code_that_waits_for_it() -> None:
    found: list[Any] = []

    def look(given: tuple[CodeType, int, int] | None) -> None:
        context = contextvars.Context()
        context.run(caller.set, given)
        pool.submit(context.run, current_call_site).add_done_callback(lambda done: found.append(done.result()))

    with ThreadPoolExecutor(1) as pool:
        look(None)
        look((work.__code__, 7, 1))
        look((work.__code__, 7, 1))
    assert found[0] is None
    assert (found[1].file, found[1].line, found[1].function) == (__file__, 7, "work")
    assert found[2] is found[1]


def test_observers_are_told_the_function_and_its_code() -> None:
    call = made(work)
    call.scope = cast("Any", SimpleNamespace(parent_id="parent", path="flow", ids=SimpleNamespace(prefix="around")))
    told = call.info()
    assert (told.body, told.function, told.bound) == (fingerprint_of_code(work), "work", work)
    assert (told.parent_id, told.context_id, told.path) == ("parent", "around", "flow/a")
    assert len(told.body or "") == 16
    call = made(None)
    call.scope = cast("Any", SimpleNamespace(parent_id=None, path="flow", ids=SimpleNamespace(prefix=None)))
    assert (call.info().body, call.info().function) == (None, None)


@pytest.mark.parametrize("parent", ["parent", None])
def test_an_update_names_the_context_that_is_recorded(parent: str | None) -> None:
    call = made(work)
    call.scope = cast("Any", SimpleNamespace(parent_id=parent))
    wire = {"Id": "id", "Type": "STEP", "SubType": "Step", "Action": "START", "Name": "a"}
    assert call.update("START") == (wire | {"ParentId": parent} if parent else wire)
