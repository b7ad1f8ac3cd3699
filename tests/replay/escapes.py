"""Ways in which code can act outside of steps; each leaves a mark in a directory, at a server or on a process.

Imported where `ESCAPES` describes the place: in a plain process, which shows that each has an effect, and by replay
workers, where none may have one. What is at module level happens at import, as in users' modules.
"""

# ruff: noqa: PTH103, PTH104, PTH107, PTH123, PTH208, SIM115, LOG001

import _io
import _posixsubprocess
import _socket
import _thread
import asyncio
import atexit
import codecs
import concurrent.futures
import contextvars
import cProfile
import ctypes
import dbm.dumb
import faulthandler
import fcntl
import fileinput
import ftplib
import gc
import gzip
import http.client
import importlib
import io
import json
import logging
import logging.config
import logging.handlers
import lzma
import mailbox
import mmap
import multiprocessing
import multiprocessing.pool
import multiprocessing.resource_tracker
import multiprocessing.shared_memory
import os
import pickle
import posix
import pty
import resource
import runpy
import shelve
import shutil
import signal
import smtplib
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import tarfile
import tempfile
import termios
import threading
import urllib.request
import warnings
import weakref
import zipapp
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
TERMINAL: str = PLACE["terminal"]
FIFO: str = PLACE["fifo"]
SHARED: str = PLACE["shared"]
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
DATABASE: Any = sqlite3.connect(TOP / "held.sqlite")
LOGGED_DATABASE: Any = sqlite3.connect(TOP / "logged.sqlite")
LOGGED_DATABASE.executescript("pragma journal_mode = wal; create table if not exists t (x)")
MEMORY_DATABASE: Any = sqlite3.connect(":memory:")
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
COMPILED_KILL, COMPILED_PRIORITY = _Compiled(("kill", LIBRARY)), _Compiled(("setpriority", LIBRARY))
COMPILED_SOCKET, COMPILED_CONNECT = _Compiled(("socket", LIBRARY)), _Compiled(("connect", LIBRARY))
ADDRESS = struct.pack("=H", socket.AF_INET) + struct.pack(">H", TCP) + socket.inet_aton("127.0.0.1") + bytes(8)
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
    shared_memory=lambda place: os.close(SHM.shm_open(f"/{SHARED}-{os.getpid()}", os.O_CREAT | os.O_RDWR, 0o600)),
    compiled=lambda place: importlib.import_module("py_compile").compile(str(TOP / "module.py"), str(place / "made")),
    attach=lambda place: sqlite3.connect(":memory:").executescript(f"attach '{place}/made' as x; create table x.t (x)"),
    compiled_creat=lambda place: COMPILED_CREAT(str(place / "made").encode(), 0o600),
    compiled_chmod=lambda place: COMPILED_CHMOD(str(place / "there").encode(), 0o600),
    compiled_kill=lambda place: COMPILED_KILL(VICTIM, int(signal.SIGSTOP)),
    compiled_priority=lambda place: COMPILED_PRIORITY(0, VICTIM, os.getpriority(os.PRIO_PROCESS, VICTIM) + 1),
    compiled_connect=lambda place: COMPILED_CONNECT(COMPILED_SOCKET(2, 1, 0), ADDRESS, len(ADDRESS)),
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
    held_logged_database=lambda place: (LOGGED_DATABASE.execute("insert into t values (1)"), LOGGED_DATABASE.commit()),
    held_backup=lambda place: MEMORY_DATABASE.backup(DATABASE),
    held_cursor=lambda place: DATABASE.cursor().executescript(
        "create table if not exists u (x); insert into u values (1)"
    ),
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


def in_interpreter(place: Path) -> None:
    is_old = sys.version_info < (3, 13)
    interpreters = importlib.import_module("_xxsubinterpreters" if is_old else "_interpreters")
    run = interpreters.run_string if is_old else interpreters.exec
    run(interpreters.create(), f"open({str(place / 'made')!r}, 'w').close()")


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
    interpreter=in_interpreter,
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


# hooks of the interpreter and of libraries
def audited(place: Path) -> None:
    """A hook that acts while another hook judges, which looks up frames."""
    is_acting = False

    def hook(event: str, _: Any) -> None:
        nonlocal is_acting
        if not is_acting and event == "sys._getframe":
            is_acting = True
            with suppress(OSError):
                write(place)
            is_acting = False

    sys.addaudithook(hook)
    sys._getframe()
    open(TOP / "module.py", encoding="utf-8").close()


def collected_while_judged(place: Path) -> None:
    """A finalizer that runs while the hook judges: a judge makes objects, and that starts a collection."""
    found = Finalized(place)
    threshold = gc.get_threshold()
    del found
    gc.set_threshold(1)
    try:
        os.listdir(TOP)
    finally:
        gc.set_threshold(*threshold)


def encoded(place: Path) -> None:
    def search(name: str) -> None:
        if name == "escape":
            write(place)

    codecs.register(search)
    with suppress(LookupError):
        "x".encode("escape")


class Finder:
    def __init__(self, place: Path) -> None:
        self.place = place

    def find_spec(self, *_: Any) -> None:
        sys.meta_path.remove(self)
        write(self.place)


def found_by_import(place: Path) -> None:
    sys.meta_path.insert(0, Finder(place))
    with suppress(ImportError):
        importlib.import_module("no_such_module")


class Reduced:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place / "made"),)


def closed_generator(place: Path) -> None:
    def lines() -> Any:
        try:
            yield 1
        finally:
            write(place)

    next(lines())  # it is closed when it is thrown away


async def closed_async_generator(place: Path) -> None:
    async def lines() -> Any:
        try:
            yield 1
        finally:
            write(place)

    found = lines()
    await anext(found)  # pyright: ignore[reportArgumentType]
    await found.aclose()  # pyright: ignore[reportAttributeAccessIssue]


def shown_warning(place: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *_, **__: write(place)
        warnings.warn("x", stacklevel=1)


def unraisable(place: Path) -> None:
    class Failing:
        def __del__(self) -> None:
            raise ValueError("x")

    sys.unraisablehook = lambda _: write(place)
    Failing()


def failed_thread(place: Path) -> None:
    def fail() -> None:
        raise ValueError("x")

    threading.excepthook = lambda _: write(place)
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def at_breakpoint(place: Path) -> None:
    sys.breakpointhook = lambda *_, **__: write(place)
    breakpoint()  # noqa: T100


def reference_gone(place: Path) -> None:
    KEPT.append(weakref.ref(Referred(), lambda _: write(place)))


KEPT: list[Any] = []


def log_configured(place: Path) -> None:
    handler = {"class": "logging.handlers.RotatingFileHandler", "filename": str(place / "made")}
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "handlers": {"file": handler}})


def edited_in_place(place: Path) -> None:
    with fileinput.input(place / "there", inplace=True) as lines:
        for line in lines:
            sys.stdout.write(line.upper())


def run_script(place: Path) -> None:
    os.environ["ESCAPE_TO"] = str(place / "made")
    runpy.run_path(str(TOP / "escape_at_import.py"))


def unpacked(place: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("made", "x")
    zipfile.ZipFile(packed).extractall(place)


def kept_mail(place: Path) -> None:
    box = mailbox.mbox(place / "made")
    box.add("Subject: x\n\nx")
    box.close()


def vacuumed(place: Path) -> None:
    database = sqlite3.connect(":memory:")
    database.executescript("create table t (x)")
    database.execute("vacuum into ?", (str(place / "made"),))


def bound_path(place: Path) -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).bind(str(place / "made"))


async def unix_server(place: Path) -> None:
    server = await asyncio.start_unix_server(lambda *_: None, place / "made")
    server.close()


def in_directory(place: Path) -> int:
    return os.open(place, os.O_RDONLY | os.O_DIRECTORY)


def shared_block(place: Path) -> None:
    block = multiprocessing.shared_memory.SharedMemory(f"{SHARED}-block-{os.getpid()}", create=True, size=16)
    block.close()
    multiprocessing.resource_tracker.unregister(f"/{block.name}", "shared_memory")


def log_to(handler: logging.Handler) -> None:
    handler.emit(logging.makeLogRecord({"msg": "x"}))
    handler.close()


def descriptor_sent() -> None:
    client = socket.socket(fileno=os.dup(CONNECTED.fileno()))
    client.send(b"x")
    client.close()


async def sent_by_loop(place: Path) -> None:
    with CONNECTED.dup() as duplicate:
        duplicate.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(duplicate, b"x")


async def sent_by_transport(place: Path) -> None:
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=CONNECTED.dup())
    transport.write(b"x")
    transport.close()
    await asyncio.sleep(0)


def greeted(place: Path) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with CONNECTED.dup() as duplicate:
        duplicate.setblocking(False)
        with suppress(ssl.SSLError, OSError):
            context.wrap_socket(duplicate, do_handshake_on_connect=False).do_handshake()


def spliced(place: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"changed")
    os.splice(reading, HELD_BYTES.fileno(), 7)


def mapped_held(place: Path) -> None:
    with mmap.mmap(HELD_BYTES.fileno(), 0) as mapped:
        mapped[0:7] = b"changed"


def moved_into_mapping(place: Path) -> None:
    target = ctypes.addressof(ctypes.c_char.from_buffer(MAPPED))
    ctypes.memmove(target, b"changed", 7)


def traceback_later(place: Path) -> None:
    faulthandler.dump_traceback_later(0.01, file=HELD)
    threading.Event().wait(0.3)


CREAT_ADDRESS = ctypes.cast(CREAT, ctypes.c_void_p).value
CREAT_KIND: Any = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
HELD_PROTOTYPE = CREAT_KIND(CREAT_ADDRESS)
SIGNALS: list[Path] = []


def on_signal(*_: Any) -> None:
    write(SIGNALS[-1])


signal.signal(signal.SIGUSR2, on_signal)
signal.signal(signal.SIGALRM, on_signal)


def signalled(place: Path) -> None:
    SIGNALS.append(place)
    signal.raise_signal(signal.SIGUSR2)


def alarmed(place: Path) -> None:
    SIGNALS.append(place)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    threading.Event().wait(0.3)


def forgotten(place: Path) -> None:
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.submit(write, place)
    pool.shutdown(wait=False)


def forgotten_thread(place: Path) -> None:
    threading.Thread(target=write, args=(place,)).start()


def initialized_pool(place: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(1, initializer=write, initargs=(place,)) as pool:
        pool.submit(int)


def process_pool(place: Path) -> None:
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        pool.submit(write, place).result()


def thread_pool(place: Path) -> None:
    with multiprocessing.pool.ThreadPool(1) as pool:
        pool.apply(write, (place,))


ENDED_POOL = concurrent.futures.ThreadPoolExecutor(1)
ENDED_POOL.submit(int).result()
ENDED_POOL.shutdown()
HELD_POOL = concurrent.futures.ThreadPoolExecutor(1)


acts(
    audit_hook=audited,
    collected_while_judged=collected_while_judged,
    codec=encoded,
    import_hook=found_by_import,
    reduced=lambda place: pickle.loads(pickle.dumps(Reduced(place))),
    closed_generator=closed_generator,
    closed_async_generator=closed_async_generator,
    shown_warning=shown_warning,
    unraisable=unraisable,
    failed_thread=failed_thread,
    at_breakpoint=at_breakpoint,
    reference_gone=reference_gone,
    held_signal=signalled,
    held_alarm=alarmed,
    log_configured=log_configured,
    edited_in_place=edited_in_place,
    run_script=run_script,
    unpacked=unpacked,
    kept_mail=kept_mail,
    zip_application=lambda place: zipapp.create_archive(place / "empty", place / "made", main="a:b"),
    profile=lambda place: cProfile.Profile().dump_stats(place / "made"),
    python_open=lambda place: importlib.import_module("_pyio").open(str(place / "made"), "w").close(),
    fault_log=lambda place: faulthandler.enable(open(place / "made", "w")),
    vacuum=vacuumed,
    bind_unix=bound_path,
    unix_server=unix_server,
    mkdir_in=lambda place: os.mkdir("made", dir_fd=in_directory(place)),
    unlink_in=lambda place: os.unlink("there", dir_fd=in_directory(place)),
    rename_in=lambda place: os.rename("there", "made", src_dir_fd=in_directory(place), dst_dir_fd=in_directory(place)),
    symlink_in=lambda place: os.symlink("there", "made", dir_fd=in_directory(place)),
    fchown=lambda place: os.fchown(os.open(place / "there", os.O_RDONLY), os.getuid(), os.getgid()),
    futimens=lambda place: os.utime(os.open(place / "there", os.O_RDONLY), (1, 1)),
    fsetxattr=lambda place: os.setxattr(os.open(place / "there", os.O_RDONLY), "user.y", b"1"),
    shared_block=shared_block,
    limits=lambda place: resource.prlimit(VICTIM, resource.RLIMIT_CORE, (0, 0)),
    syslog=lambda place: log_to(logging.handlers.SysLogHandler(("127.0.0.1", UDP))),
    log_socket=lambda place: log_to(logging.handlers.SocketHandler("127.0.0.1", TCP)),
    held_descriptor=lambda place: descriptor_sent(),
    held_sendall_by_loop=sent_by_loop,
    held_transport=sent_by_transport,
    held_handshake=greeted,
    held_splice=spliced,
    held_mmap=mapped_held,
    held_memmove=moved_into_mapping,
    held_view=lambda place: memoryview(MAPPED).__setitem__(slice(0, 7), b"changed"),
    held_traceback_later=traceback_later,
    held_prototype=lambda place: HELD_PROTOTYPE(str(place / "made").encode(), 0o600),
    new_prototype=lambda place: CREAT_KIND(CREAT_ADDRESS)(str(place / "made").encode(), 0o600),
    interpreter=lambda place: ctypes.pythonapi.PyRun_SimpleString(f"open({str(place / 'made')!r}, 'w')".encode()),
    forgotten_work=forgotten,
    forgotten_thread=forgotten_thread,
    initialized_pool=initialized_pool,
    process_pool=process_pool,
    thread_pool=thread_pool,
    held_pool=lambda place: HELD_POOL.submit(write, place).result(),
)


# without a descriptor that can be written to
def flagged(place: Path) -> None:
    descriptor = os.open(place / "there", os.O_RDONLY)
    flags = struct.unpack("l", fcntl.ioctl(descriptor, GET_FLAGS, bytes(8)))[0]
    fcntl.ioctl(descriptor, SET_FLAGS, struct.pack("l", flags ^ NO_DUMP))


GET_FLAGS, SET_FLAGS, NO_DUMP = 0x80086601, 0x40086602, 0x40
HELD_TERMINAL = os.open(TERMINAL, os.O_RDONLY | os.O_NOCTTY)


def silenced(descriptor: int) -> None:
    attributes = termios.tcgetattr(descriptor)
    attributes[3] ^= termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def resized(descriptor: int) -> None:
    rows, *_ = struct.unpack("HHHH", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows + 1, 80, 0, 0))


def unauthorized(place: Path) -> None:
    database = sqlite3.connect(":memory:")
    database.set_authorizer(None)
    database.executescript(f"attach '{place}/made' as x; create table x.t (x)")


def authorized_otherwise(place: Path) -> None:
    database = sqlite3.connect(":memory:")
    database.set_authorizer(lambda *_: 0)
    database.executescript(f"attach '{place}/made' as x; create table x.t (x)")


def slowed(place: Path) -> None:
    unwrapped: Any = getattr(os.setpriority, "__wrapped__", os.setpriority)
    unwrapped(os.PRIO_PROCESS, VICTIM, os.getpriority(os.PRIO_PROCESS, VICTIM) + 1)


def attached(database: Any, place: Path) -> None:
    database.executescript(f"attach '{place}/made' as x; create table x.t (x)")


acts(
    flags=flagged,
    terminal=lambda place: silenced(os.open(TERMINAL, os.O_RDONLY | os.O_NOCTTY)),
    terminal_size=lambda place: resized(os.open(TERMINAL, os.O_RDONLY | os.O_NOCTTY)),
    held_terminal=lambda place: silenced(HELD_TERMINAL),
    held_terminal_size=lambda place: resized(HELD_TERMINAL),
    read_pipe=lambda place: os.read(os.open(FIFO, os.O_RDONLY | os.O_NONBLOCK), 1),
    logged_from_now_on=lambda place: DATABASE.execute("pragma journal_mode = wal"),
    attach_to_class=lambda place: attached(sqlite3.Connection(":memory:"), place),
    attach_to_base=lambda place: attached(importlib.import_module("_sqlite3").connect(":memory:"), place),
    attach_unauthorized=unauthorized,
    attach_authorized=authorized_otherwise,
    unwrapped=slowed,
)


# the control: no effect at all
acts(nothing=lambda place: None)
