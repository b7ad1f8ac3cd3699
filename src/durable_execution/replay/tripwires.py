"""Replaces descriptors that were opened before a replay, so that what is written through them is harmless and noticed.

A log file or a connection that a module opened when it was imported stays usable, and no audit event reports its use. In
the process that replays, a file becomes a copy in memory, and a connection one whose other end is not served.
"""

import ctypes
import fcntl
import mmap
import os
import socket
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")
MAPPINGS = Path("/proc/self/maps")
MAX_COPIED = 64 << 20
HARMLESS_DEVICES = frozenset({"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"})
MEMORY_FILES = ("/memfd:", "/dev/zero", "/SYSV", "/[")
MAP_FIXED = 0x10


@dataclass(slots=True)
class Tripwire:
    """A descriptor that was replaced.

    Attributes:
        name: What it was: the file's path, or `a connection`.
        is_file: Whether it is a copy of a file in memory.
        watched: The descriptor to look at: the copy, or the other end of the connection.
    """

    name: str
    is_file: bool
    watched: int

    def written(self) -> bool:
        """Whether something was written since the last look, or the descriptor was closed."""
        try:
            if self.is_file:
                is_touched = os.fstat(self.watched).st_mtime_ns != 0
                os.utime(self.watched, ns=(0, 0))
                return is_touched
            return bool(os.read(self.watched, MAX_COPIED))
        except BlockingIOError:
            return False
        except OSError:
            return True


def has_tripwires() -> bool:
    """Whether this system tells which descriptors are open."""
    return DESCRIPTORS.is_dir()


def set_tripwires(kept: Iterable[int]) -> list[Tripwire]:
    """Replace every open file, pipe and connection of this process.

    Args:
        kept: Descriptors to leave as they are.

    Returns:
        What was replaced and can be written to. Empty where the system has no `/proc`.
    """
    if not has_tripwires():
        return []
    left_alone = {0, 1, 2, *kept}
    listed = sorted(int(entry.name) for entry in DESCRIPTORS.iterdir())
    still_open = [descriptor for descriptor in listed if descriptor not in left_alone and _is_open(descriptor)]
    return [wire for descriptor in still_open for wire in _replace(descriptor)]


@dataclass(slots=True)
class SharedMapping:
    """A file that was mapped so that what is written to memory reaches it; no layer sees such a write.

    Attributes:
        name: The file's path.
        start: Its address.
        size: Its size in bytes.
        offset: Where in the file it begins.
        is_file: Always: it is a file.
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
    if not path.startswith(MEMORY_FILES) and not path.endswith(" (deleted)"):
        yield SharedMapping(path, start, end - start, int(parts[2], 16))


def _is_open(descriptor: int) -> bool:
    """Whether a listed descriptor is still open; the one that listed the directory is not."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _replace(descriptor: int) -> Iterator[Tripwire]:
    found = os.fstat(descriptor)
    path = os.readlink(DESCRIPTORS / str(descriptor))  # noqa: PTH115  # the text, which need not be a path
    access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    if stat.S_ISREG(found.st_mode):
        yield from _replace_file(descriptor, path, access, found.st_size)
    elif stat.S_ISSOCK(found.st_mode):
        yield from _replace_connection(descriptor)
    elif stat.S_ISFIFO(found.st_mode):
        yield from _replace_pipe(descriptor, access)
    elif stat.S_ISCHR(found.st_mode) and path not in HARMLESS_DEVICES and access != os.O_RDONLY:
        yield from _replace_pipe(descriptor, os.O_WRONLY, path)


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
    _copy(path, copy, min(size, MAX_COPIED))
    os.lseek(copy, offset, os.SEEK_SET)
    fcntl.fcntl(copy, fcntl.F_SETFL, is_appending)
    os.utime(copy, ns=(0, 0))
    os.dup2(copy, descriptor, inheritable=False)
    yield Tripwire(path.removesuffix(" (deleted)"), is_file=True, watched=copy)


def _copy(path: str, copy: int, size: int) -> None:
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
