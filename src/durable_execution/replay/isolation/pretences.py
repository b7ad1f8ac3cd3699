"""Lets refused side effects appear to succeed, so that the calls behind them are compared too.

A replay that refuses an effect raises an error where the code performs it, and the code may end there. After such a replay,
another one runs in which files are written to memory, changes of the file system, processes and messages seem to succeed, and
nothing happens. What cannot be guessed, such as the answer to a request, is refused as before.
"""

import builtins
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from durable_execution.replay.isolation.audit_hook import current
from durable_execution.replay.isolation.substitutes import LOOP_FILES
from durable_execution.replay.suspects import SuspectKind, imported_by_name

CHANGES: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (os, ("mkdir", "makedirs", "remove", "unlink", "rename", "replace", "rmdir", "removedirs", "symlink", "link", "truncate",
          "chmod", "chown", "utime", "mkfifo", "mknod", "kill", "killpg", "setxattr", "removexattr")),
    (shutil, ("rmtree", "chown")),
)  # fmt: skip
"""Functions that change files or processes and return nothing."""

COPIES = ("copyfile", "copy", "copy2", "copytree", "move", "make_archive")
SENT = ("send", "sendto", "sendmsg")
FOLDER = Path(tempfile.gettempdir()) / "pretended"


class _PretendedText(io.StringIO):
    name = str(FOLDER)

    def fileno(self) -> int:
        raise OSError("a file of a replay has no descriptor")


class _PretendedBytes(io.BytesIO):
    name = str(FOLDER)


class PretendedProcess:
    """A process that ended at once, without output."""

    returncode = 0
    pid = 0

    def __init__(self, args: Any, *_arguments: Any, **options: Any) -> None:
        self.args = args
        is_text = any(options.get(name) for name in ("text", "universal_newlines", "encoding", "errors"))
        self._made: Callable[[], Any] = _PretendedText if is_text else _PretendedBytes
        self.stdin, self.stdout, self.stderr = (
            self._made() if options.get(name) == subprocess.PIPE else None for name in ("stdin", "stdout", "stderr")
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to wait for."""

    def communicate(self, _data: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Return the output: nothing."""
        return tuple(stream.getvalue() if stream is not None else None for stream in (self.stdout, self.stderr))  # type: ignore[return-value]  # two streams

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code."""
        return self.returncode

    def poll(self) -> int:
        """Return the exit code."""
        return self.returncode

    def kill(self) -> None:
        """The process has ended."""

    terminate = kill


def _pretending(original: Any, kind: SuspectKind, what: str, answer: Callable[..., Any]) -> Any:
    plain = getattr(original, "__wrapped__", original)  # of a connection, what a replay refuses to user code

    def pretended(*arguments: Any, **options: Any) -> Any:
        isolation, frame = current.get(None), sys._getframe(1)  # noqa: SLF001  # the caller's frame
        if frame.f_code.co_filename in LOOP_FILES:
            return plain(*arguments, **options)
        if isolation is None:
            return original(*arguments, **options)
        isolation.note_effect(kind, what, frame)
        return answer(*arguments, **options)

    return pretended


def _opening(original: Any) -> Any:
    def pretended(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        isolation = current.get(None)
        if isolation is None or isinstance(file, int) or not any(letter in mode for letter in "wax+"):
            return original(file, mode, *arguments, **options)
        if os.fspath(file) == os.devnull:
            return original(file, mode, *arguments, **options)
        isolation.note_effect(SuspectKind.FILE, f"writing {os.fspath(file)!s:.80}", sys._getframe(1))  # noqa: SLF001  # the caller's frame
        return _PretendedBytes() if "b" in mode else _PretendedText()

    return pretended


def _temporary(_mode: str = "w+b", *_arguments: Any, **options: Any) -> Any:
    return _PretendedBytes() if "b" in options.get("mode", _mode) else _PretendedText()


def _replacements() -> Iterator[tuple[Any, str, Any]]:
    opening = _opening(builtins.open)
    yield builtins, "open", opening
    yield io, "open", opening
    for owner, names in CHANGES:
        for name in names:
            if hasattr(owner, name):
                what = f"{owner.__name__}.{name}()"
                kind = SuspectKind.PROCESS if name.startswith("kill") else SuspectKind.FILE
                yield owner, name, _pretending(getattr(owner, name), kind, what, lambda *_, **__: None)
    for name in COPIES:
        what = f"shutil.{name}()"
        yield (
            shutil,
            name,
            _pretending(getattr(shutil, name), SuspectKind.FILE, what, lambda _, to=None, *__, **___: to),
        )
    yield os, "system", _pretending(os.system, SuspectKind.PROCESS, "os.system()", lambda _: 0)
    yield (
        subprocess,
        "Popen",
        _pretending(subprocess.Popen, SuspectKind.PROCESS, "subprocess.Popen()", PretendedProcess),
    )
    for name in ("NamedTemporaryFile", "TemporaryFile"):
        yield tempfile, name, _pretending(getattr(tempfile, name), SuspectKind.FILE, f"tempfile.{name}()", _temporary)
    yield (
        tempfile,
        "mkdtemp",
        _pretending(tempfile.mkdtemp, SuspectKind.FILE, "tempfile.mkdtemp()", lambda *_, **__: str(FOLDER)),
    )
    for name in SENT:
        original = getattr(socket.socket, name)
        answer: Callable[..., Any] = lambda _, data=b"", *__: len(data)  # noqa: E731  # one of several
        yield socket.socket, name, _pretending(original, SuspectKind.NETWORK, f"socket.{name}()", answer)
    for name in ("connect", "sendall"):
        original = getattr(socket.socket, name)
        yield socket.socket, name, _pretending(original, SuspectKind.NETWORK, f"socket.{name}()", lambda *_: None)
    yield socket, "getaddrinfo", _pretending(socket.getaddrinfo, SuspectKind.NETWORK, "socket.getaddrinfo()", _address)


def _address(_host: Any, port: Any, *_arguments: Any, **_options: Any) -> list[Any]:
    number = port if isinstance(port, int) else 0
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", number))]


@contextmanager
def pretended_effects() -> Iterator[None]:
    """Let effects of the replay in this context seem to succeed."""
    replaced: list[tuple[Any, str, Any]] = []
    known: dict[int, Any] = {}
    inherited: list[tuple[Any, str]] = []
    try:
        for owner, name, pretence in _replacements():
            original = getattr(owner, name)
            known[id(original)] = pretence
            if name not in vars(owner):
                inherited.append((owner, name))
            replaced.append((owner, name, original))
            setattr(owner, name, pretence)
        for module, name, value in list(imported_by_name(known)):
            replaced.append((module, name, value))
            setattr(module, name, known[id(value)])
        yield
    finally:
        for owner, name, original in reversed(replaced):
            if (owner, name) in inherited:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
