"""What a replay puts in place of functions that no audit event announces: reading variables, sleeping, sending.

`isolated` puts all of it in place, and takes AWS credentials out of the environment.
"""

import _thread
import asyncio
import collections
import functools
import os
import queue
import socket
import ssl
import sys
import threading
import time
from asyncio import selector_events
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar, Token
from types import FrameType
from typing import Any, Protocol, runtime_checkable

from durable_execution.replay.isolation.audit_hook import (
    Isolation,
    SideEffectBlockedError,
    current,
    install_hook,
    judge_everywhere,
    judge_of_everything,
)
from durable_execution.replay.suspects import (
    THREAD_ENTRIES,
    Owner,
    SuspectKind,
    SuspectList,
    base_name,
    begun_at,
    imported_by_name,
    owner_of_frame,
    user_stack,
    watched_by,
)


@runtime_checkable
class ThreadRecorder(Protocol):
    """Records code line by line, in each thread that enters it."""

    def place_of(self, frame: FrameType) -> tuple[int, int] | None:
        """Return the recorded frame that runs, and its last event."""
        ...

    def here(self, started: tuple[int, int] | None = None) -> AbstractContextManager[None]:
        """Record what this thread runs until the block ends, as called from that place."""
        ...


READERS = (
    "os.py", "_collections_abc.py", "frozen os", "frozen _collections_abc", "posixpath.py", "frozen posixpath", "pathlib.py",
    "getpass.py", "shutil.py", "tempfile.py", "string.py", "configparser.py",
)  # fmt: skip
READER_FILES = frozenset({collections.__file__})
"""Source files of `os.environ.get`, `os.getenv` and functions that read the environment for a caller, such as `Path.home`."""

CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)  # fmt: skip


@contextmanager
def isolated(suspects: SuspectList) -> Iterator[Isolation]:
    """Isolate the code in this context, and in the tasks and threads that inherit it; in a replay worker, all code."""
    install_hook()
    outside = judge_of_everything()
    isolation = Isolation(suspects, is_strict=outside is not None)
    with _credentials, _functions:
        token, watching = current.set(isolation), watched_by.set(suspects)
        if outside is not None:
            judge_everywhere(isolation)
        try:
            yield isolation
        finally:
            if outside is not None:
                judge_everywhere(outside)
            current.reset(token)
            watched_by.reset(watching)


@contextmanager
def released() -> Iterator[None]:
    """Let the code in this block act, within code that is isolated."""
    token, watching = current.set(None), watched_by.set(None)
    try:
        with _credentials.shown():
            yield
    finally:
        current.reset(token)
        watched_by.reset(watching)


REPLACED = {
    **dict.fromkeys(CREDENTIAL_VARIABLES),
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""Environment variables that a replay changes; None unsets the variable."""


class HiddenCredentials:
    """Removes AWS credentials from the environment while any replay runs: all threads share the environment."""

    def __init__(self) -> None:
        self._replays = 0
        self._users = 0
        self._saved: dict[str, str | None] = {}

    def __enter__(self) -> None:
        with _lock:
            self._replays += 1
            if self._replays == 1:
                self._saved = {name: os.environ.get(name) for name in REPLACED}
                _set_environment(REPLACED)

    def __exit__(self, *_: object) -> None:
        with _lock:
            self._replays -= 1
            if not self._replays:
                _set_environment(self._saved)

    @property
    def are_shown(self) -> bool:
        """Whether they are in the environment while a replay runs, for a block that may act."""
        return self._users > 0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Put the credentials back for a block that may act."""
        self._add_user(1)
        try:
            yield
        finally:
            self._add_user(-1)

    def _add_user(self, change: int) -> None:
        with _lock:
            before = self._users
            self._users += change
            if self._replays and not before:
                _set_environment(self._saved)
            elif self._replays and not self._users:
                _set_environment(REPLACED)


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
_start, _submit = threading.Thread.start, ThreadPoolExecutor.submit
recorded_by: ContextVar["ThreadRecorder | None"] = ContextVar("durable_execution_recorded_by", default=None)
"""Records the replay of this context line by line, also in the threads that its code starts."""

_is_submitting: ContextVar[bool] = ContextVar("durable_execution_is_submitting", default=False)
"""Whether a pool starts a thread: it keeps its threads, so that the work is waited for and not the thread."""


Replacement = tuple[Any, str, Any, Any]
"""Owner, attribute name, the original, and its replacement during a replay."""


class WatchedFunctions:
    """Records reads of the environment and skips sleeps while any replay runs. Code in other contexts is not affected."""

    def __init__(self) -> None:
        self._replays = 0
        self._replaced: list[Replacement] = []

    def __enter__(self) -> None:
        with _lock:
            self._replays += 1
            if self._replays == 1:
                self._replaced.extend(_replacements())
            else:
                self._replaced.extend(one for one in _names.replacements() if one not in self._replaced)
            for owner, name, _, watching in self._replaced:
                setattr(owner, name, watching)

    def __exit__(self, *_: object) -> None:
        with _lock:
            self._replays -= 1
            if not self._replays:
                for owner, name, original, _ in self._replaced:
                    _put_back(owner, name, original)
                self._replaced.clear()


def _put_back(owner: Any, name: str, original: Any) -> None:
    setattr(owner, name, original)
    if isinstance(owner, type) and any(vars(base).get(name) is original for base in owner.__mro__[1:]):
        delattr(owner, name)  # the attribute was inherited


def _replacements() -> Iterator[Replacement]:
    yield _environ, "__getitem__", _read_variable, _noting_read
    yield _environ, "__iter__", _list_variables, _noting_list
    yield time, "sleep", _sleep, _skipped_sleep
    yield asyncio, "sleep", _sleep_async, _skipped_async_sleep
    yield threading.Thread, "start", _start, _isolated_start
    yield ThreadPoolExecutor, "submit", _submit, _isolated_submit
    if sys.version_info < (3, 12):  # older interpreters raise no audit event for new threads
        yield threading, "_start_new_thread", _start_thread, _watched_start
        yield _thread, "start_new_thread", _start_thread, _watched_start
    for owner, names in SENDERS:
        for name in names:
            original = getattr(owner, name)
            yield owner, name, original, _refusing(original, name)
    yield from _names.replacements()


class ImportedNames:
    """Functions that user modules imported by name, found again when the set of loaded modules changes."""

    def __init__(self) -> None:
        self._modules: frozenset[int] = frozenset()
        self._found: tuple[Replacement, ...] = ()

    def replacements(self) -> tuple[Replacement, ...]:
        """Their replacements, in the modules that are loaded now."""
        modules = frozenset(map(id, sys.modules.values()))
        if self._modules != modules:
            self._modules, self._found = modules, tuple(_bound_in_modules())
        return self._found


def _bound_in_modules() -> Iterator[Replacement]:
    """Find functions that user modules imported by name, such as `from time import sleep`."""
    replacements: dict[int, Any] = {id(_sleep): _skipped_sleep, id(_sleep_async): _skipped_async_sleep}
    if sys.version_info < (3, 12):
        replacements[id(_start_thread)] = _watched_start
    for module, name, value in imported_by_name(replacements):
        yield module, name, value, replacements[id(value)]


SENDERS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (socket.socket, ("send", "sendall", "sendmsg", "recv", "recv_into")),
    (ssl.SSLSocket, ("send", "sendall", "recv", "recv_into")),
)
"""Methods that use a connection opened before the replay: they raise no audit event."""


def _refusing(original: Any, name: str) -> Any:
    @functools.wraps(original)
    def refused(connection: Any, *arguments: Any, **options: Any) -> Any:
        isolation = current.get(None)
        frame = sys._getframe(1)  # noqa: SLF001  # the caller's frame
        if isolation is not None and frame.f_code.co_filename not in LOOP_FILES:
            isolation.block(SuspectKind.NETWORK, f"socket.{name}()", frame)
        return original(connection, *arguments, **options)

    return refused


LOOP_FILES = frozenset({selector_events.__file__})
"""The event loop wakes itself up through a socket."""


def _watched_start(*arguments: Any) -> Any:
    isolation = current.get(None)
    if isolation is not None:
        isolation.on_thread("", (), sys._getframe(1))  # noqa: SLF001  # the caller's frame
    return _start_thread(*arguments)


def _isolated_start(thread: threading.Thread) -> None:
    """Start a thread whose code is judged and watched as the code that starts it."""
    isolation = current.get(None)
    if isolation is None or owner_of_frame(sys._getframe(1)) is Owner.SDK:  # noqa: SLF001  # the caller's frame
        _start(thread)
        return
    if not _is_submitting.get():
        isolation.started(thread)
    thread.run = functools.partial(_run_refused, _Isolated(thread.run))  # type: ignore[method-assign]
    _start(thread)


def _run_refused(run: Callable[[], None]) -> None:
    """Run a thread. A refused effect ends it, as any error would, and is in the report: it is not printed as well."""
    with suppress(SideEffectBlockedError):
        run()


def _isolated_submit(pool: ThreadPoolExecutor, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
    """Give a pool work that is judged and watched as the code that gives it: the pool's threads may be older than a replay."""
    isolation = current.get(None)
    if isolation is None:
        return _submit(pool, function, *arguments, **options)
    _revive(pool)
    token = _is_submitting.set(True)
    try:
        work = _submit(pool, _Isolated(function), *arguments, **options)
    finally:
        _is_submitting.reset(token)
    isolation.submitted(work)
    return work


class _Isolated:
    """A function that a different thread calls: it runs under the isolation and the profile function of this one."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._isolation, self._suspects, self._profile = current.get(None), watched_by.get(), sys.getprofile()
        frame = sys._getframe(2)  # noqa: SLF001  # of the code that starts the thread or gives the work
        self._stack = user_stack(frame)
        self._recorder = recorded_by.get()
        self._started = self._recorder.place_of(frame) if self._recorder is not None else None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        tokens: list[Token[Any]] = [
            current.set(self._isolation),
            watched_by.set(self._suspects),
            begun_at.set(self._stack),
        ]
        profile = sys.getprofile()
        sys.setprofile(self._profile)
        recording = self._recorder.here(self._started) if self._recorder is not None else nullcontext()
        try:
            with recording:
                return self._function(*arguments, **options)
        finally:
            sys.setprofile(profile)
            for token in tokens:
                token.var.reset(token)


THREAD_ENTRIES.add(id(_Isolated.__call__.__code__))


def _revive(pool: Any) -> None:
    """Let a pool that was used at import start new threads: a fork has none of its threads."""
    gone = {thread for thread in pool._threads if not thread.is_alive()}  # noqa: SLF001  # no public access
    if gone:
        pool._threads -= gone  # noqa: SLF001
        pool._idle_semaphore = threading.Semaphore(0)  # noqa: SLF001
        pool._work_queue = queue.SimpleQueue()  # noqa: SLF001


def _skipped_sleep(seconds: float) -> None:
    isolation = current.get(None)
    if isolation is None:
        _sleep(seconds)
    else:
        isolation.note_effect(SuspectKind.SLEEP, f"time.sleep({seconds:g})", sys._getframe(1))  # noqa: SLF001  # the caller's frame


async def _skipped_async_sleep(delay: float, result: Any = None) -> Any:
    isolation = current.get(None)
    if isolation is None or delay <= 0:
        return await _sleep_async(delay, result)
    isolation.note_effect(SuspectKind.SLEEP, f"asyncio.sleep({delay:g})", sys._getframe(1))  # noqa: SLF001  # the caller's frame
    return await _sleep_async(0, result)


def _is_reader(file: str) -> bool:
    return file in READER_FILES or base_name(file).strip("<>") in READERS


def _noting_read(environ: Any, key: str) -> Any:
    isolation = current.get(None)
    if isolation is not None:
        outer: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the caller's frame
        while outer is not None and _is_reader(outer.f_code.co_filename):
            outer = outer.f_back
        if outer is not None and owner_of_frame(outer) in (Owner.USER, Owner.LIBRARY):
            if key in CREDENTIAL_VARIABLES:
                isolation.note_effect(SuspectKind.CREDENTIALS, f"os.environ[{key!r}]", outer)
            else:
                isolation.note(SuspectKind.ENVIRONMENT, f"os.environ[{key!r}]", outer)
        if _credentials.are_shown and key in REPLACED:  # to a body that may act, and not to this code
            if REPLACED[key] is None:
                raise KeyError(key)
            return REPLACED[key]
    return _read_variable(environ, key)


@contextmanager
def variables_read() -> Iterator[dict[str, str | None]]:
    """Collect the environment variables that user code reads in this block, with the text it takes if one is not set."""
    found: dict[str, str | None] = {}

    def noting(environ: Any, key: str) -> Any:
        outer: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the caller's frame
        default: Any = None
        while outer is not None and _is_reader(outer.f_code.co_filename):
            default = outer.f_locals.get("default", default)
            outer = outer.f_back
        if outer is not None and owner_of_frame(outer) is Owner.USER:
            found[key] = default if isinstance(default, str) else found.get(key)
        return _read_variable(environ, key)

    _environ.__getitem__ = noting
    try:
        yield found
    finally:
        _environ.__getitem__ = _read_variable


def _noting_list(environ: Any) -> Any:
    isolation = current.get(None)
    if isolation is not None:
        outer: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the caller's frame
        while outer is not None and _is_reader(outer.f_code.co_filename):
            outer = outer.f_back
        if outer is not None and owner_of_frame(outer) in (Owner.USER, Owner.LIBRARY):
            isolation.note(SuspectKind.ENVIRONMENT, "os.environ", outer)
        if _credentials.are_shown:
            return iter([name for name in _list_variables(environ) if REPLACED.get(name, "") is not None])
    return _list_variables(environ)


_lock = threading.RLock()
_credentials, _functions, _names = HiddenCredentials(), WatchedFunctions(), ImportedNames()
