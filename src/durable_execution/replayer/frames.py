"""Tells who owns the code of a frame: the user, a library, the standard library or this SDK."""

import gc
import os
import sysconfig
import threading
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

import durable_execution
from durable_execution.observers import CallSite

MAX_FRAMES = 200
SDK_DIRECTORY = str(Path(durable_execution.__file__).absolute().parent) + os.sep
LIBRARY_DIRECTORIES = tuple(
    {str(Path(sysconfig.get_path(name)).absolute()) + os.sep for name in ("purelib", "platlib")}
)
STANDARD_DIRECTORIES = tuple(
    {str(path.absolute()) + os.sep for path in (Path(sysconfig.get_path("stdlib")), Path(os.__file__).parent)}
)


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
    if path.startswith(SDK_DIRECTORY):
        return Owner.SDK
    if path.startswith(LIBRARY_DIRECTORIES) or f"{os.sep}site-packages{os.sep}" in path:
        return Owner.LIBRARY
    return Owner.STANDARD if path.startswith(STANDARD_DIRECTORIES) else Owner.USER


def user_stack(frame: FrameType | None) -> tuple[CallSite, ...]:
    """Return the user's frames, innermost first.

    Empty when the SDK or an import is closer to the call than the user's code, and inside a callback of the garbage
    collector, which interrupts unrelated code.
    """
    found: list[CallSite] = []
    collecting = _collector_callbacks()
    for outer in _outwards(frame):
        if outer.f_code in collecting:
            return ()
        owner = owner_of(outer.f_code.co_filename)
        if owner is Owner.IMPORT or (owner is Owner.SDK and not found):
            return ()
        if owner is Owner.USER:
            found.append(CallSite(outer.f_code.co_filename, outer.f_lineno, outer.f_code.co_qualname))
    return tuple(found)


def responsible_stack(frame: FrameType | None) -> tuple[CallSite, ...]:
    """Return the user's frames, or the thread's name when it runs only library code. Empty for the SDK's own calls."""
    found = user_stack(frame)
    owners = {owner_of(outer.f_code.co_filename) for outer in _outwards(frame)}
    if found or Owner.SDK in owners or Owner.IMPORT in owners:
        return found
    return (CallSite("<thread>", 0, threading.current_thread().name),)


def _collector_callbacks() -> set[CodeType | None]:
    return {getattr(one, "__code__", None) or getattr(type(one).__call__, "__code__", None) for one in gc.callbacks}


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    for _ in range(MAX_FRAMES):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def base_name(filename: str) -> str:
    """Return the last component of a path."""
    return Path(filename).name
