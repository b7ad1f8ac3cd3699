"""Records inputs that a replay must not depend on: clocks, random numbers, the environment and others.

A profile function sees every call, including C functions and names imported earlier, without replacing anything. It is set
only in threads that run orchestration code.

Tells who owns the code of a frame: the user, a library, the standard library or this SDK.
"""

import asyncio
import datetime as dt
import gc
import glob
import inspect
import os
import pathlib
import random
import shutil
import sys
import sysconfig
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Container, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import cache
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import durable_execution
from durable_execution.call_site import CallSite

MAX_SUSPECTS = 200
watched_by: "ContextVar[SuspectList | None]" = ContextVar("durable_execution_watched_by", default=None)
"""The suspects of the replay in this context. Other threads of the process are not watched."""


begun_at: "ContextVar[tuple[CallSite, ...]]" = ContextVar("durable_execution_begun_at", default=())
"""The user's frames that started this thread, or gave this work to a pool, innermost first."""

THREAD_ENTRIES: set[int] = set()
"""Identities of code below which a thread's stack has nothing of the user's."""


class SuspectKind(StrEnum):
    """The kind of input."""

    CLOCK = "clock"
    RANDOM = "random"
    UUID = "uuid"
    ENVIRONMENT = "environment"
    FILE = "file"
    NETWORK = "network"
    PROCESS = "process"
    THREAD = "thread"
    SLEEP = "sleep"
    CREDENTIALS = "credentials"
    CONTEXT = "lambda_context"
    ORDER = "order"


VARYING = frozenset(
    {
        SuspectKind.CLOCK, SuspectKind.RANDOM, SuspectKind.UUID, SuspectKind.ENVIRONMENT, SuspectKind.FILE,
        SuspectKind.NETWORK, SuspectKind.PROCESS, SuspectKind.CONTEXT, SuspectKind.CREDENTIALS, SuspectKind.ORDER,
    }
)  # fmt: skip
"""Suspects whose value can differ between replays; a sleep or a thread has no value."""

STANDARD_DIRECTORIES = tuple(
    {str(path.absolute()) + os.sep for path in (Path(sysconfig.get_path("stdlib")), Path(os.__file__).parent)}
)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A call that may return a different value on every replay.

    Attributes:
        kind: The kind of input.
        what: The call, for example `datetime.now()`.
        stack: The user's frames, innermost first.
        after: The number of durable calls made before it.
        path: Path of the last durable call before it; None when there was none.
        is_blocked: Whether it was refused.
    """

    kind: SuspectKind
    what: str
    stack: tuple[CallSite, ...]
    after: int
    path: str | None = None
    is_blocked: bool = False

    @property
    def site(self) -> CallSite:
        """The line of the user's code that made the call."""
        return self.stack[0]

    def __str__(self) -> str:
        return f"{base_name(self.site.file)}:{self.site.line}: {self.what}"


class SuspectList:
    """The suspects of one replay, each call site once."""

    def __init__(self, calls: Callable[[], tuple[int, str | None]]) -> None:
        self._calls = calls
        self._found: dict[tuple[SuspectKind, str, CallSite], Suspect] = {}

    def add(self, kind: SuspectKind, what: str, stack: tuple[CallSite, ...], *, is_blocked: bool = False) -> None:
        """Record a call; a repeated call from the same site replaces the earlier one."""
        if not stack:
            return
        key = (kind, what, stack[0])
        if key not in self._found and len(self._found) >= MAX_SUSPECTS:
            return
        after, path = self._calls()
        self._found.pop(key, None)
        self._found[key] = Suspect(kind, what, stack, after, path, is_blocked)

    def clear(self) -> None:
        """Forget all of them."""
        self._found.clear()

    def __iter__(self) -> Any:
        return iter(tuple(self._found.values()))

    def __len__(self) -> int:
        return len(self._found)


def _watched() -> dict[Any, tuple[SuspectKind, str]]:
    clock = {
        getattr(time, name): (SuspectKind.CLOCK, f"time.{name}()")
        for name in (
            "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "localtime",
            "gmtime", "ctime", "strftime", "clock_gettime", "clock_gettime_ns", "process_time_ns", "thread_time", "asctime",
        )
        if hasattr(time, name)
    }  # fmt: skip
    dates = {
        getattr(owner, name): (SuspectKind.CLOCK, f"{owner.__name__}.{name}()")
        for owner, names in ((dt.datetime, ("now", "utcnow", "today")), (dt.date, ("today",)))
        for name in names
    }
    shared: Any = getattr(random, "_inst", None)
    numbers = {getattr(shared, name): (SuspectKind.RANDOM, f"random.{name}()") for name in ("random", "getrandbits")}
    process = {
        getattr(os, name): (SuspectKind.PROCESS, f"os.{name}()")
        for name in ("getpid", "getppid", "getcwd", "cpu_count", "getloadavg", "times", "uname")
        if hasattr(os, name)
    }
    system = {
        os.urandom: (SuspectKind.RANDOM, "os.urandom()"),
        getattr(os, "getrandom", None): (SuspectKind.RANDOM, "os.getrandom()"),
    }
    files = {
        getattr(os, name): (SuspectKind.FILE, f"os.{name}()")
        for name in ("stat", "lstat", "access", "readlink", "statvfs")
        if hasattr(os, name)
    }
    thread = {threading.get_ident: (SuspectKind.PROCESS, "threading.get_ident()")}
    return {**clock, **dates, **numbers, **process, **system, **files, **thread}


LIBRARY_DIRECTORIES = tuple(
    {str(Path(sysconfig.get_path(name)).absolute()) + os.sep for name in ("purelib", "platlib")}
)

WATCHED = _watched()
STANDARD_MAKERS = frozenset({random.__file__, uuid.__file__, str(Path(random.__file__).with_name("secrets.py"))})
"""Standard library modules whose functions derive their values from the C functions above."""
FILE_MAKERS = frozenset(
    {
        os.path.__file__, os.path.exists.__code__.co_filename, os.path.join.__code__.co_filename,
        os.walk.__code__.co_filename, pathlib.Path.exists.__code__.co_filename, pathlib.__file__, shutil.__file__,
        glob.__file__, tempfile.__file__,
    }
)  # fmt: skip
"""Standard library modules that inspect files for a caller."""
SEEDLESS = "random.Random() without a seed"
PYTHON_FUNCTIONS: dict[Any, tuple[SuspectKind, str]] = {
    uuid.uuid1: (SuspectKind.UUID, "uuid.uuid1()"),
    uuid.uuid4: (SuspectKind.UUID, "uuid.uuid4()"),
    asyncio.BaseEventLoop.time: (SuspectKind.CLOCK, "loop.time()"),
    asyncio.sleep: (SuspectKind.SLEEP, "asyncio.sleep()"),
    random.Random.seed: (SuspectKind.RANDOM, SEEDLESS),
}
CODES = {id(function.__code__): found for function, found in PYTHON_FUNCTIONS.items()}
"""Python functions, by the identity of their code."""
CODE_MODULES = frozenset(function.__module__ for function in PYTHON_FUNCTIONS)
"""Their modules. Looking at the code of a frame, and at an identity, calls the audit hooks; at its globals does not."""
WATCHED[time.sleep] = (SuspectKind.SLEEP, "time.sleep()")
"""Observed here only where an object holds its own reference; in modules it is replaced and skipped."""
DATE_NAMES = frozenset({"now", "utcnow", "today"})
"""Class methods that subclasses of `datetime` and `date` inherit."""


class Profiler:
    """The profile function of one replay."""

    def __init__(self, suspects: SuspectList) -> None:
        self._suspects = suspects

    def start(self) -> None:
        """Watch this thread."""
        sys.setprofile(self._function())

    def start_everywhere(self) -> None:
        """Watch this thread and the threads it starts."""
        function = self._function()
        threading.setprofile(function)
        sys.setprofile(function)

    def watch(self, function: Callable[[], Any]) -> Any:
        """Run a function in this thread, which may be older than the replay, and watch it."""
        self.start()
        try:
            return function()
        finally:
            sys.setprofile(None)

    def _function(self) -> Callable[[FrameType, str, Any], None]:
        """Return the profile function. The interpreter calls it on every call and return, so it must be cheap."""
        watched, names, codes, modules = WATCHED.get, DATE_NAMES, CODES, CODE_MODULES
        on_c_call, on_call = self._on_c_call, self._on_call

        def profile(frame: FrameType, event: str, arg: Any) -> None:
            if event == "c_call":
                found = watched(arg)
                if found is not None or arg.__name__ in names:
                    on_c_call(frame, arg, found)
            elif event == "call":
                module = frame.f_globals.get("__name__")
                if module.__class__ is str and module in modules:
                    found = codes.get(id(frame.f_code))
                    if found is not None:
                        on_call(frame, found)

        return profile

    def _on_c_call(self, frame: FrameType, function: Any, found: tuple[SuspectKind, str] | None) -> None:
        found = found or _dynamic(function)
        if found is None or watched_by.get() is not self._suspects:
            return
        if found[0] is not SuspectKind.SLEEP:
            self._note(frame, *found)
        elif _is_direct(frame):
            self._suspects.add(*found, user_stack(frame), is_blocked=True)

    def _on_call(self, frame: FrameType, found: tuple[SuspectKind, str]) -> None:
        if watched_by.get() is not self._suspects:
            return
        kind, what = found
        if what == SEEDLESS:
            self._note_seed(frame)
        elif kind is SuspectKind.SLEEP:
            delay = frame.f_locals["delay"]
            if delay > 0:
                self._suspects.add(kind, f"asyncio.sleep({delay:g})", user_stack(frame.f_back), is_blocked=True)
        elif _is_direct(frame.f_back):
            self._suspects.add(kind, what, user_stack(frame.f_back))

    def _note_seed(self, frame: FrameType) -> None:
        """Record a random generator that the user created without a seed."""
        if frame.f_locals.get("a") is not None:
            return
        outer = _beyond(frame, STANDARD_MAKERS)
        if _is_direct(outer):
            self._suspects.add(SuspectKind.RANDOM, SEEDLESS, user_stack(outer))

    def _note(self, frame: FrameType, kind: SuspectKind, what: str) -> None:
        maker = ""
        outer: FrameType | None = frame
        if kind is SuspectKind.FILE:
            outer = _beyond(frame, FILE_MAKERS)
        while outer is not None and outer.f_code.co_filename in STANDARD_MAKERS:
            maker = f"{outer.f_globals.get('__name__')}.{outer.f_code.co_name}()"
            outer = outer.f_back
        if maker.startswith("uuid."):
            return  # already recorded when the function was called
        if maker.startswith("random.") and _is_seeded(frame):
            return
        if not _is_direct(outer):
            return
        self._suspects.add(kind, maker or what, user_stack(outer))


def _beyond(frame: FrameType | None, files: frozenset[str]) -> FrameType | None:
    while frame is not None and frame.f_code.co_filename in files:
        frame = frame.f_back
    return frame


def stop_watching() -> None:
    """Stop watching this thread and the threads it starts."""
    threading.setprofile(None)
    sys.setprofile(None)


def _is_direct(frame: FrameType | None) -> bool:
    """Whether a frame belongs to the user or a library, and not to machinery such as logging or asyncio."""
    return frame is not None and owner_of_frame(frame) in (Owner.USER, Owner.LIBRARY)


def _is_seeded(frame: FrameType) -> bool:
    """Whether the number comes from the user's own generator, which is as deterministic as its seed."""
    own = frame.f_locals.get("self")
    return (
        isinstance(own, random.Random)
        and not isinstance(own, random.SystemRandom)
        and own is not getattr(random, "_inst", None)
    )


def _dynamic(function: Any) -> tuple[SuspectKind, str] | None:
    """Match class methods of `datetime` subclasses, which cannot be listed in advance."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, dt.date):
        return SuspectKind.CLOCK, f"{owner.__name__}.{function.__name__}()"
    return None


MAX_FRAMES = 200
SDK_DIRECTORY = str(Path(durable_execution.__file__).absolute().parent) + os.sep


class Owner(Enum):
    """The owner of a piece of code."""

    USER = "user"
    LIBRARY = "library"
    STANDARD = "standard"
    SDK = "sdk"
    IMPORT = "import"


@cache
def owner_of(filename: str) -> Owner:
    """Return the owner of a source file."""
    if filename.startswith("<frozen importlib"):
        return Owner.IMPORT
    if filename.startswith("<frozen"):
        return Owner.STANDARD
    path = str(Path(filename).absolute())
    if path.startswith((SDK_DIRECTORY, *_process.disowned)):
        return Owner.SDK
    if path.startswith(tuple(_process.claimed)):
        return Owner.USER
    if path.startswith(LIBRARY_DIRECTORIES) or f"{os.sep}site-packages{os.sep}" in path:
        return Owner.LIBRARY
    return Owner.STANDARD if path.startswith(STANDARD_DIRECTORIES) else Owner.USER


def user_modules() -> list[ModuleType]:
    """Return the loaded modules whose files are the user's own."""
    files = [(one, getattr(one, "__dict__", {}).get("__file__")) for one in list(sys.modules.values())]
    return [one for one, file in files if isinstance(file, str) and owner_of(file) is Owner.USER]


def imported_by_name(functions: Container[int]) -> Iterator[tuple[ModuleType, str, Any]]:
    """Find the names under which user modules have functions, such as after `from time import sleep`.

    Args:
        functions: Their ids.
    """
    for module in user_modules():
        for name, value in list(vars(module).items()):
            if id(value) in functions:
                yield module, name, value


def owner_of_frame(frame: FrameType) -> Owner:
    """Return the owner of the code that a frame runs. Code made by `exec`, as of a dataclass, is of the module it was made in."""
    file = frame.f_code.co_filename
    if file.startswith("<") and not file.startswith("<frozen"):
        module_file = dict.get(frame.f_globals, "__file__")
        return owner_of(module_file if isinstance(module_file, str) else file)
    return owner_of(file)


def is_user_frame(frame: FrameType) -> bool:
    """Whether a frame runs code of a file of the user's own."""
    file = frame.f_code.co_filename
    return not file.startswith("<") and owner_of(file) is Owner.USER


def claim(function: Callable[..., Any]) -> None:
    """Treat an installed handler, and its package, as the user's code: `pip install .` does not make it a library."""
    filename = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", "")
    if not filename or owner_of(filename) is not Owner.LIBRARY:
        return
    path = Path(filename).absolute()
    depth = len(function.__module__.split(".")) - (path.name != "__init__.py")
    package = path.parents[depth - 1] if depth else path
    _process.claimed.add(f"{package}{os.sep}" if depth else str(path))
    owner_of.cache_clear()


def claimed_places() -> tuple[str, ...]:
    """Return where code is that counts as the user's although it is installed."""
    return tuple(sorted(_process.claimed))


def disown(directory: str) -> None:
    """Treat the code in a directory as the SDK's: that of a debugger which is attached to the replay."""
    _process.disowned.add(directory)
    owner_of.cache_clear()


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose code is where, other than by its directory. It is that of the process: one process replays one handler.

    Attributes:
        claimed: Installed code that counts as the user's.
        disowned: Code that counts as the SDK's.
    """

    claimed: set[str] = field(default_factory=set)
    disowned: set[str] = field(default_factory=set)


_process = Ownership()


def user_stack(frame: FrameType | None) -> tuple[CallSite, ...]:
    """Return the user's frames, innermost first.

    Empty when the SDK or an import is closer to the call than the user's code, and inside a callback of the garbage
    collector, which interrupts unrelated code.
    """
    found: list[FrameType] = []
    collecting = _collector_callbacks()
    for outer in _outwards(frame):
        if outer.f_code in collecting:
            return ()
        owner = owner_of_frame(outer)
        if owner is Owner.IMPORT or (owner is Owner.SDK and not found):
            return ()
        if owner is Owner.USER:
            found.append(outer)
    return (*_sites(found), *begun_at.get())


def responsible_stack(frame: FrameType | None) -> tuple[CallSite, ...]:
    """Return the user's frames, or the thread's name when it runs only library code. Empty for the SDK's own calls."""
    found = user_stack(frame)
    owners = {owner_of_frame(outer) for outer in _outwards(frame)}
    if found or Owner.SDK in owners or Owner.IMPORT in owners:
        return found
    return (CallSite("<thread>", 0, threading.current_thread().name),)


def acting_stack(frame: FrameType | None) -> tuple[CallSite, ...]:
    """Return the frames that act, innermost first: the user's, or a library's, or the thread. Never empty."""
    frames = [(owner_of_frame(outer), outer) for outer in _outwards(frame)]
    in_files = [(owner, outer) for owner, outer in frames if not outer.f_code.co_filename.startswith("<")]
    for among in (in_files, frames):
        for wanted in (Owner.USER, Owner.LIBRARY):
            found = _sites([outer for owner, outer in among if owner is wanted])
            if wanted is Owner.USER:
                found += begun_at.get()
            if found:
                return found
    return (CallSite("<thread>", 0, threading.current_thread().name),)


def _sites(frames: Sequence[FrameType]) -> tuple[CallSite, ...]:
    """Return where frames are; those of code without a file only if there are no others: there is nothing to show of them."""
    in_files = [one for one in frames if not one.f_code.co_filename.startswith("<")]
    return tuple(CallSite(one.f_code.co_filename, one.f_lineno, one.f_code.co_qualname) for one in in_files or frames)


def _collector_callbacks() -> set[CodeType | None]:
    return {getattr(one, "__code__", None) or getattr(type(one).__call__, "__code__", None) for one in gc.callbacks}


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    for _ in range(MAX_FRAMES):
        if frame is None or id(frame.f_code) in THREAD_ENTRIES:
            return
        yield frame
        frame = frame.f_back


def base_name(filename: str) -> str:
    """Return the last component of a path."""
    return Path(filename).name
