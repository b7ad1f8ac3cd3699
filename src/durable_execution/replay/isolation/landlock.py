"""Lets the Linux kernel refuse file changes, TCP, programs and signals of this process, through Landlock's system calls.

No Python binding of Landlock is maintained, and it takes three system calls, so they are made with ctypes here. A
restriction holds for the calling thread and everything it starts, and cannot be lifted.
"""

import ctypes
import os
import sys
from functools import cache

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System call numbers; the same on every architecture that CPython supports."""

VERSION_FLAG = 1
RULE_PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS = 38

READS = (1 << 2) | (1 << 3)
WRITE_FILE, TRUNCATE = 1 << 1, 1 << 14
FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All file rights that a version of the interface knows, by the version that introduced the last of them."""

NETWORK_SINCE, TCP = 4, 0b11
SCOPES_SINCE, SCOPES = 6, 0b11
"""Abstract Unix sockets and signals of processes outside."""

WRITABLE = ("/dev/null",)


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class LandlockError(OSError):
    """The kernel did not accept a restriction."""


@cache
def version() -> int:
    """Return the version of the kernel's Landlock interface; 0 where it has none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, _system_call(CREATE_RULESET, None, 0, VERSION_FLAG, is_checked=False))


def refuse_network() -> bool:
    """Refuse TCP connections, abstract Unix sockets and signals to other processes, from now on.

    Returns:
        Whether the kernel can.

    Raises:
        LandlockError: The kernel can, and did not.
    """
    known = version()
    if known < NETWORK_SINCE:
        return False
    _restrict(_Ruleset(0, TCP, SCOPES if known >= SCOPES_SINCE else 0))
    return True


def refuse_file_changes() -> bool:
    """Refuse to create, write, remove or execute files, from now on. Open descriptors and reads are not affected.

    Returns:
        Whether the kernel can.

    Raises:
        LandlockError: The kernel can, and did not.
    """
    known = version()
    if not known:
        return False
    rights = FILE_RIGHTS[max(since for since in FILE_RIGHTS if since <= known)] & ~READS
    _restrict(_Ruleset(rights, 0, 0))
    return True


def _restrict(ruleset: _Ruleset) -> None:
    size = ctypes.sizeof(ruleset) if version() >= SCOPES_SINCE else 16 if version() >= NETWORK_SINCE else 8
    descriptor = _system_call(CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    try:
        if ruleset.files:
            for path in WRITABLE:
                _allow_writing(descriptor, path)
        _library().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _system_call(RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)


def _allow_writing(ruleset: int, path: str) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights = WRITE_FILE | (TRUNCATE if version() >= 3 else 0)  # the version that added it
        rule = _PathRule(rights, parent)
        _system_call(ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(parent)


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _system_call(number: int, *arguments: object, is_checked: bool = True) -> int:
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    answer = int(_library().syscall(ctypes.c_long(number), *passed))
    if answer < 0 and is_checked:
        code = ctypes.get_errno()
        raise LandlockError(code, f"Landlock refused system call {number}: {os.strerror(code)}")
    return answer
