"""Isolates a process that replays recordings, in layers: an audit hook, tripwires and, on Linux, Landlock.

In such a process no question of ownership is asked: every effect after the import of the handler is refused and reported,
from any thread, any context and any code. The hook explains what it refuses, but C code can go around it. Landlock cannot
be gone around, but explains nothing. Tripwires cover what was open already. So the layers are used together.
"""

import _ctypes
import atexit
import ctypes
import multiprocessing.util
import socket
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial, update_wrapper
from types import ModuleType
from typing import Any

from durable_execution.observers import CallSite
from durable_execution.replay.isolation import landlock
from durable_execution.replay.isolation.audit_hook import (
    C_CALL,
    UNAUDITED,
    Isolation,
    authorize,
    exempt,
    judge_background,
    judge_everywhere,
)
from durable_execution.replay.isolation.tripwires import (
    EventCounter,
    SharedMapping,
    Tripwire,
    has_tripwires,
    set_tripwires,
    shared_mappings,
)
from durable_execution.replay.replay_thread import frames_by_thread
from durable_execution.replay.suspects import Suspect, SuspectKind, SuspectList

AUDIT_HOOK = "audit hook"
TRIPWIRES = "tripwires"
LANDLOCK = "Landlock"
IMPORT_OPTION = "--allow-network-at-import"

POSIX_FUNCTIONS = (
    "mkfifo", "mknod", "chroot", "setpriority", "sched_setaffinity", "sched_setscheduler", "sched_setparam",
)  # fmt: skip
UNAUDITED_FUNCTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("os", POSIX_FUNCTIONS),
    ("posix", POSIX_FUNCTIONS),
    ("signal", ("pidfd_send_signal",)),
    ("time", ("clock_settime", "clock_settime_ns")),
    ("_posixsubprocess", ("fork_exec",)),
    ("subprocess", ("_fork_exec",)),
    ("_posixshmem", ("shm_open", "shm_unlink")),
    ("_multiprocessing", ("sem_unlink",)),
    ("_gdbm", ("open",)),
    ("_dbm", ("open",)),
    ("termios", ("tcsetattr", "tcsetwinsize", "tcsendbreak", "tcdrain", "tcflush", "tcflow")),
    ("sys", ("activate_stack_trampoline",)),
    ("readline", ("write_history_file", "append_history_file")),
)
"""Functions with an effect that CPython announces in no version, or not in all of them."""

THREAD_ARGUMENT, FACTORY_ARGUMENT = 4, 5
"""Where `sqlite3.connect` takes whether threads are checked, and the class of a connection."""


class _AtImport(Isolation):
    """Lists what a module does when it is imported, and refuses only the network."""

    def __init__(self, suspects: SuspectList, *, allows_network: bool) -> None:
        super().__init__(suspects, is_strict=True)
        self._allows_network = allows_network

    def block(self, kind: SuspectKind, what: str, frame: Any) -> None:
        if kind is SuspectKind.NETWORK and not self._allows_network:
            self.refuse(
                kind,
                what,
                frame,
                f"{what} is refused while the handler's module is imported: a replay must not depend on the network. "
                f"Move it into a step, or pass {IMPORT_OPTION}",
            )
        self.note_effect(kind, what, frame)

    def on_library(self, event: str, arguments: tuple[Any, ...], frame: Any) -> None:
        """Let modules load C libraries."""

    def on_hidden(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Let audit hooks and finalizers of modules act."""

    def on_thread(self, _event: str, _arguments: tuple[Any, ...], frame: Any) -> None:
        """Let modules start threads: the processes that replay do not have them."""


class Sandbox:
    """The layers of this process. There is one per process, and they cannot be taken off.

    Args:
        allows_network_at_import: Whether modules may use the network when they are imported.
        has_landlock: Whether to use Landlock where the kernel has it.
    """

    def __init__(self, *, allows_network_at_import: bool = False, has_landlock: bool = True) -> None:
        self._allows_network = allows_network_at_import
        self._has_landlock = has_landlock and landlock.version() > 0
        self._at_import = SuspectList(lambda: (0, None))
        self._stray = SuspectList(lambda: (0, None))
        self._behind = SuspectList(lambda: (0, None))
        self._wires: list[Tripwire | EventCounter | SharedMapping] = []
        self._callbacks = 0
        self.site = CallSite("<handler>", 0, "handler")

    def before_import(self) -> None:
        """Put on what must be there before the handler's module runs."""
        sys.dont_write_bytecode = True
        tempfile.gettempdir()  # finds out by writing a file, and remembers
        if self._has_landlock and not self._allows_network:
            landlock.refuse_network()
        _announce_effects()
        judge_everywhere(_AtImport(self._at_import, allows_network=self._allows_network))

    def after_import(self) -> None:
        """From now on every effect is refused."""
        judge_everywhere(Isolation(self._stray, is_strict=True))

    def enter(self, kept: Iterable[int]) -> None:
        """Put on the other layers, in the process that replays.

        Args:
            kept: Descriptors of this process that user code does not have.
        """
        has_processes = any(one.kind is SuspectKind.PROCESS for one in self._at_import)
        with exempt():
            wires = set_tripwires(kept, watches_pairs=has_processes)
            _keep_journals_in_memory()
            private = [one for one in shared_mappings() if one.make_private()]
            self._wires = [*wires, *(one for one in private if one.is_file or has_processes)]
            if self._has_landlock:
                if self._allows_network:
                    landlock.refuse_network()
                landlock.refuse_file_changes()
        self._callbacks = _callbacks()
        self.begin()
        self._stray.clear()  # what a thread did before, which a fork hook had started

    def begin(self) -> None:
        """Begin a replay: threads that run already are not a part of it."""
        own = threading.main_thread().ident
        threads = (ident for ident in frames_by_thread() if ident != own)  # also those that `threading` does not know
        judge_background(threads, Isolation(self._behind, is_strict=True))

    def background_effects(self) -> tuple[Suspect, ...]:
        """Return, once, what threads were refused that ran before the replay began."""
        found = tuple(self._behind)
        self._behind.clear()
        return found

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that are on in a process that replays."""
        tripwires = (TRIPWIRES,) if has_tripwires() else ()
        return (AUDIT_HOOK, *tripwires, *((LANDLOCK,) if self._has_landlock else ()))

    def import_effects(self) -> tuple[Suspect, ...]:
        """Return what the handler's module did when it was imported."""
        return tuple(self._at_import)

    def gaps(self) -> tuple[str, ...]:
        """Return what a replay lacks because the import did it, one line each."""
        threads = (one.name for one in threading.enumerate() if one is not threading.main_thread())
        mapped = sorted({one.name for one in shared_mappings() if one.is_file})
        return (
            *(f"the thread {name!r}, started at import, does not run in replays" for name in threads),
            *(f"{name}, mapped as shared memory at import, is a private copy in replays" for name in mapped),
        )

    def stray_effects(self) -> tuple[Suspect, ...]:
        """Return, once, the effects since the last look that no single replay accounts for."""
        with exempt():
            for wire in self._wires:
                if wire.written():
                    what = f"writing to {wire.name}, opened at import"
                    self._stray.add(
                        SuspectKind.FILE if wire.is_file else SuspectKind.NETWORK, what, (self.site,), is_blocked=True
                    )
        registered = _callbacks()
        if registered > self._callbacks:
            self._callbacks = registered
            self._stray.add(SuspectKind.PROCESS, "registering a function with atexit", (self.site,), is_blocked=True)
        found = tuple(self._stray)
        self._stray.clear()
        return found


def _callbacks() -> int:
    return atexit._ncallbacks() + len(multiprocessing.util._finalizer_registry)  # type: ignore[attr-defined]  # noqa: SLF001  # no public count


def _announce_effects() -> None:
    """Make functions announce their effects that do not: for modules that are loaded, and for those loaded later."""
    import importlib

    ctypes._CFuncPtr = _announcing_c_functions()  # type: ignore[attr-defined]  # noqa: SLF001  # the base of every library's functions
    ctypes.pythonapi = ctypes.PyDLL(None)
    vars(importlib.import_module("_multiprocessing"))["SemLock"] = ThreadSemaphore
    with suppress(ImportError):
        _guard_databases(importlib.import_module("sqlite3.dbapi2"))
    for module_name, names in UNAUDITED_FUNCTIONS:
        module = sys.modules.get(module_name)
        if module is None:
            with suppress(ImportError):
                module = importlib.import_module(module_name)
        for name in names:
            _announce(module, name)
    _announce(socket.socket, "listen")  # without an address the kernel chooses one, and nothing announces that


class ThreadSemaphore:
    """In place of `_multiprocessing.SemLock`, which makes a file: a semaphore of this process, since it starts no others."""

    SEM_VALUE_MAX = 2**31 - 1
    RECURSIVE_MUTEX = 0
    name = None
    handle = 0

    def __init__(self, kind: int, value: int, maxvalue: int, _name: str, _unlink: bool) -> None:
        self.kind, self.maxvalue = kind, maxvalue
        self._value, self._owned = value, 0
        self._owner: int | None = None
        self._changed = threading.Condition()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take one. Returns whether there was one in time."""
        with self._changed:
            if self.kind != self.RECURSIVE_MUTEX or not self._is_mine():
                if not self._changed.wait_for(lambda: self._value > 0, timeout if block else 0):
                    return False
                self._value -= 1
            self._owner, self._owned = threading.get_ident(), self._owned + 1
            return True

    def release(self) -> None:
        """Give one back.

        Raises:
            AssertionError: Another thread owns the lock.
            ValueError: It was released too often.
        """
        with self._changed:
            if self.kind == self.RECURSIVE_MUTEX and not self._is_mine():
                raise AssertionError("attempt to release recursive lock not owned by thread")
            if self.kind != self.RECURSIVE_MUTEX and self._value >= self.maxvalue:
                raise ValueError("semaphore or lock released too many times")
            self._owned -= 1
            if self.kind != self.RECURSIVE_MUTEX or not self._owned:
                self._value += 1
                self._changed.notify()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _is_mine(self) -> bool:
        return self._owned > 0 and self._owner == threading.get_ident()

    def _count(self) -> int:
        return self._owned

    def _get_value(self) -> int:
        return self._value

    def _is_zero(self) -> bool:
        return not self._value

    def _after_fork(self) -> None:
        self._owned = 0


def _announcing_c_functions() -> type[Any]:
    base: Any = _ctypes.CFuncPtr

    class AnnouncedFunction(base):  # type: ignore[misc]  # a class of ctypes
        """A C function: what it does is unknown, so it is judged when it is called."""

        _flags_ = _ctypes.FUNCFLAG_CDECL
        _restype_ = ctypes.c_int

        def __call__(self, *arguments: Any, **options: Any) -> Any:
            sys.audit(C_CALL, getattr(self, "__name__", "a function"))
            return super().__call__(*arguments, **options)

    return AnnouncedFunction


_databases: weakref.WeakSet[Any] = weakref.WeakSet()
"""The connections that there are to databases."""


def _keep_journals_in_memory() -> None:
    """Let databases that were opened at import write their journals to memory: SQLite would make files beside them.

    What they write to the database itself goes to a copy, which is a tripwire. A journal that is open already has one too.
    """
    for database in _databases:
        with suppress(Exception):  # it is closed, in use, or of another thread
            if database.execute("pragma journal_mode").fetchone()[0] != "wal":
                database.execute("pragma journal_mode = memory")


def _guard_databases(dbapi2: ModuleType) -> None:
    base: Any = dbapi2.Connection
    connect = dbapi2.connect

    class GuardedConnection(base):  # type: ignore[misc]  # a class of sqlite3
        """A connection that attaches no file, whichever other authorizer it gets."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            if len(arguments) <= THREAD_ARGUMENT:
                options["check_same_thread"] = (
                    False  # a replay runs beside the thread of the import, an invocation in it
                )
            super().__init__(*arguments, **options)
            super().set_authorizer(authorize)
            _databases.add(self)

        def set_authorizer(self, authorizer: Callable[..., int] | None) -> None:
            """Ask another authorizer after this one."""
            super().set_authorizer(partial(_authorize_first, authorizer) if authorizer is not None else authorize)

    def connected(*arguments: Any, **options: Any) -> Any:
        if len(arguments) <= FACTORY_ARGUMENT:
            options.setdefault("factory", GuardedConnection)
        return connect(*arguments, **options)

    for module in (dbapi2, sys.modules["sqlite3"]):
        vars(module).update(connect=_like(connect, connected), Connection=GuardedConnection)


def _authorize_first(then: Callable[..., int], *arguments: Any) -> int:
    return authorize(*arguments) or then(*arguments)


def _like(original: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a replacement the name of the original, and no way back to it."""
    update_wrapper(function, original)
    del function.__wrapped__  # type: ignore[attr-defined]  # set by `update_wrapper`
    return function


def _announce(module: ModuleType | type[Any] | None, name: str) -> None:
    original = getattr(module, name, None)
    if module is None or original is None or isinstance(original, type):
        return
    setattr(module, name, _announcing(original, f"{module.__name__.lstrip('_')}.{name.lstrip('_')}"))


def _announcing(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    def announced(*arguments: Any, **options: Any) -> Any:
        sys.audit(UNAUDITED, what, *arguments[:1])
        return original(*arguments, **options)

    return _like(original, announced)
