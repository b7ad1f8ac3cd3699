"""Ways in which code can act outside of steps; each leaves a mark in a directory, at a server or on a process.

Imported where `ESCAPES` describes the place: in a plain process, which shows that each has an effect, and by replay
workers, where none may have one. What is at module level happens at import, as in users' modules.
"""

# ruff: noqa: PTH103, PTH104, PTH107, PTH123, SIM115, LOG001

import _io
import _posixsubprocess
import _socket
import _thread
import asyncio
import atexit
import concurrent.futures
import contextvars
import ctypes
import dbm.dumb
import ftplib
import gc
import gzip
import http.client
import importlib
import json
import logging
import lzma
import mmap
import multiprocessing
import os
import posix
import pty
import shelve
import shutil
import signal
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import urllib.request
import weakref
import zipfile
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

PLACE: dict[str, Any] = json.loads(os.environ["ESCAPES"])
TOP = Path(PLACE["directory"])
VICTIM: int = PLACE["victim"]
TCP: int = PLACE["tcp"]
UDP: int = PLACE["udp"]
UNIX: str = PLACE["unix"]
SECONDS = 0.2

ACTS: dict[str, Callable[[Path], Any]] = {}


def act(function: Callable[[Path], Any]) -> Callable[[Path], Any]:
    ACTS[function.__name__] = function
    return function


def acts(**functions: Callable[[Path], Any]) -> None:
    ACTS.update(functions)


# what a module may hold on to since its import
HELD: Any = open(TOP / "held.txt", "a+", encoding="utf-8")
HELD_BYTES = open(TOP / "held.bin", "r+b", buffering=0)
LOGGER = logging.Logger("held")
LOGGER.addHandler(logging.FileHandler(TOP / "held.log"))
DATABASE: Any = sqlite3.connect(TOP / "held.sqlite", check_same_thread=False)
MAPPED_FILE = open(TOP / "mapped.bin", "r+b")
MAPPED: Any = mmap.mmap(MAPPED_FILE.fileno(), 0)
CONNECTED: Any = socket.create_connection(("127.0.0.1", TCP)) if PLACE["is_connected"] else None
DATAGRAMS = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if PLACE["is_connected"]:
    DATAGRAMS.connect(("127.0.0.1", UDP))
SHELL: Any = subprocess.Popen(["/bin/sh"], stdin=subprocess.PIPE, bufsize=0)
LIBRARY = ctypes.CDLL(None)
CREAT, CHMOD, KILL = LIBRARY.creat, LIBRARY.chmod, LIBRARY.kill
PYTHON_CHMOD = ctypes.pythonapi.chmod


_PLAIN_FUNCTION: Any = vars(ctypes)["_CFuncPtr"].__mro__[-3]


class _Compiled(_PLAIN_FUNCTION):  # type: ignore[misc]  # a class of ctypes
    """A C function that is called as code of a compiled extension calls it: without a word to the interpreter."""

    _flags_, _restype_ = 1, ctypes.c_int


COMPILED_CREAT, COMPILED_CHMOD = _Compiled(("creat", LIBRARY)), _Compiled(("chmod", LIBRARY))
ASKED: Any = threading.Event()
SHM: Any = importlib.import_module("_posixshmem")
POSIX_OPEN, PLAIN_OPEN = posix.open, _io.open


def wait_and_write() -> None:
    ASKED.wait()
    (TOP / "from-thread").write_text("x", encoding="utf-8")


THREAD: Any = threading.Thread(target=wait_and_write, daemon=True)
THREAD.start()


def write(place: Path) -> None:
    (place / "made").write_text("x", encoding="utf-8")


def spoofed(place: Path, filename: str) -> None:
    exec(compile("open(path, 'w').close()", filename, "exec"), {"path": str(place / "made"), "open": PLAIN_OPEN})


def quietly(function: Callable[[Path], Any]) -> Callable[[Path], Any]:
    def caught(place: Path) -> None:
        with suppress(BaseException):
            function(place)

    return caught


# files, by path
acts(
    open_w=lambda place: open(place / "made", "w").close(),
    open_a=lambda place: open(place / "made", "a").close(),
    open_x=lambda place: open(place / "made", "x").close(),
    open_r_plus=lambda place: open(place / "there", "r+").write("changed"),
    open_quietly=quietly(write),
    raw_open=lambda place: os.write(os.open(place / "made", os.O_CREAT | os.O_WRONLY), b"x"),
    open_relative=lambda place: os.open("made", os.O_CREAT | os.O_WRONLY, dir_fd=os.open(place, os.O_RDONLY)),
    posix_open=lambda place: POSIX_OPEN(place / "made", os.O_CREAT | os.O_WRONLY),
    io_open=lambda place: _io.open(place / "made", "w").close(),
    file_io=lambda place: _io.FileIO(str(place / "made"), "w").close(),
    opener=lambda place: open(
        place / "made", "w", opener=lambda path, flags: os.open(path, flags | os.O_CREAT)
    ).close(),
    write_text=lambda place: (place / "made").write_text("x"),
    write_bytes=lambda place: (place / "made").write_bytes(b"x"),
    touch=lambda place: (place / "made").touch(),
    mkdir=lambda place: (place / "made").mkdir(),
    makedirs=lambda place: os.makedirs(place / "made" / "more"),
    rmdir=lambda place: (place / "empty").rmdir(),
    unlink=lambda place: (place / "there").unlink(),
    remove=lambda place: os.remove(place / "there"),
    removedirs=lambda place: os.removedirs(place / "empty"),
    rename=lambda place: os.rename(place / "there", place / "made"),
    renames=lambda place: os.renames(place / "there", place / "made" / "x"),
    replace=lambda place: (place / "there").replace(place / "made"),
    hardlink=lambda place: os.link(place / "there", place / "made"),
    symlink=lambda place: (place / "made").symlink_to("there"),
    truncate=lambda place: os.truncate(place / "there", 1),
    chmod=lambda place: (place / "there").chmod(0o600),
    fchmod=lambda place: os.fchmod(os.open(place / "there", os.O_RDONLY), 0o600),
    chown=lambda place: os.chown(place / "there", os.getuid(), os.getgid()),
    utime=lambda place: os.utime(place / "there", (1, 1)),
    setxattr=lambda place: os.setxattr(place / "there", "user.x", b"1"),
    mkfifo=lambda place: os.mkfifo(place / "made"),
    posix_mkfifo=lambda place: posix.mkfifo(place / "made"),
    mknod=lambda place: os.mknod(place / "made"),
    copyfile=lambda place: shutil.copyfile(place / "there", place / "made"),
    copytree=lambda place: shutil.copytree(place / "empty", place / "made"),
    move=lambda place: shutil.move(place / "there", place / "made"),
    rmtree=lambda place: shutil.rmtree(place / "empty"),
    make_archive=lambda place: shutil.make_archive(str(place / "made"), "zip", place / "empty"),
    mkstemp=lambda place: tempfile.mkstemp(dir=place),
    mkdtemp=lambda place: tempfile.mkdtemp(dir=place),
    temporary=lambda place: tempfile.NamedTemporaryFile(dir=place, delete=False).close(),
    sqlite=lambda place: sqlite3.connect(place / "made").execute("create table t (x)"),
    dbm=lambda place: dbm.dumb.open(str(place / "made"), "c").close(),
    shelf=lambda place: shelve.open(str(place / "made")).close(),
    zip=lambda place: zipfile.ZipFile(place / "made", "w").close(),
    tar=lambda place: tarfile.open(place / "made", "w").close(),
    gzip=lambda place: gzip.open(place / "made", "w").close(),
    lzma=lambda place: lzma.open(place / "made", "w").close(),
    log_file=lambda place: logging.FileHandler(place / "made").close(),
    proc_self_fd=lambda place: open(f"/proc/self/fd/{os.open(place / 'there', os.O_RDONLY)}", "w").write("x"),
    shared_memory=lambda place: os.close(SHM.shm_open(f"/escape-{os.getpid()}", os.O_CREAT | os.O_RDWR, 0o600)),
    compiled=lambda place: importlib.import_module("py_compile").compile(str(TOP / "module.py"), str(place / "made")),
    attach=lambda place: sqlite3.connect(":memory:").executescript(f"attach '{place}/made' as x; create table x.t (x)"),
    compiled_creat=lambda place: COMPILED_CREAT(str(place / "made").encode(), 0o600),
    compiled_chmod=lambda place: COMPILED_CHMOD(str(place / "there").encode(), 0o600),
    keylog=lambda place: setattr(ssl.create_default_context(), "keylog_filename", str(place / "made")),
)


# what was open already
acts(
    held_text=lambda place: (HELD.write("x"), HELD.flush()),
    held_print=lambda place: print("x", file=HELD, flush=True),
    held_write=lambda place: os.write(HELD_BYTES.fileno(), b"changed"),
    held_pwrite=lambda place: os.pwrite(HELD_BYTES.fileno(), b"changed", 0),
    held_writev=lambda place: os.writev(HELD_BYTES.fileno(), [b"cha", b"nged"]),
    held_ftruncate=lambda place: HELD_BYTES.truncate(1),
    held_fallocate=lambda place: os.posix_fallocate(HELD_BYTES.fileno(), 0, 100),
    held_sendfile=lambda place: os.sendfile(HELD_BYTES.fileno(), os.open(TOP / "module.py", os.O_RDONLY), 0, 4),
    held_copy_range=lambda place: os.copy_file_range(os.open(TOP / "module.py", os.O_RDONLY), HELD_BYTES.fileno(), 4),
    held_fdopen=lambda place: os.fdopen(os.dup(HELD_BYTES.fileno()), "wb").write(b"changed"),
    held_traceback=lambda place: importlib.import_module("faulthandler").dump_traceback(HELD),
    held_fchmod=lambda place: os.fchmod(HELD_BYTES.fileno(), 0o600),
    held_log=lambda place: LOGGER.error("x"),
    held_database=lambda place: (DATABASE.execute("insert into t values (1)"), DATABASE.commit()),
    held_mapping=lambda place: (MAPPED.__setitem__(0, 1), MAPPED.flush()),
    held_shell=lambda place: (SHELL.stdin.write(f"touch {place}/made\nexit\n".encode()), SHELL.wait(5)),
    held_send=lambda place: CONNECTED.sendall(b"x"),
    held_send_raw=lambda place: _socket.socket.send(CONNECTED, b"x"),
    held_send_descriptor=lambda place: os.write(CONNECTED.fileno(), b"x"),
    held_sendmsg=lambda place: CONNECTED.sendmsg([b"x"]),
    held_makefile=lambda place: CONNECTED.makefile("wb", buffering=0).write(b"x"),
    held_datagram=lambda place: DATAGRAMS.send(b"x"),
    held_datagram_write=lambda place: os.write(DATAGRAMS.fileno(), b"x"),
    held_thread=lambda place: (ASKED.set(), THREAD.join(5)),
    held_creat=lambda place: CREAT(str(place / "made").encode(), 0o600),
    held_chmod=lambda place: CHMOD(str(place / "there").encode(), 0o600),
    held_python_chmod=lambda place: PYTHON_CHMOD(str(place / "there").encode(), 0o600),
    held_kill=lambda place: KILL(VICTIM, int(signal.SIGSTOP)),
)


# programs and processes
def in_fork(place: Path) -> None:
    pid = os.fork()
    if not pid:
        write(place)
        os._exit(0)
    os.waitpid(pid, 0)


def in_forkpty(place: Path) -> None:
    pid, _ = os.forkpty()
    if not pid:
        write(place)
        os._exit(0)
    os.waitpid(pid, 0)


def fork_exec(place: Path) -> None:
    reading, writing = os.pipe()
    arguments = [b"/bin/touch", str(place / "made").encode()]
    more: list[Any] = [arguments, (b"/bin/touch",), True, (), None, None, -1, -1, -1, -1, -1, -1, reading, writing]
    more += [False, False, *([-1] if sys.version_info >= (3, 11) else []), None, None, None, -1, None, False]
    os.waitpid(_posixsubprocess.fork_exec(*more), 0)


def in_process(place: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=write, args=(place,))
    process.start()
    process.join()


async def in_program(place: Path) -> None:
    process = await asyncio.create_subprocess_exec("/bin/touch", str(place / "made"))
    await process.wait()


acts(
    run=lambda place: subprocess.run(["/bin/touch", place / "made"], check=False),
    popen=lambda place: os.popen(f"touch {place}/made").close(),
    system=lambda place: os.system(f"touch {place}/made"),
    posix_spawn=lambda place: os.waitpid(os.posix_spawn("/bin/touch", ["touch", str(place / "made")], {}), 0),
    spawnv=lambda place: os.spawnv(os.P_WAIT, "/bin/touch", ["touch", str(place / "made")]),
    execv=lambda place: os.execv("/bin/touch", ["touch", str(place / "made")]),
    pty_spawn=lambda place: pty.spawn(["/bin/touch", str(place / "made")]),
    fork=in_fork,
    forkpty=in_forkpty,
    fork_exec=fork_exec,
    process=in_process,
    program=in_program,
    kill=lambda place: os.kill(VICTIM, signal.SIGSTOP),
    priority=lambda place: os.setpriority(os.PRIO_PROCESS, VICTIM, os.getpriority(os.PRIO_PROCESS, VICTIM) + 1),
    killpg=lambda place: os.killpg(VICTIM, signal.SIGSTOP),
    pidfd=lambda place: signal.pidfd_send_signal(os.pidfd_open(VICTIM), signal.SIGSTOP),
    dlopen=lambda place: ctypes.CDLL(None).creat(str(place / "made").encode(), 0o600),
    dlsym=lambda place: LIBRARY.mkdir(str(place / "made").encode(), 0o700),
)


# the network
async def open_connection(place: Path) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", TCP)
    writer.close()


async def datagram_endpoint(place: Path) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", UDP))
    transport.sendto(b"x")
    transport.close()


def connect_raw(place: Path) -> None:
    _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM).connect(("127.0.0.1", TCP))


def connect_unix(path: str) -> None:
    socket.socket(socket.AF_UNIX).connect(path)


acts(
    connect=lambda place: socket.create_connection(("127.0.0.1", TCP)).close(),
    connect_raw=connect_raw,
    connect_ex=lambda place: socket.socket().connect_ex(("127.0.0.1", TCP)),
    connect_unix=lambda place: connect_unix(UNIX),
    connect_abstract=lambda place: connect_unix("\0" + UNIX),
    sendto=lambda place: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", UDP)),
    urlopen=quietly(lambda place: urllib.request.urlopen(f"http://127.0.0.1:{TCP}", timeout=SECONDS)),
    http=lambda place: http.client.HTTPConnection("127.0.0.1", TCP).connect(),
    smtp=quietly(lambda place: smtplib.SMTP("127.0.0.1", TCP, timeout=SECONDS)),
    ftp=quietly(lambda place: ftplib.FTP().connect("127.0.0.1", TCP, timeout=SECONDS)),
    client=quietly(lambda place: Client(UNIX)),
    open_connection=open_connection,
    datagram_endpoint=datagram_endpoint,
)


# by other threads, in other contexts, at other times
def in_pool(place: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(write, place).result()


def in_thread(place: Path) -> None:
    thread = threading.Thread(target=write, args=(place,))
    thread.start()
    thread.join()


def in_raw_thread(place: Path) -> None:
    done: Any = threading.Event()

    def run() -> None:
        write(place)
        done.set()

    _thread.start_new_thread(run, ())
    done.wait(5)


def in_timer(place: Path) -> None:
    timer = threading.Timer(0, write, (place,))
    timer.start()
    timer.join()


async def in_task(place: Path) -> None:
    async def later() -> None:
        write(place)

    await asyncio.get_running_loop().create_task(later(), context=contextvars.Context())


async def in_callback(place: Path) -> None:
    asyncio.get_running_loop().call_soon(write, place, context=contextvars.Context())
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class Finalized:
    def __init__(self, place: Path) -> None:
        self.place, self.own = place, self

    def __del__(self) -> None:
        write(self.place)


class Referred:
    pass


def finalize(place: Path) -> None:
    weakref.finalize(Referred(), write, place)


def on_collection(place: Path) -> None:
    def callback(*_: Any) -> None:
        gc.callbacks.remove(callback)
        write(place)

    gc.callbacks.append(callback)
    gc.collect()


def profiled(place: Path) -> None:
    def profile(*_: Any) -> None:
        sys.setprofile(None)
        write(place)

    sys.setprofile(profile)
    len("x")


def traced(place: Path) -> None:
    def trace(*_: Any) -> None:
        sys.settrace(None)
        write(place)

    sys.settrace(trace)
    quietly(len)  # type: ignore[arg-type]  # any call


def imported(place: Path) -> None:
    sys.path.insert(0, str(TOP))
    os.environ["ESCAPE_TO"] = str(place / "made")
    importlib.import_module("escape_at_import")


acts(
    thread=in_thread,
    raw_thread=in_raw_thread,
    timer=in_timer,
    pool=in_pool,
    executor=lambda place: asyncio.get_running_loop().run_in_executor(None, write, place),
    to_thread=lambda place: asyncio.to_thread(write, place),
    context=lambda place: contextvars.Context().run(write, place),
    task=in_task,
    callback=in_callback,
    finalizer=lambda place: [Finalized(place)].clear(),
    weak_finalizer=finalize,
    at_exit=lambda place: [atexit.register(write, place)].clear(),
    on_collection=on_collection,
    profiled=profiled,
    traced=traced,
    imported=imported,
    exec=lambda place: exec("write(place)", {"write": write, "place": place}),
    spoofed_sdk=lambda place: spoofed(place, sys.modules["durable_execution"].__file__ or ""),
    spoofed_library=lambda place: spoofed(place, os.__file__),
    spoofed_import=lambda place: spoofed(place, "<frozen importlib._bootstrap>"),
)

# the control: no effect at all
acts(nothing=lambda place: None)
