"""Whose code a frame is: the user's, a library's, the standard library's or this SDK's."""

import os
import sysconfig
from enum import Enum
from functools import cache
from pathlib import Path
from types import FrameType

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
    """Whose code it is."""

    USER = "user"
    LIBRARY = "library"
    STANDARD = "standard"
    SDK = "sdk"
    IMPORT = "import"


@cache
def owner_of(filename: str) -> Owner:
    """Whose code a file holds."""
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
    """The user's frames from the innermost outwards; empty when the SDK itself, or an import, stands before them."""
    found: list[CallSite] = []
    for _ in range(MAX_FRAMES):
        if frame is None:
            break
        code = frame.f_code
        owner = owner_of(code.co_filename)
        if owner is Owner.IMPORT or (owner is Owner.SDK and not found):
            return ()
        if owner is Owner.USER:
            found.append(CallSite(code.co_filename, frame.f_lineno, code.co_qualname))
        frame = frame.f_back
    return tuple(found)


def base_name(filename: str) -> str:
    """The last part of a file's name."""
    return Path(filename).name
