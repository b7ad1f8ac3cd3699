"""Keeps a replay from acting on the world: no network, no processes, no files written, no AWS credentials.

An audit hook sees what the interpreter is about to do. It is installed once per process and does nothing unless a replay
runs in the current context, so that other threads are left alone.
"""

import _thread
import asyncio
import os
import socket
import ssl
import sys
import threading
import time
from asyncio import selector_events
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any

from durable_execution.replayer.frames import Owner, base_name, owner_of, responsible_stack, user_stack
from durable_execution.replayer.suspects import SuspectKind, SuspectList, watched_by

WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
QUIET_READERS = ("zoneinfo", "linecache", "tokenize", "encodings", "locale", "gettext", "inspect", "pkgutil")
"""Standard modules whose reading of files is their own affair."""

READERS = (
    "os.py", "_collections_abc.py", "frozen os", "frozen _collections_abc", "posixpath.py", "frozen posixpath", "pathlib.py",
    "getpass.py", "shutil.py", "tempfile.py",
)  # fmt: skip
"""Files of `os.environ.get`, `os.getenv`, and of what reads the environment for others, such as `Path.home`."""

CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)  # fmt: skip
CREDENTIAL_FILES = (str(Path(".aws") / "credentials"), str(Path(".aws") / "config"))


class SideEffectBlockedError(OSError):
    """Orchestration code tried to act on the world during a replay."""


class Isolation:
    """What one replay may do, and what it tried."""

    def __init__(self, suspects: SuspectList) -> None:
        self.suspects = suspects

    def on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The interpreter is about to do something.

        Raises:
            SideEffectBlockedError: It must not be done during a replay.
        """
        EVENTS[event](self, event, arguments, sys._getframe(2))  # noqa: SLF001  # who is doing it

    def block(self, kind: SuspectKind, what: str, frame: FrameType) -> None:
        """Refuse, unless it is the SDK's own doing."""
        stack = responsible_stack(frame)
        if not stack:
            return
        self.suspects.add(kind, what, stack, is_blocked=True)
        raise SideEffectBlockedError(
            f"{what} is refused while {stack[0].function} is replayed: outside a step it would happen on every replay. "
            "Do it in a step"
        )

    def note(self, kind: SuspectKind, what: str, frame: FrameType) -> None:
        """Take note, unless it is the SDK's own doing."""
        self.suspects.add(kind, what, user_stack(frame))

    def note_effect(self, kind: SuspectKind, what: str, frame: FrameType) -> None:
        """Take note of something that was not done, without refusing it."""
        self.suspects.add(kind, what, user_stack(frame), is_blocked=True)

    def on_open(self, _event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """A file is about to be opened."""
        path, mode, flags = (*arguments, None, None)[:3]
        if isinstance(path, int) or not isinstance(path, (str, bytes, os.PathLike)):
            return
        name = os.fsdecode(path)
        if name.endswith(CREDENTIAL_FILES):
            self.block(SuspectKind.CREDENTIALS, f"reading {base_name(name)} of AWS", frame)
        is_writing = any(letter in str(mode or "") for letter in "wax+") or bool(int(flags or 0) & WRITE_FLAGS)
        if is_writing and name != os.devnull:
            self.block(SuspectKind.FILE, f"writing {_short(name)}", frame)
        elif name != os.devnull and not _is_quiet(frame):
            self.note(SuspectKind.FILE, f"reading {_short(name)}", frame)

    def on_change(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """A file or directory is about to be changed."""
        self.block(SuspectKind.FILE, f"{event}({_shown(arguments)})", frame)

    def on_listing(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """A directory is about to be listed."""
        if not _is_quiet(frame):
            self.note(SuspectKind.FILE, f"{event}({_shown(arguments[:1])})", frame)

    def on_network(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """The network is about to be used."""
        self.block(
            SuspectKind.NETWORK,
            f"{event}({_shown(arguments[1:] if event != 'socket.getaddrinfo' else arguments[:2])})",
            frame,
        )

    def on_name(self, event: str, _arguments: tuple[Any, ...], frame: FrameType) -> None:
        """The host is asked for its name."""
        self.note(SuspectKind.PROCESS, f"{event}()", frame)

    def on_process(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """A process is about to be started."""
        self.block(SuspectKind.PROCESS, f"{event}({_shown(arguments[:1])})", frame)

    def on_database(self, _event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """A database file is about to be opened."""
        if arguments and arguments[0] != ":memory:":
            self.block(SuspectKind.FILE, f"sqlite3.connect({_shown(arguments[:1])})", frame)

    def on_thread(self, _event: str, _arguments: tuple[Any, ...], frame: FrameType) -> None:
        """A thread is about to be started. One that asyncio starts takes this context with it; others would not."""
        outer: FrameType | None = frame
        while outer is not None:
            owner = owner_of(outer.f_code.co_filename)
            if owner is Owner.SDK:
                return
            if owner is Owner.USER:
                self.block(SuspectKind.THREAD, "starting a thread", frame)
            if outer.f_code.co_filename == asyncio.base_events.__file__:
                self.note(SuspectKind.THREAD, "work in another thread", frame)
                return
            outer = outer.f_back


Handler = Callable[[Isolation, str, tuple[Any, ...], FrameType], None]

EVENTS: dict[str, Handler] = {
    "open": Isolation.on_open,
    **dict.fromkeys(("_thread.start_new_thread", "_thread.start_joinable_thread"), Isolation.on_thread),
    "sqlite3.connect": Isolation.on_database,
    "socket.gethostname": Isolation.on_name,
    **dict.fromkeys(("os.listdir", "os.scandir"), Isolation.on_listing),
    **dict.fromkeys(
        ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "os.chmod", "os.chown",
         "os.utime", "shutil.copyfile", "shutil.move", "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp"),
        Isolation.on_change,
    ),
    **dict.fromkeys(
        ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
         "socket.gethostbyaddr", "socket.getnameinfo"),
        Isolation.on_network,
    ),
    **dict.fromkeys(
        ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn",
         "os.startfile", "os.kill"),
        Isolation.on_process,
    ),
}  # fmt: skip

_current: ContextVar[Isolation | None] = ContextVar("durable_execution_isolation", default=None)
_hook_lock = threading.Lock()
_is_hooked = False


@contextmanager
def isolated(suspects: SuspectList) -> Iterator[Isolation]:
    """Isolate what runs in this context, and in the tasks and threads that take it with them."""
    _install_hook()
    isolation = Isolation(suspects)
    with _without_credentials(), _watched_functions():
        token, watching = _current.set(isolation), watched_by.set(suspects)
        try:
            yield isolation
        finally:
            _current.reset(token)
            watched_by.reset(watching)


def _install_hook() -> None:
    global _is_hooked  # noqa: PLW0603  # a hook cannot be removed, so there is one per process
    with _hook_lock:
        if not _is_hooked:
            sys.addaudithook(_hook)
            _is_hooked = True


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in EVENTS:
        return
    isolation = _current.get(None)
    if isolation is not None:
        isolation.on_event(event, arguments)


REPLACED = {
    **dict.fromkeys(CREDENTIAL_VARIABLES),
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""The environment of a replay, where it differs; None is not set."""

_environment_lock = threading.RLock()
_replays = 0
_saved: dict[str, str | None] = {}


@contextmanager
def _without_credentials() -> Iterator[None]:
    """Take AWS credentials out of the environment while any replay runs."""
    global _replays  # noqa: PLW0603  # the environment is one per process
    with _environment_lock:
        _replays += 1
        if _replays == 1:
            _saved.update({name: os.environ.get(name) for name in REPLACED})
            _set_environment(REPLACED)
    try:
        yield
    finally:
        with _environment_lock:
            _replays -= 1
            if not _replays:
                _set_environment(_saved)


def _set_environment(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


_environ: Any = type(os.environ)
_read_variable, _list_variables = _environ.__getitem__, _environ.__iter__
_sleep: Any = time.sleep
_sleep_async: Any = asyncio.sleep
_start_thread: Any = _thread.start_new_thread

Replacement = tuple[Any, str, Any, Any]
"""Where it stands, its name, the original, and what stands there during a replay."""

_watchers = 0
_replaced: list[Replacement] = []


@contextmanager
def _watched_functions() -> Iterator[None]:
    """Take note of variables that are read, and skip sleeps. What another context does is left alone."""
    global _watchers  # noqa: PLW0603  # counts replays at work
    with _environment_lock:
        _watchers += 1
        if _watchers == 1:
            _replaced.extend(_replacements())
        elif _watchers > 1:
            _replaced.extend(one for one in _bound_names() if one not in _replaced)
        for owner, name, _, watching in _replaced:
            setattr(owner, name, watching)
    try:
        yield
    finally:
        with _environment_lock:
            _watchers -= 1
            if not _watchers:
                for owner, name, original, _ in _replaced:
                    _put_back(owner, name, original)
                _replaced.clear()


def _put_back(owner: Any, name: str, original: Any) -> None:
    setattr(owner, name, original)
    if isinstance(owner, type) and any(vars(base).get(name) is original for base in owner.__mro__[1:]):
        delattr(owner, name)  # it was inherited


def _replacements() -> Iterator[Replacement]:
    yield _environ, "__getitem__", _read_variable, _noting_read
    yield _environ, "__iter__", _list_variables, _noting_list
    yield time, "sleep", _sleep, _skipped_sleep
    yield asyncio, "sleep", _sleep_async, _skipped_async_sleep
    if sys.version_info < (3, 12):  # before, the interpreter says nothing about threads that are started
        yield threading, "_start_new_thread", _start_thread, _watched_start
        yield _thread, "start_new_thread", _start_thread, _watched_start
    for owner, names in SENDERS:
        for name in names:
            original = getattr(owner, name)
            yield owner, name, original, _refusing(original, name)
    yield from _bound_names()


_bound: tuple[frozenset[int], tuple[Replacement, ...]] = (frozenset(), ())


def _bound_names() -> tuple[Replacement, ...]:
    """As `_bound_in_modules`, looked for again only when modules have come or gone."""
    global _bound  # noqa: PLW0603  # of the process, as its modules are
    modules = frozenset(map(id, sys.modules.values()))
    if _bound[0] != modules:
        _bound = modules, tuple(_bound_in_modules())
    return _bound[1]


def _bound_in_modules() -> Iterator[Replacement]:
    """What users' modules have taken by name, such as `from time import sleep`."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or owner_of(file) is not Owner.USER:
            continue
        for name, value in list(vars(module).items()):
            if value is _sleep:
                yield module, name, value, _skipped_sleep
            elif value is _sleep_async:
                yield module, name, value, _skipped_async_sleep
            elif value is _start_thread and sys.version_info < (3, 12):
                yield module, name, value, _watched_start


SENDERS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (socket.socket, ("send", "sendall", "sendmsg", "recv", "recv_into")),
    (ssl.SSLSocket, ("send", "sendall", "recv", "recv_into")),
)
"""What speaks over a connection that was there before the replay: no audit event tells of it."""


def _refusing(original: Any, name: str) -> Any:
    def refused(connection: Any, *arguments: Any, **options: Any) -> Any:
        isolation = _current.get(None)
        frame = sys._getframe(1)  # noqa: SLF001  # who speaks
        if isolation is not None and frame.f_code.co_filename not in LOOP_FILES:
            isolation.block(SuspectKind.NETWORK, f"socket.{name}()", frame)
        return original(connection, *arguments, **options)

    return refused


LOOP_FILES = frozenset({selector_events.__file__})
"""The event loop speaks to itself over a socket."""


def _watched_start(*arguments: Any) -> Any:
    isolation = _current.get(None)
    if isolation is not None:
        isolation.on_thread("", (), sys._getframe(1))  # noqa: SLF001  # who starts it
    return _start_thread(*arguments)


def _skipped_sleep(seconds: float) -> None:
    isolation = _current.get(None)
    if isolation is None:
        _sleep(seconds)
    else:
        isolation.note_effect(SuspectKind.SLEEP, f"time.sleep({seconds:g})", sys._getframe(1))  # noqa: SLF001  # who sleeps


async def _skipped_async_sleep(delay: float, result: Any = None) -> Any:
    isolation = _current.get(None)
    if isolation is None or delay <= 0:
        return await _sleep_async(delay, result)
    isolation.note_effect(SuspectKind.SLEEP, f"asyncio.sleep({delay:g})", sys._getframe(1))  # noqa: SLF001  # who sleeps
    return await _sleep_async(0, result)


def _noting_read(environ: Any, key: str) -> Any:
    isolation = _current.get(None)
    if isolation is not None:
        outer: FrameType | None = sys._getframe(1)  # noqa: SLF001  # who reads
        while outer is not None and base_name(outer.f_code.co_filename).strip("<>") in READERS:
            outer = outer.f_back
        if outer is not None and owner_of(outer.f_code.co_filename) in (Owner.USER, Owner.LIBRARY):
            if key in CREDENTIAL_VARIABLES:
                isolation.note_effect(SuspectKind.CREDENTIALS, f"os.environ[{key!r}]", outer)
            else:
                isolation.note(SuspectKind.ENVIRONMENT, f"os.environ[{key!r}]", outer)
    return _read_variable(environ, key)


def _noting_list(environ: Any) -> Any:
    isolation = _current.get(None)
    if isolation is not None:
        outer: FrameType | None = sys._getframe(1)  # noqa: SLF001  # who reads
        while outer is not None and base_name(outer.f_code.co_filename).strip("<>") in READERS:
            outer = outer.f_back
        if outer is not None and owner_of(outer.f_code.co_filename) in (Owner.USER, Owner.LIBRARY):
            isolation.note(SuspectKind.ENVIRONMENT, "os.environ", outer)
    return _list_variables(environ)


def _is_quiet(frame: FrameType) -> bool:
    outer: FrameType | None = frame
    while outer is not None and owner_of(outer.f_code.co_filename) is not Owner.USER:
        name = str(outer.f_globals.get("__name__", "")).partition(".")[0]
        if name in QUIET_READERS or owner_of(outer.f_code.co_filename) is Owner.IMPORT:
            return True
        outer = outer.f_back
    return False


def _short(path: str) -> str:
    return path if len(path) <= 80 else f"…{path[-79:]}"


def _shown(arguments: tuple[Any, ...]) -> str:
    return ", ".join(f"{argument!r:.80}" for argument in arguments)
