"""Starts replay processes as forks of an interpreter that has imported the package already.

A new interpreter takes a third of a second to import the package, and the suite starts more than a thousand of them. A fork takes
a hundredth of that, and runs the same `main` from its first line. Tests that are about the start of the process are marked
`new_interpreter`; so is a process whose environment the interpreter reads before any code runs, up to `MOST` of them.
"""

import gc
import importlib
import os
import pickle
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

from durable_execution.replay.workers import supervisor
from durable_execution.replay.workers.channel import KEY_BYTES, Channel

READ_AT_START = ("PYTHON", "LC_", "LANG")
"""Variables that an interpreter reads when it starts: each of their values needs an interpreter of its own."""

LOADED_WHEN_NEEDED = (
    "durable_execution.replay.checks",
    "durable_execution.replay.cause.evidence",
    "durable_execution.replay.cause.explained",
    "durable_execution.replay.reorder",
    "durable_execution.replay.cause.reproduction",
)
"""What a process that replays imports where something differs: most processes of the suite."""

MOST = 6
LENGTH = struct.Struct("!I")
new_process = supervisor.start_process


class WarmInterpreter:
    """A process that has imported the package, and forks.

    Args:
        environ: Its environment.
    """

    def __init__(self, environ: dict[str, str]) -> None:
        self._near, far = socket.socketpair()
        self._lock = threading.Lock()
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve({far.fileno()})"
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=(far.fileno(),),
                env=environ,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def ask(self, request: Any, *descriptors: int) -> int:
        """Ask for a fork's process id, or for an exit code."""
        with self._lock:
            payload = pickle.dumps(request)
            socket.send_fds(self._near, [LENGTH.pack(len(payload))], list(descriptors))
            self._near.sendall(payload)
            return int(pickle.loads(_received(self._near)))

    def close(self) -> None:
        """End it."""
        self._near.close()
        self._process.kill()
        self._process.wait()


class Fork:
    """A fork, in the place of `subprocess.Popen`."""

    def __init__(self, home: WarmInterpreter, pid: int) -> None:
        self._home, self.pid = home, pid
        self.returncode: int | None = None

    def wait(self) -> int:
        """Wait until it has ended."""
        if self.returncode is None:
            self.returncode = self._home.ask(self.pid)
        return self.returncode


class WarmInterpreters:
    """The processes of one test run, by what their interpreters have read."""

    is_on = True

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, str], ...], WarmInterpreter] = {}
        self._lock = threading.Lock()

    def start_process(self, module: str, *, stdout: IO[bytes], env: dict[str, str] | None, **options: Any) -> Any:
        """Start a process as `supervisor.start_process` does."""
        environ = dict(os.environ if env is None else env)
        home = self._home(environ) if self.is_on and module == supervisor.WORKER else None
        if home is None:
            return new_process(module, stdout=stdout, env=env, **options)
        path = [str(Path(entry or ".").absolute()) for entry in sys.path]
        near, far = socket.socketpair()
        key = secrets.token_bytes(KEY_BYTES)
        try:
            with far:
                pid = home.ask((path, environ, str(Path.cwd())), far.fileno(), stdout.fileno())
        except BaseException:
            near.close()
            raise
        with suppress(ConnectionError):
            near.sendall(key)
        return Fork(home, pid), Channel(near, key, is_supervisor=True)

    def _home(self, environ: dict[str, str]) -> WarmInterpreter | None:
        read = tuple(sorted(one for one in environ.items() if one[0].startswith(READ_AT_START)))
        with self._lock:
            if read not in self._known and len(self._known) < MOST:
                self._known[read] = WarmInterpreter(environ)
            return self._known.get(read)

    def close(self) -> None:
        """End them all."""
        for one in self._known.values():
            one.close()
        self._known.clear()


@contextmanager
def warm() -> Iterator[WarmInterpreters]:
    """Let the processes that replay be forks."""
    interpreters = WarmInterpreters()
    supervisor.start_process = interpreters.start_process  # type: ignore[assignment]
    try:
        yield interpreters
    finally:
        supervisor.start_process = new_process
        interpreters.close()


def serve(descriptor: int) -> None:
    """Fork for every request, until the other end is closed."""
    from durable_execution.replay.workers import worker

    worker.replay_something()
    for name in LOADED_WHEN_NEEDED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # or each fork would look through all that was imported, and copy its memory
    connection = socket.socket(fileno=descriptor)
    while True:
        head, descriptors, _, _ = socket.recv_fds(connection, LENGTH.size, 2)
        if not head:
            return
        request = pickle.loads(_received(connection, head))
        if isinstance(request, int):
            _, status = os.waitpid(request, 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = _forked(connection, request, descriptors)
        payload = pickle.dumps(answer)
        connection.sendall(LENGTH.pack(len(payload)) + payload)


def _forked(connection: socket.socket, request: Any, descriptors: list[int]) -> int:
    is_apart, tells = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        os.close(is_apart)
        os.close(tells)
        connection.close()
        _run(*request, *descriptors)
    os.close(tells)
    os.read(is_apart, 1)
    for one in (is_apart, *descriptors):
        os.close(one)
    return pid


def _run(path: list[str], environ: dict[str, str], directory: str, connection: int, output: int) -> NoReturn:
    """Be the process."""
    from durable_execution.replay.workers.worker import main

    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    os.chdir(directory)
    sys.path[:] = path
    sys.argv[:] = ["-c", str(connection)]
    for name in (__name__, __name__.partition(".")[0]):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 1
    try:
        main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else bool(error.code)
    except BaseException:  # noqa: BLE001  # as an interpreter does
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _received(connection: socket.socket, head: bytes = b"") -> bytes:
    while len(head) < LENGTH.size:
        head += _more(connection, LENGTH.size - len(head))
    payload = b""
    while len(payload) < LENGTH.unpack(head)[0]:
        payload += _more(connection, LENGTH.unpack(head)[0] - len(payload))
    return payload


def _more(connection: socket.socket, size: int) -> bytes:
    more = connection.recv(size)
    if not more:
        raise EOFError("the other end is closed")
    return more
