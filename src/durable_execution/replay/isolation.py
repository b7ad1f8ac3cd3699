"""Prevents side effects during a replay: no network, no new processes, no file writes, no AWS credentials.

An audit hook sees each operation before the interpreter performs it. The hook is installed once per process and acts only
when a replay runs in the current context, so it does not affect other threads.
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
from typing import Any, NoReturn

from durable_execution.errors import DurableError
from durable_execution.replay.suspects import (
    Owner,
    SuspectKind,
    SuspectList,
    acting_stack,
    base_name,
    owner_of,
    responsible_stack,
    user_stack,
    watched_by,
)

WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
QUIET_READERS = ("zoneinfo", "linecache", "tokenize", "encodings", "locale", "gettext", "inspect", "pkgutil")
"""Standard modules whose file reads do not influence the handler."""

READERS = (
    "os.py", "_collections_abc.py", "frozen os", "frozen _collections_abc", "posixpath.py", "frozen posixpath", "pathlib.py",
    "getpass.py", "shutil.py", "tempfile.py",
)  # fmt: skip
"""Source files of `os.environ.get`, `os.getenv` and functions that read the environment for a caller, such as `Path.home`."""

CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)  # fmt: skip
CREDENTIAL_FILES = (str(Path(".aws") / "credentials"), str(Path(".aws") / "config"))


UNAUDITED = "durable_execution.effect"
"""Audit event of functions that CPython does not announce; raised by replay workers in their place."""

C_CALL = "durable_execution.c_call"
"""Audit event of C functions that are called through ctypes; raised by replay workers."""

PROBE = "durable_execution.probe"
_seen: list[str] = []


class IsolationError(DurableError):
    """Replays cannot be isolated in this process."""


class SideEffectBlockedError(OSError):
    """Orchestration code attempted a side effect during a replay."""


class Isolation:
    """Refuses side effects in one replay and records what the code attempted."""

    def __init__(self, suspects: SuspectList, *, is_strict: bool = False) -> None:
        self.suspects = suspects
        self._stack = acting_stack if is_strict else responsible_stack

    def on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Judge one audit event.

        Raises:
            SideEffectBlockedError: A replay must not perform the operation.
        """
        judge = getattr(self, EVENTS[event].__name__)  # a subclass may judge it differently
        judge(event, arguments, sys._getframe(2))  # noqa: SLF001  # the caller's frame

    def block(self, kind: SuspectKind, what: str, frame: FrameType) -> None:
        """Refuse an operation, unless the SDK itself performs it."""
        stack = self._stack(frame)
        if stack:
            text = (
                f"{what} is refused while {stack[0].function} is replayed: outside a step it would happen on every replay. "
                "Move it into a step"
            )
            self.refuse(kind, what, frame, text)

    def refuse(self, kind: SuspectKind, what: str, frame: FrameType, text: str) -> NoReturn:
        """Record an effect, and prevent it.

        Raises:
            SideEffectBlockedError: Always.
        """
        self.suspects.add(kind, what, self._stack(frame), is_blocked=True)
        raise SideEffectBlockedError(text)

    def note(self, kind: SuspectKind, what: str, frame: FrameType) -> None:
        """Record a read, unless the SDK itself performs it."""
        self.suspects.add(kind, what, user_stack(frame))

    def note_effect(self, kind: SuspectKind, what: str, frame: FrameType) -> None:
        """Record an effect that was skipped without raising an error."""
        stack = self._stack(frame) if self._stack is acting_stack else user_stack(frame)
        self.suspects.add(kind, what, stack, is_blocked=True)

    def on_open(self, _event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Judge the opening of a file."""
        path, mode, flags = (*arguments, None, None)[:3]
        if isinstance(path, int) or not isinstance(path, (str, bytes, os.PathLike)):
            return
        name = os.fsdecode(path)
        if name.endswith(CREDENTIAL_FILES):
            self.block(SuspectKind.CREDENTIALS, f"reading the AWS {base_name(name)} file", frame)
        is_writing = any(letter in str(mode or "") for letter in "wax+") or bool(int(flags or 0) & WRITE_FLAGS)
        if is_writing and name != os.devnull:
            self.block(SuspectKind.FILE, f"writing {_short(name)}", frame)
        elif name != os.devnull and not _is_quiet(frame):
            self.note(SuspectKind.FILE, f"reading {_short(name)}", frame)

    def on_change(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Refuse a change to a file or directory."""
        self.block(SuspectKind.FILE, f"{event}({_shown(arguments)})", frame)

    def on_listing(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Record the listing of a directory."""
        if not _is_quiet(frame):
            self.note(SuspectKind.FILE, f"{event}({_shown(arguments[:1])})", frame)

    def on_network(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Refuse the use of the network."""
        self.block(
            SuspectKind.NETWORK,
            f"{event}({_shown(arguments[1:] if event != 'socket.getaddrinfo' else arguments[:2])})",
            frame,
        )

    def on_name(self, event: str, _arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Record that the code reads the host's name."""
        self.note(SuspectKind.PROCESS, f"{event}()", frame)

    def on_process(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Refuse the start of a process."""
        self.block(SuspectKind.PROCESS, f"{event}({_shown(arguments[:1])})", frame)

    def on_unaudited(self, _event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Refuse a call that a replay worker makes CPython announce."""
        self.block(SuspectKind.PROCESS, f"{arguments[0]}({_shown(arguments[1:2])})", frame)

    def on_library(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Refuse C functions that could do anything unseen, where code of any owner is judged."""
        if self._stack is acting_stack:
            self.block(SuspectKind.PROCESS, f"calling C code ({_shown(arguments[-1:])})", frame)

    def on_database(self, _event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Refuse the opening of a database file."""
        if arguments and arguments[0] != ":memory:":
            self.block(SuspectKind.FILE, f"sqlite3.connect({_shown(arguments[:1])})", frame)

    def on_thread(self, _event: str, _arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Judge the start of a thread: asyncio's threads keep this context, threads of user code would lose it."""
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
    UNAUDITED: Isolation.on_unaudited,
    **dict.fromkeys(("ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle", "ctypes.call_function", C_CALL), Isolation.on_library),
    **dict.fromkeys(("os.listdir", "os.scandir"), Isolation.on_listing),
    **dict.fromkeys(
        ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "os.chmod", "os.chown",
         "os.utime", "os.chflags", "os.setxattr", "os.removexattr", "shutil.copyfile", "shutil.copytree", "shutil.chown",
         "shutil.make_archive", "shutil.unpack_archive", "shutil.move", "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp"),
        Isolation.on_change,
    ),
    **dict.fromkeys(
        ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
         "socket.gethostbyaddr", "socket.getnameinfo", "socket.sethostname", "syslog.syslog", "syslog.openlog"),
        Isolation.on_network,
    ),
    **dict.fromkeys(
        ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn",
         "os.startfile", "os.kill", "os.killpg", "signal.pthread_kill", "resource.prlimit"),
        Isolation.on_process,
    ),
}  # fmt: skip

_everywhere: Isolation | None = None
_exempt: set[int] = set()
_judging: set[int] = set()
_current: ContextVar[Isolation | None] = ContextVar("durable_execution_isolation", default=None)
_hook_lock = threading.Lock()
_is_hooked = False


@contextmanager
def isolated(suspects: SuspectList) -> Iterator[Isolation]:
    """Isolate the code in this context, and in the tasks and threads that inherit it; in a replay worker, all code."""
    _install_hook()
    outside = _everywhere
    isolation = Isolation(suspects, is_strict=outside is not None)
    with _without_credentials(), _watched_functions():
        token, watching = _current.set(isolation), watched_by.set(suspects)
        if outside is not None:
            judge_everywhere(isolation)
        try:
            yield isolation
        finally:
            if outside is not None:
                judge_everywhere(outside)
            _current.reset(token)
            watched_by.reset(watching)


def judge_everywhere(isolation: Isolation) -> None:
    """Judge every effect of this process: from any thread, in any context, of code of any owner. For replay workers."""
    global _everywhere  # noqa: PLW0603  # of the process, as its effects are
    _install_hook()
    _everywhere = isolation


@contextmanager
def exempt() -> Iterator[None]:
    """Leave this thread's own effects alone: a replay worker's own, between replays."""
    ident = _thread.get_ident()
    _exempt.add(ident)
    try:
        yield
    finally:
        _exempt.discard(ident)


def _install_hook() -> None:
    global _is_hooked  # noqa: PLW0603  # a hook cannot be removed, so each process installs one
    with _hook_lock:
        if not _is_hooked:
            sys.addaudithook(_hook)
            _is_hooked = True
            _seen.clear()
            sys.audit(PROBE)
            if not _seen:
                raise IsolationError(
                    "the audit hook that isolates replays could not be installed: a hook that was added earlier refuses it"
                )


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in EVENTS:
        if event == PROBE:
            _seen.append(event)
        return
    isolation = _current.get(None) or _everywhere
    if isolation is None:
        return
    ident = _thread.get_ident()
    if ident in _exempt or ident in _judging:
        return
    _judging.add(ident)
    try:
        isolation.on_event(event, arguments)
    finally:
        _judging.discard(ident)


REPLACED = {
    **dict.fromkeys(CREDENTIAL_VARIABLES),
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""Environment variables that a replay changes; None unsets the variable."""

_environment_lock = threading.RLock()
_replays = 0
_saved: dict[str, str | None] = {}


@contextmanager
def _without_credentials() -> Iterator[None]:
    """Remove AWS credentials from the environment while any replay runs."""
    global _replays  # noqa: PLW0603  # all threads share the environment
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
"""Owner, attribute name, the original, and its replacement during a replay."""

_watchers = 0
_replaced: list[Replacement] = []


@contextmanager
def _watched_functions() -> Iterator[None]:
    """Record reads of the environment and skip sleeps. Code in other contexts is not affected."""
    global _watchers  # noqa: PLW0603  # counts the replays in progress
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
        delattr(owner, name)  # the attribute was inherited


def _replacements() -> Iterator[Replacement]:
    yield _environ, "__getitem__", _read_variable, _noting_read
    yield _environ, "__iter__", _list_variables, _noting_list
    yield time, "sleep", _sleep, _skipped_sleep
    yield asyncio, "sleep", _sleep_async, _skipped_async_sleep
    if sys.version_info < (3, 12):  # older interpreters raise no audit event for new threads
        yield threading, "_start_new_thread", _start_thread, _watched_start
        yield _thread, "start_new_thread", _start_thread, _watched_start
    for owner, names in SENDERS:
        for name in names:
            original = getattr(owner, name)
            yield owner, name, original, _refusing(original, name)
    yield from _bound_names()


_bound: tuple[frozenset[int], tuple[Replacement, ...]] = (frozenset(), ())


def _bound_names() -> tuple[Replacement, ...]:
    """Cache `_bound_in_modules` until the set of loaded modules changes."""
    global _bound  # noqa: PLW0603  # one cache per process, like its modules
    modules = frozenset(map(id, sys.modules.values()))
    if _bound[0] != modules:
        _bound = modules, tuple(_bound_in_modules())
    return _bound[1]


def _bound_in_modules() -> Iterator[Replacement]:
    """Find functions that user modules imported by name, such as `from time import sleep`."""
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
"""Methods that use a connection opened before the replay: they raise no audit event."""


def _refusing(original: Any, name: str) -> Any:
    def refused(connection: Any, *arguments: Any, **options: Any) -> Any:
        isolation = _current.get(None)
        frame = sys._getframe(1)  # noqa: SLF001  # the caller's frame
        if isolation is not None and frame.f_code.co_filename not in LOOP_FILES:
            isolation.block(SuspectKind.NETWORK, f"socket.{name}()", frame)
        return original(connection, *arguments, **options)

    return refused


LOOP_FILES = frozenset({selector_events.__file__})
"""The event loop wakes itself up through a socket."""


def _watched_start(*arguments: Any) -> Any:
    isolation = _current.get(None)
    if isolation is not None:
        isolation.on_thread("", (), sys._getframe(1))  # noqa: SLF001  # the caller's frame
    return _start_thread(*arguments)


def _skipped_sleep(seconds: float) -> None:
    isolation = _current.get(None)
    if isolation is None:
        _sleep(seconds)
    else:
        isolation.note_effect(SuspectKind.SLEEP, f"time.sleep({seconds:g})", sys._getframe(1))  # noqa: SLF001  # the caller's frame


async def _skipped_async_sleep(delay: float, result: Any = None) -> Any:
    isolation = _current.get(None)
    if isolation is None or delay <= 0:
        return await _sleep_async(delay, result)
    isolation.note_effect(SuspectKind.SLEEP, f"asyncio.sleep({delay:g})", sys._getframe(1))  # noqa: SLF001  # the caller's frame
    return await _sleep_async(0, result)


def _noting_read(environ: Any, key: str) -> Any:
    isolation = _current.get(None)
    if isolation is not None:
        outer: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the caller's frame
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
        outer: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the caller's frame
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
