"""Tries mutants in forks of a process that has collected the tests: a mutant of a function costs no import and no collection.

In each fork, the functions of the mutated module get the mutant's code, and the tests that call the changed function run until
one fails. What a mutant changes outside functions, such as a constant or a default, needs a new import: it is left to others.
"""

import gc
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

Place = tuple[str, str]
"""An outermost function: its file and qualified name."""

COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")

LEAST_S, SLOWER = 5.0, 4.0
POLL_S = 0.005
MOST_BYTES = 2 << 30
"""A mutant that loops and keeps what it makes is stopped before the machine runs out of memory."""


class InMemory:
    """A pytest plugin that runs the collected tests once for every mutant, each time in a fork.

    Args:
        copy: The copy of the work tree whose modules are mutated.
        mutants: Module and code of each mutant.
        results: The file that gets a line for each: `killed`, `survived`, `uncalled` or `left`.
    """

    def __init__(self, copy: Path, mutants: Sequence[tuple[str, str]], results: Path) -> None:
        self._copy, self._mutants, self._results = copy, mutants, results
        self._callers: dict[Place, dict[str, float]] = defaultdict(dict)
        self._times: dict[str, float] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every mutant."""
        if not self._mutants or session.testsfailed:
            return True
        self._observe(session)
        with self._results.open("w", encoding="utf-8") as results:
            for module, code in self._mutants:
                results.write(f"{self._tried(session, self._copy / module, code)}\n")
                results.flush()
        return True

    def _observe(self, session: pytest.Session) -> None:
        """Learn in a fork which functions each test calls, and how long it takes."""
        readable, writable = os.pipe()
        files = {str(self._copy / module) for module, _ in self._mutants}

        def run() -> bool:
            calls = _Calls(files)
            with os.fdopen(writable, "w", encoding="utf-8") as found:
                for item in session.items:
                    started = time.monotonic()
                    with calls.observed() as called:
                        _run(session, [item])
                    took = time.monotonic() - started
                    if not session.testsfailed:  # one that fails beside a profiler says nothing
                        found.write(f"{took}\t\t\t{item.nodeid}\n")
                        found.writelines(f"{took}\t{file}\t{name}\t{item.nodeid}\n" for file, name in called)
                    session.testsfailed, session.shouldfail = 0, False
            return True

        pid = _forked(run)
        os.close(writable)
        with os.fdopen(readable, encoding="utf-8") as found:
            for row in found:
                took, file, name, nodeid = row.rstrip("\n").split("\t")
                (self._callers[file, name] if name else self._times)[nodeid] = float(took)
        os.waitpid(pid, 0)

    def _tried(self, session: pytest.Session, file: Path, code: str) -> str:
        original = file.read_text(encoding="utf-8")
        try:
            before, after = (compile(text, str(file), "exec", dont_inherit=True) for text in (original, code))
        except SyntaxError:
            return "killed"
        changed = [new for old, new in zip(_functions(before), _functions(after), strict=False) if old != new]
        callers = {id_: took for one in changed for id_, took in self._callers[str(file), one.co_qualname].items()}
        places = Counter((one.co_qualname, one.co_firstlineno) for one in _inside(after))
        replaced = {
            place: one for one in _inside(after) if places[place := (one.co_qualname, one.co_firstlineno)] == 1
        }  # two lambdas of one line cannot be told apart
        if _without_functions(before) != _without_functions(after) or not replaced.keys() >= {
            (one.co_qualname, one.co_firstlineno) for one in changed
        }:
            return "left"
        times = (
            callers or self._times
        )  # what a profile function of the code calls is called by no test that can be seen
        items = sorted((one for one in session.items if one.nodeid in times), key=lambda one: times[one.nodeid])

        def run() -> bool:
            gc.unfreeze()  # a test may have put functions beyond the collector, which would not list them
            for function in [one for one in gc.get_objects() if type(one) is FunctionType]:
                here = function.__code__
                if here.co_filename == str(file) and (here.co_qualname, here.co_firstlineno) in replaced:
                    function.__code__ = replaced[here.co_qualname, here.co_firstlineno]
            _run(session, items)
            return not session.testsfailed

        file.write_text(code, encoding="utf-8")
        try:
            is_killed = _ended(_forked(run), LEAST_S + SLOWER * sum(times.values()))
            return "killed" if is_killed else "survived" if callers else "uncalled"
        finally:
            file.write_text(original, encoding="utf-8")


def _functions(code: CodeType) -> Iterator[CodeType]:
    """The outermost functions of a module."""
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from [one] if one.co_flags & CO_OPTIMIZED else _functions(one)


def _inside(code: CodeType) -> Iterator[CodeType]:
    """All functions of a module."""
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield one
            yield from _inside(one)


def _without_functions(code: CodeType) -> list[object]:
    """What runs when a module is imported."""
    found: list[object] = [code.co_code, code.co_names]
    for one in code.co_consts:
        if not isinstance(one, CodeType):
            found.append((type(one), one))
        elif not one.co_flags & CO_OPTIMIZED or one.co_name in COMPREHENSIONS:
            found.append(_without_functions(one))
    return found


class _Calls:
    """The functions that a test calls, also on threads that an earlier test has started: pools keep theirs.

    Args:
        files: The files whose functions count.
    """

    def __init__(self, files: Collection[str]) -> None:
        self._files = files
        self._called: set[Place] = set()

    @contextmanager
    def observed(self) -> Iterator[set[Place]]:
        """Collect the functions that are called until the block ends."""
        called = self._called = set()
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        try:
            yield called
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename in self._files:
            self._called.add((frame.f_code.co_filename, frame.f_code.co_qualname.partition(".<locals>")[0]))


def _run(session: pytest.Session, items: Sequence[pytest.Item]) -> None:
    """Run tests until one fails."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return


def _forked(run: Callable[[], bool]) -> int:
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
        code = not run()
    finally:
        os._exit(code)


def _ended(pid: int, seconds: float) -> bool:
    """Whether a fork failed, or did not end in time."""
    ends = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        is_late = time.monotonic() > ends
        if ended or is_late:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            if not ended:
                os.waitpid(pid, 0)
            return is_late or bool(status)
        time.sleep(POLL_S)
