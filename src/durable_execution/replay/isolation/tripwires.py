"""Replaces descriptors that were opened before a replay, so that what is written through them is harmless and noticed.

A log file or a connection that a module opened when it was imported stays usable, and no audit event reports its use. In
the process that replays, a file becomes a copy in memory, and a connection one whose other end is not served.
"""

import ctypes
import fcntl
import mmap
import os
import select
import socket
import stat
import struct
import termios
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")
FACTS = Path("/proc/self/fdinfo")
MAPPINGS = Path("/proc/self/maps")
MAX_COPIED = 64 << 20
HARMLESS_DEVICES = frozenset({"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"})
MEMORY_FILES = ("/memfd:", "/dev/zero", "/SYSV", "/[")
POLL = "anon_inode:[eventpoll]"
CREDENTIALS = struct.Struct("iII")
EVENT_COUNTER = "anon_inode:[eventfd]"
MAP_FIXED = 0x10


@dataclass(slots=True)
class Tripwire:
    """A descriptor that was replaced.

    Attributes:
        name: What it was: the file's path, or `a connection`.
        is_file: Whether it is a copy of a file in memory.
        watched: The descriptor to look at: the copy, or the other end of the connection.
        is_internal: Whether both ends are in this process: what nothing here reads was for another process.
    """

    name: str
    is_file: bool
    watched: int
    is_internal: bool = False

    def written(self) -> bool:
        """Whether something was written since the last look, or the descriptor was closed."""
        try:
            if self.is_internal:
                unread = array("i", [0])
                fcntl.ioctl(self.watched, termios.FIONREAD, unread)
                return unread[0] > 0
            if self.is_file:
                is_touched = os.fstat(self.watched).st_mtime_ns != 0
                os.utime(self.watched, ns=(0, 0))
                return is_touched
            return bool(os.read(self.watched, MAX_COPIED))
        except BlockingIOError:
            return False
        except OSError:
            return True


@dataclass(slots=True)
class EventCounter:
    """An `eventfd` that was replaced.

    Attributes:
        watched: A descriptor of the replacement.
        count: Its events at the last look.
        name: What it was.
        is_file: It is not one.
    """

    watched: int
    count: int
    name: str = "an event counter"
    is_file: bool = False

    def written(self) -> bool:
        """Whether events were added or taken since the last look."""
        was, self.count = self.count, _count(self.watched)
        return self.count != was


def has_tripwires() -> bool:
    """Whether this system tells which descriptors are open."""
    return DESCRIPTORS.is_dir()


def set_tripwires(kept: Iterable[int], *, watches_pairs: bool = False) -> list[Tripwire | EventCounter]:
    """Replace every open file, pipe and connection of this process.

    Args:
        kept: Descriptors to leave as they are.
        watches_pairs: Whether another process may have an end of the pipes and pairs of sockets that are open at both ends.

    Returns:
        What was replaced and can be written to. Empty where the system has no `/proc`.
    """
    if not has_tripwires():
        return []
    left_alone = {0, 1, 2, *kept}
    listed = sorted(int(entry.name) for entry in DESCRIPTORS.iterdir())
    still_open = [descriptor for descriptor in listed if descriptor not in left_alone and _is_open(descriptor)]
    internal = dict(_internal(still_open))
    pairs = [wire for group in internal.values() for wire in _replace_internal(group)]
    wires: list[Tripwire | EventCounter] = [*pairs] if watches_pairs else []
    done = {descriptor for group in internal.values() for ends in group for descriptor in ends}
    wires += [wire for descriptor in still_open if descriptor not in done for wire in _replace(descriptor)]
    for descriptor in still_open:  # last: they watch the others
        if os.readlink(DESCRIPTORS / str(descriptor)) == POLL:  # noqa: PTH115  # the text, which names nothing
            _replace_poll(descriptor)
    return wires


Ends = tuple[list[int], list[int]]
"""The descriptors of the two ends of a pipe or a pair of sockets; those of a pipe's reading end are the first."""


def _internal(descriptors: Iterable[int]) -> Iterator[tuple[int, Ends]]:
    """Yield the pipes and pairs of sockets of which both ends are here, such as what wakes an event loop."""
    pipes: dict[int, Ends] = {}
    sockets: dict[int, list[int]] = {}
    for descriptor in descriptors:
        found = os.fstat(descriptor)
        if stat.S_ISFIFO(found.st_mode):
            access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
            pipes.setdefault(found.st_ino, ([], []))[access != os.O_RDONLY].append(descriptor)
        elif stat.S_ISSOCK(found.st_mode) and _is_paired(descriptor):
            sockets.setdefault(found.st_ino, []).append(descriptor)
    yield from ((number, ends) for number, ends in pipes.items() if all(ends))
    taken: set[int] = set()
    for number, first in sorted(sockets.items()):
        if number not in taken and number + 1 in sockets:  # the kernel numbers both ends of a pair at once
            taken.add(number + 1)
            yield number, (first, sockets[number + 1])


def _is_paired(descriptor: int) -> bool:
    """Whether a socket was made by this process or the one it was forked from, together with its other end."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as duplicate:
        if duplicate.family != socket.AF_UNIX or duplicate.getsockname() or duplicate.getpeername():
            return False
        maker = duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        return CREDENTIALS.unpack(maker)[0] in (os.getpid(), os.getppid())
    return False


def _replace_internal(ends: Ends) -> list[Tripwire]:
    """Replace both ends by two that are connected, so that the code can still talk to itself."""
    first, second = ends
    is_pipe = stat.S_ISFIFO(os.fstat(first[0]).st_mode)
    if is_pipe:
        near, far = os.pipe()
    else:
        with socket.socket(fileno=os.dup(first[0])) as duplicate:
            near, far = (one.detach() for one in socket.socketpair(socket.AF_UNIX, duplicate.type))
    for new, old in ((near, first), (far, second)):
        for descriptor in old:
            is_blocking = os.get_blocking(descriptor)
            os.dup2(new, descriptor, inheritable=False)
            os.set_blocking(descriptor, is_blocking)
        os.close(new)
    watched = [first[0]] if is_pipe else [first[0], second[0]]
    name = "a pipe or a pair of sockets"
    return [Tripwire(name, is_file=False, watched=os.dup(one), is_internal=True) for one in watched]


def _replace_poll(descriptor: int) -> None:
    """Replace what watches descriptors: it still watches those of the process that imported the handler."""
    text = (FACTS / str(descriptor)).read_text(encoding="ascii")
    with select.epoll() as poll:
        for line in text.splitlines():
            words = line.split()
            if words[:1] == ["tfd:"] and words[2:3] == ["events:"]:
                with suppress(OSError):
                    poll.register(int(words[1]), int(words[3], 16))
        os.dup2(poll.fileno(), descriptor, inheritable=False)


@dataclass(slots=True)
class SharedMapping:
    """A file that was mapped so that what is written to memory reaches it; no layer sees such a write.

    Attributes:
        name: The file's path.
        start: Its address.
        size: Its size in bytes.
        offset: Where in the file it begins.
        is_file: Whether it is a file; else it is memory that processes share, which has no path.
        checksum: Of its content, once it is private.
    """

    name: str
    start: int
    size: int
    offset: int
    is_file: bool = True
    checksum: int = 0

    def make_private(self) -> bool:
        """Replace it by a copy of this process's own. Returns whether that was possible."""
        library = ctypes.CDLL(None, use_errno=True)
        library.mmap.restype = ctypes.c_void_p
        if not self.is_file:
            return self._copy_memory(library)
        try:
            file = os.open(self.name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            wanted = mmap.PROT_READ | mmap.PROT_WRITE
            private = mmap.MAP_PRIVATE | MAP_FIXED
            found = library.mmap(
                ctypes.c_void_p(self.start),
                ctypes.c_size_t(self.size),
                wanted,
                private,
                file,
                ctypes.c_long(self.offset),
            )
        finally:
            os.close(file)
        self.checksum = self._sum()
        return bool(found == self.start)

    def _copy_memory(self, library: ctypes.CDLL) -> bool:
        """Copy memory that has no path: processes that replay would see each other's changes."""
        if self.size > MAX_COPIED:
            return False
        content = ctypes.string_at(self.start, self.size)
        wanted, own = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED
        found = library.mmap(ctypes.c_void_p(self.start), ctypes.c_size_t(self.size), wanted, own, -1, ctypes.c_long(0))
        ctypes.memmove(self.start, content, self.size)
        self.checksum = self._sum()
        return bool(found == self.start)

    def written(self) -> bool:
        """Whether something was written since the last look."""
        now = self._sum()
        was, self.checksum = self.checksum, now
        return now != was

    def _sum(self) -> int:
        return zlib.crc32((ctypes.c_char * min(self.size, MAX_COPIED)).from_address(self.start))


def shared_mappings() -> list[SharedMapping]:
    """Return the files that this process has mapped so that what it writes there reaches them."""
    try:
        lines = MAPPINGS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [found for line in lines for found in _shared(line)]


def _shared(line: str) -> Iterator[SharedMapping]:
    parts = line.split(maxsplit=5)
    if len(parts) < 6 or parts[1][1] != "w" or parts[1][3] != "s":  # the columns of the kernel
        return
    start, end = (int(part, 16) for part in parts[0].split("-"))
    path = parts[5]
    has_path = not path.startswith(MEMORY_FILES) and not path.endswith(" (deleted)")
    yield SharedMapping(path if has_path else "shared memory", start, end - start, int(parts[2], 16), is_file=has_path)


def _is_open(descriptor: int) -> bool:
    """Whether a listed descriptor is still open; the one that listed the directory is not."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _replace(descriptor: int) -> Iterator[Tripwire | EventCounter]:
    found = os.fstat(descriptor)
    path = os.readlink(DESCRIPTORS / str(descriptor))  # noqa: PTH115  # the text, which need not be a path
    access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    if stat.S_ISREG(found.st_mode):
        yield from _replace_file(descriptor, path, access, found.st_size)
    elif stat.S_ISSOCK(found.st_mode):
        yield from _replace_connection(descriptor)
    elif stat.S_ISFIFO(found.st_mode):
        yield from _replace_pipe(descriptor, access)
    elif path == EVENT_COUNTER:
        yield _replace_counter(descriptor)
    elif stat.S_ISCHR(found.st_mode) and path not in HARMLESS_DEVICES and access != os.O_RDONLY:
        yield from _replace_pipe(descriptor, os.O_WRONLY, path)


def _replace_counter(descriptor: int) -> EventCounter:
    """Replace a counter of events: processes that replay would see each other's changes."""
    count = _count(descriptor)
    is_blocking = os.get_blocking(descriptor)
    counter = os.eventfd(count, os.EFD_CLOEXEC | (0 if is_blocking else os.EFD_NONBLOCK))
    os.dup2(counter, descriptor, inheritable=False)
    return EventCounter(counter, count)


def _count(descriptor: int) -> int:
    """Return how many events a counter has, without taking them."""
    text = (FACTS / str(descriptor)).read_text(encoding="ascii")
    (found,) = (line for line in text.splitlines() if line.startswith("eventfd-count:"))
    return int(found.split()[1], 16)


def _replace_file(descriptor: int, path: str, access: int, size: int) -> Iterator[Tripwire]:
    offset = os.lseek(descriptor, 0, os.SEEK_CUR)
    if access == os.O_RDONLY:
        with suppress(OSError):  # a description of its own: reading must not move what other processes read
            again = os.open(DESCRIPTORS / str(descriptor), os.O_RDONLY | os.O_CLOEXEC)
            os.lseek(again, offset, os.SEEK_SET)
            os.dup2(again, descriptor, inheritable=os.get_inheritable(descriptor))
            os.close(again)
        return
    is_appending = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
    copy = os.memfd_create("durable-replay", os.MFD_CLOEXEC)
    _copy(DESCRIPTORS / str(descriptor), copy, min(size, MAX_COPIED))  # its path may be gone, or another file by now
    os.lseek(copy, offset, os.SEEK_SET)
    fcntl.fcntl(copy, fcntl.F_SETFL, is_appending)
    os.utime(copy, ns=(0, 0))
    os.dup2(copy, descriptor, inheritable=False)
    yield Tripwire(path.removesuffix(" (deleted)"), is_file=True, watched=copy)


def _copy(path: Path, copy: int, size: int) -> None:
    with suppress(OSError):
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            left = size
            while left > 0 and (chunk := os.read(source, min(left, 1 << 20))):
                left -= os.write(copy, chunk)
        finally:
            os.close(source)


def _replace_connection(descriptor: int) -> Iterator[Tripwire]:
    kind = socket.SOCK_STREAM
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as duplicate:
        kind = socket.SOCK_DGRAM if duplicate.type == socket.SOCK_DGRAM else socket.SOCK_STREAM
    near, far = socket.socketpair(socket.AF_UNIX, kind)
    if kind is socket.SOCK_STREAM:
        far.shutdown(socket.SHUT_WR)
    yield from _replace_ends(descriptor, near.detach(), far.detach(), "a connection")


def _replace_pipe(descriptor: int, access: int, name: str = "a pipe") -> Iterator[Tripwire]:
    reading, writing = os.pipe()
    if access == os.O_RDONLY:
        os.dup2(reading, descriptor, inheritable=False)
        os.close(reading)
        os.close(writing)
        return
    yield from _replace_ends(descriptor, writing, reading, name)


def _replace_ends(descriptor: int, near: int, far: int, name: str) -> Iterator[Tripwire]:
    is_blocking = os.get_blocking(descriptor)
    os.dup2(near, descriptor, inheritable=False)
    os.close(near)
    os.set_blocking(descriptor, is_blocking)
    os.set_blocking(far, False)
    yield Tripwire(name, is_file=False, watched=far)
