"""Prevents side effects during a replay: no network, no new processes, no file writes, no AWS credentials.

An audit hook sees each operation before the interpreter performs it. The hook is installed once per process and acts only
when a replay runs in the current context, so it does not affect other threads.
"""

import _thread
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from durable_execution.call_site import CallSite
from durable_execution.errors import DurableError
from durable_execution.replay.suspects import (
    Owner,
    SuspectKind,
    SuspectList,
    acting_stack,
    base_name,
    owner_of_frame,
    responsible_stack,
    user_stack,
)

WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
QUIET_READERS = ("zoneinfo", "linecache", "tokenize", "encodings", "locale", "gettext", "inspect", "pkgutil")
"""Standard modules whose file reads do not influence the handler."""

CREDENTIAL_FILES = (str(Path(".aws") / "credentials"), str(Path(".aws") / "config"))


UNAUDITED = "durable_execution.effect"
"""Audit event of functions that CPython does not announce; raised by replay workers in their place."""

C_CALL = "durable_execution.c_call"
"""Audit event of C functions that are called through ctypes; raised by replay workers."""

PROBE = "durable_execution.probe"


class IsolationError(DurableError):
    """Replays cannot be isolated in this process."""


class SideEffectBlockedError(OSError):
    """Orchestration code attempted a side effect during a replay."""


SQLITE_AUTH = 23
"""The code of SQLite's error when an authorizer refuses a statement, such as one that attaches a file."""


def is_refusal(error: BaseException | None) -> bool:
    """Whether an error is a refused side effect, or was raised because of one: `urllib` wraps it, and so may the code."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, SideEffectBlockedError) or getattr(one, "sqlite_errorcode", None) == SQLITE_AUTH:
            return True
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
    return False


class Isolation:
    """Refuses side effects in one replay and records what the code attempted."""

    def __init__(self, suspects: SuspectList, *, is_strict: bool = False) -> None:
        self.suspects = suspects
        self._work: list[Callable[[float], Any]] = []
        self._stack = acting_stack if is_strict else responsible_stack

    def on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Judge one audit event.

        Raises:
            SideEffectBlockedError: A replay must not perform the operation.
        """
        judge = getattr(self, EVENTS[event].__name__)  # a subclass may judge it differently
        judge(event, arguments, sys._getframe(2))  # noqa: SLF001  # the caller's frame

    def on_hidden(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuse an effect in the middle of judging, which another audit hook or a finalizer has then.

        Nothing is looked up here: that would raise audit events again.

        Raises:
            SideEffectBlockedError: It is an effect.
        """
        judge = EVENTS[event]
        if judge in HARMLESS_WHEN_HIDDEN or (judge is Isolation.on_open and not _is_writing(arguments)):
            return
        what = f"{event}({_shown(arguments[:1])})"
        self.suspects.add(SuspectKind.PROCESS, what, (HIDDEN,), is_blocked=True)
        raise SideEffectBlockedError(f"{what} is refused: an audit hook or a finalizer calls it during a replay")

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
        path = arguments[0]
        if isinstance(path, int) or not isinstance(path, (str, bytes, os.PathLike)):
            return
        name = os.fsdecode(path)
        if name.endswith(CREDENTIAL_FILES):
            self.block(SuspectKind.CREDENTIALS, f"reading the AWS {base_name(name)} file", frame)
        if _is_writing(arguments) and name != os.devnull:
            self.block(SuspectKind.FILE, f"writing {_short(name)}", frame)
        elif name != os.devnull and is_consumed(name):
            self.block(SuspectKind.FILE, f"reading {_short(name)}, which takes away what it reads,", frame)
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

    def on_socket(self, _event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Refuse sockets that need no address to reach the kernel or other processes."""
        if arguments[1] not in ADDRESSED:
            self.block(SuspectKind.NETWORK, f"a socket of family {_shown(arguments[1:2])}", frame)

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

    def on_control(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Refuse requests to a device or file system, locks and leases, which need no descriptor that can be written to."""
        request = arguments[1]
        if event == "fcntl.ioctl":
            is_effect = request & 0xFFFFFFFF not in READING_REQUESTS
        else:
            is_effect = request in OWNERSHIP if event == "fcntl.fcntl" else not request & UNLOCK
        if is_effect:
            self.block(SuspectKind.FILE, f"{event}({_shown(arguments[:2])})", frame)

    def on_database(self, _event: str, arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Refuse the opening of a database file, and in a replay worker of a connection that could attach one."""
        is_unguarded = self._stack is acting_stack and frame.f_code.co_qualname != GUARDED
        if arguments and (arguments[0] != ":memory:" or is_unguarded):
            self.block(SuspectKind.FILE, f"sqlite3.connect({_shown(arguments[:1])})", frame)

    def on_thread(self, _event: str, _arguments: tuple[Any, ...], frame: FrameType) -> None:
        """Judge the start of a thread: a `Thread` is judged as its starter is, a bare thread would lose this context."""
        if frame.f_code.co_filename == threading.__file__ and frame.f_code.co_name == "start":
            self.note(SuspectKind.THREAD, "work in another thread", frame)
            return
        outer: FrameType | None = frame
        while outer is not None:
            owner = owner_of_frame(outer)
            if owner is Owner.SDK:
                return
            if owner is Owner.USER:
                self.block(SuspectKind.THREAD, "starting a bare thread", frame)
            outer = outer.f_back

    def started(self, thread: threading.Thread) -> None:
        """Wait for a thread, at the end of the replay, that the code started."""
        self._work.append(thread.join)

    def submitted(self, work: Future[Any]) -> None:
        """Wait for work, at the end of the replay, that the code gave to a pool."""
        self._work.append(partial(wait_for, (work,)))

    def settle(self, seconds: float) -> None:
        """Wait for work in other threads, so that its effects are in the report. What takes longer is left behind."""
        deadline = time.monotonic() + seconds
        for wait in self._work:
            wait(max(0.0, deadline - time.monotonic()))
        self._work.clear()


NEW_INTERPRETER = "cpython.PyInterpreterState_New"
"""A second interpreter in this process has no audit hook of Python code, so its code could do anything."""

ADDRESSED = frozenset({-1, socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_UNIX", None)})
"""Families of sockets whose connections are judged; -1 where a descriptor says which it is."""

READING_REQUESTS = frozenset({
    0x5401, 0x540F, 0x5413, 0x541B,  # of terminals: attributes, foreground group, size, what can be read
    0x8910, 0x8912, 0x8913, 0x8915, 0x8917, 0x8919, 0x891B, 0x891D, 0x8921, 0x8927, 0x8933, 0x8942,  # of interfaces
    0x80086601, 0x80087601, 0x80041272, 0x80081272, 0x1260,  # of files and disks: flags, version, size
})  # fmt: skip
"""Requests of `fcntl.ioctl` that only read, as Linux numbers them."""

OWNERSHIP = frozenset({8, 10, 1024})
"""`F_SETOWN`, `F_SETSIG` and `F_SETLEASE`, with which a descriptor acts on other processes."""

UNLOCK = 8
"""Of `fcntl.flock` and `fcntl.lockf`."""

TERMINALS = frozenset({4, 5, *range(136, 144)})
"""Major numbers of the devices that are terminals on Linux."""

GUARDED = "_guard_databases.<locals>.GuardedConnection.__init__"
"""What opens databases in a replay worker."""

Handler = Callable[[Isolation, str, tuple[Any, ...], FrameType], None]

EVENTS: dict[str, Handler] = {
    "open": Isolation.on_open,
    **dict.fromkeys(("_thread.start_new_thread", "_thread.start_joinable_thread"), Isolation.on_thread),
    "sqlite3.connect": Isolation.on_database,
    **dict.fromkeys(("fcntl.ioctl", "fcntl.fcntl", "fcntl.flock", "fcntl.lockf"), Isolation.on_control),
    "socket.gethostname": Isolation.on_name,
    "socket.__new__": Isolation.on_socket,
    UNAUDITED: Isolation.on_unaudited,
    **dict.fromkeys(("ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle", "ctypes.call_function", C_CALL,
                     "sqlite3.load_extension"), Isolation.on_library),
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
         "os.startfile", "sys.remote_exec", "os.kill", "os.killpg", "signal.pthread_kill", "resource.prlimit", NEW_INTERPRETER),
        Isolation.on_process,
    ),
}  # fmt: skip

HARMLESS_WHEN_HIDDEN = frozenset({Isolation.on_listing, Isolation.on_name, Isolation.on_thread, Isolation.on_library})
HIDDEN = CallSite("<audit hook or finalizer>", 0, "audit hook or finalizer")
SQLITE_ALLOW, SQLITE_DENY, SQLITE_PRAGMA, SQLITE_ATTACH = 0, 1, 19, 24


def authorize(action: int, name: str | None, value: str | None = None, *_: Any) -> int:
    """Refuse a database connection the files that no audit event announces: one it attaches or copies to, and journals."""
    isolation = current.get(None) or _hook.everywhere
    if isolation is None or _thread.get_ident() in _hook.exempt:
        return SQLITE_ALLOW
    if action == SQLITE_ATTACH and name not in ("", ":memory:"):
        what = f"attaching {_short(name or 'a file')} to a database"
    elif action == SQLITE_PRAGMA and name == "journal_mode" and value:
        what = f"changing the journal of a database to {_short(value)}"
    else:
        return SQLITE_ALLOW
    try:
        isolation.block(SuspectKind.FILE, what, sys._getframe(1))  # noqa: SLF001  # the caller's frame
    except SideEffectBlockedError:
        return SQLITE_DENY
    return SQLITE_ALLOW


current: ContextVar[Isolation | None] = ContextVar("durable_execution_isolation", default=None)
"""Who judges the code of this context."""


class AuditHook:
    """The audit hook of this process: passes each effect to whoever judges it."""

    def __init__(self) -> None:
        self.everywhere: Isolation | None = None
        self.background: tuple[frozenset[int], Isolation] | None = None
        self.exempt: set[int] = set()
        self._judging: set[int] = set()
        self._lock = threading.Lock()
        self._is_installed = False
        self._has_answered = False

    def install(self) -> None:
        """Install the hook, once: it cannot be removed.

        Raises:
            IsolationError: A hook that was added earlier refuses it.
        """
        with self._lock:
            if self._is_installed:
                return
            sys.addaudithook(self._on_event)
            self._is_installed = True
            sys.audit(PROBE)
            if not self._has_answered:
                raise IsolationError(
                    "the audit hook that isolates replays could not be installed: a hook that was added earlier refuses it"
                )

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS:
            if event == PROBE:
                self._has_answered = True
            return
        isolation = current.get(None) or self.everywhere
        if isolation is None:
            return
        ident = _thread.get_ident()
        if ident in self.exempt:
            return
        if ident in self._judging:
            isolation.on_hidden(event, arguments)
            return
        if self.background is not None and ident in self.background[0]:
            isolation = self.background[1]
        self._judging.add(ident)
        try:
            isolation.on_event(event, arguments)
        finally:
            self._judging.discard(ident)


_hook = AuditHook()


def judge_of_everything() -> Isolation | None:
    """Return who judges every effect of this process; None outside of replay workers."""
    return _hook.everywhere


def judge_everywhere(isolation: Isolation) -> None:
    """Judge every effect of this process: from any thread, in any context, of code of any owner. For replay workers."""
    _hook.install()
    _hook.everywhere = isolation


def judge_background(threads: Iterable[int], isolation: Isolation) -> None:
    """Judge threads apart that ran before a replay began, such as exporters of telemetry that a fork starts again."""
    _hook.background = frozenset(threads), isolation


@contextmanager
def exempt() -> Iterator[None]:
    """Leave this thread's own effects alone: a replay worker's own, between replays."""
    ident = _thread.get_ident()
    _hook.exempt.add(ident)
    try:
        yield
    finally:
        _hook.exempt.discard(ident)


def install_hook() -> None:
    """Install the audit hook of this process, once.

    Raises:
        IsolationError: A hook that was added earlier refuses it.
    """
    _hook.install()


def _is_quiet(frame: FrameType) -> bool:
    outer: FrameType | None = frame
    while outer is not None and owner_of_frame(outer) is not Owner.USER:
        name = str(outer.f_globals.get("__name__", "")).partition(".")[0]
        if name in QUIET_READERS or owner_of_frame(outer) is Owner.IMPORT:
            return True
        outer = outer.f_back
    return False


def _is_writing(arguments: tuple[Any, ...]) -> bool:
    """Whether a file is opened to be written."""
    _, mode, flags = (*arguments, None, None)[:3]
    return any(letter in str(mode or "") for letter in "wax+") or bool(int(flags or 0) & WRITE_FLAGS)


def is_consumed(path: str) -> bool:
    """Whether others miss what is read from a file: from a named pipe or a terminal."""
    try:
        found = os.stat(path)  # noqa: PTH116  # for every file that is opened
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(found.st_mode) or (stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) in TERMINALS)


def _short(path: str) -> str:
    return path if len(path) <= 80 else f"…{path[-79:]}"


def _shown(arguments: tuple[Any, ...]) -> str:
    return ", ".join(f"{argument!r:.80}" for argument in arguments)
