"""One call of an operation. It exists from the moment its id is reserved.

Distinguishes functions by their code: unnamed steps look alike in a history, but their bodies differ.
"""

from __future__ import annotations

import asyncio.events
import os
import sys
from hashlib import blake2b
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from durable_execution.call_site import caller
from durable_execution.protocol.ids import branch_path, child_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from durable_execution.call_site import CallSite
    from durable_execution.observers import OperationCall
    from durable_execution.runtime.scope import ContextScope

K = TypeVar("K")
V = TypeVar("V")
SDK_PREFIX = __name__.rpartition(".")[0].rpartition(".")[0] + "."
STDLIB = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120  # pathlib is not imported on a cold start
SITE_PACKAGES = f"{STDLIB}site-packages{os.sep}"
LOOP_FILE = asyncio.events.__file__
"""The frame that runs the callbacks of an event loop: what is above it made the loop, not the call."""


class Call:
    """Identity of an operation call.

    Values that only observers and error messages need (path, call site, `OperationCall`) are computed on first use.
    """

    __slots__ = (
        "_info", "configuration", "function", "id", "input", "is_virtual", "items", "label", "name", "position", "scope", "site", "subtype",
        "type",
    )  # fmt: skip

    def __init__(
        self,
        scope: ContextScope,
        operation_id: str,
        position: int,
        type: str,  # noqa: A002  # the protocol's word
        subtype: str,
        name: str | None,
        label: str | None,
    ) -> None:
        self.scope = scope
        self.id = operation_id
        self.position = position
        self.type = type
        self.subtype = subtype
        self.name = name
        self.label = label
        self.site: CallSite | None = None
        self.configuration: dict[str, Any] | None = None
        self.input: str | None = None
        self.function: Any = None
        self.items: Sequence[Any] | None = None
        self.is_virtual = False
        self._info: OperationCall | None = None

    def locate(self, site: CallSite | None) -> None:
        """Set the call site."""
        self.site = site
        self._info = None

    @property
    def parent_id(self) -> str | None:
        """Id of the CONTEXT operation this call is checkpointed under."""
        return self.scope.parent_id

    @property
    def context_id(self) -> str | None:
        """Prefix of the id: the enclosing context, even if that is virtual; None at the root."""
        return self.scope.ids.prefix

    @property
    def path(self) -> str:
        """Readable path. A branch has no label; its last segment is `<operation>#<index>`."""
        if self.label is None:
            return branch_path(self.scope.path, self.position)
        return child_path(self.scope.path, self.label)

    @property
    def code_and_name(self) -> tuple[CodeType | None, str | None]:
        """The code and the qualified name of the function of a step or a context. Functions with a decorator share its code."""
        function = self.function
        if function is None:
            return None, None
        if type(function) is not FunctionType or function.__dict__:
            inner = getattr(function, "function", None)  # of a durable step, as a rule
            function = inner if type(inner) is FunctionType and not inner.__dict__ else _unwrapped(function)
            if type(function) is not FunctionType:
                return code_of(function), qualified_name_of(function)
        return function.__code__, function.__qualname__

    def info(self) -> OperationCall:
        """The description of this call that observers receive."""
        if self._info is None:
            from durable_execution.observers import OperationCall

            self._info = OperationCall(
                id=self.id,
                parent_id=self.scope.parent_id,
                context_id=self.context_id,
                position=self.position,
                path=self.path,
                type=self.type,
                subtype=self.subtype,
                name=self.name,
                call_site=self.site,
                configuration=self.configuration,
                input=self.input,
                is_virtual=self.is_virtual,
                body=fingerprint_of_code(self.function) if self.function is not None else None,
                function=self.code_and_name[1],
                bound=self.function,
                items=self.items,
            )
        return self._info

    def update(self, action: str) -> dict[str, Any]:
        """A checkpoint update of this operation, in wire form."""
        wire: dict[str, Any] = {"Id": self.id, "Type": self.type, "SubType": self.subtype, "Action": action}
        if self.name is not None:
            wire["Name"] = self.name
        if self.scope.parent_id is not None:
            wire["ParentId"] = self.scope.parent_id
        return wire


def user_frame(frame: FrameType | None) -> FrameType | None:
    """The nearest frame of the user's code: not of the SDK, and not of the standard library, such as a thread pool."""
    owners = _owners
    while frame is not None:
        owner = owners.get(frame.f_code.co_filename) or _owner_of(frame)
        if owner is not SDK:
            return frame if owner is USER else None
        frame = frame.f_back
    return None


def _owner_of(frame: FrameType) -> str:
    """Tell whose code a file is. What is above the loop's frame made the loop, and not the call."""
    file = frame.f_code.co_filename
    if file == LOOP_FILE:
        owner = LOOP
    else:
        is_sdk = str(frame.f_globals.get("__name__", "")).startswith(SDK_PREFIX)
        owner = SDK if is_sdk or _is_library(file) else USER
    return _owners.keep(file, owner)


def call_site_of(frame: FrameType | None) -> CallSite | None:
    """The call site in the nearest frame of the user's code."""
    found = user_frame(frame)
    if found is None:
        return None
    code, at = found.f_code, found.f_lasti
    return _known_site(code, at) or _site(code, at, found.f_lineno)


def current_call_site() -> CallSite | None:
    """Where user code called into the SDK, on this thread or on the thread of blocking code that waits for this one."""
    site = call_site_of(sys._getframe(1))  # noqa: SLF001  # the only way to look at a caller
    if site is not None:
        return site
    waiting = caller.get()
    if waiting is None:
        return None
    code, line = waiting[:2]
    return _known_site(code, -line) or _site(code, -line, line)


def _known_site(code: CodeType, at: int) -> CallSite | None:
    known = known_sites.get((id(code), at))
    return known[1] if known is not None and known[0] is code else None


def _site(code: CodeType, at: int, line: int) -> CallSite:
    """Remember a call site by its instruction: looking up the line of an instruction takes longer. Negative: by its line."""
    from durable_execution.call_site import CallSite

    return known_sites.keep((id(code), at), (code, CallSite(code.co_filename, line, code.co_qualname)))[1]


def _is_library(file: str) -> bool:
    return (file.startswith(STDLIB) and not file.startswith(SITE_PACKAGES)) or file.startswith("<frozen ")


class Memory(dict[K, V]):
    """What has been found out about code, up to `MOST` entries: a process that makes code without end starts anew.

    Shared by all invocations of a process: code does not change. A call reads it with `get`, without a Python frame.
    """

    MOST = 4096

    def keep(self, key: K, value: V) -> V:
        """Remember a value, and return it."""
        if len(self) >= self.MOST:
            self.clear()
        self[key] = value
        return value


SDK, USER, LOOP = "SDK or standard library", "user", "event loop"
_owners: Memory[str, str] = Memory()
known_sites: Memory[tuple[int, int], tuple[CodeType, CallSite]] = Memory()
"""Call sites in user code, by the id of the code and the instruction. An id is used again: compare the code."""
_digests: Memory[CodeType, str] = Memory()


def fingerprint_of_code(function: Any) -> str | None:
    """A digest of a function's code; None when the function has no code. Equal code has an equal digest in any file or line.

    The digest covers bytecode: you can compare it between processes that run the same version of Python.
    """
    code = code_of(function)
    if code is None:
        return None
    found = _digests.get(code)
    return _digests.keep(code, _digest(code)) if found is None else found


def code_of(function: Any) -> CodeType | None:
    """Return the code of a function, of a durable step's function, or of a partial's; None if it has none."""
    code = getattr(_unwrapped(function), "__code__", None)
    return code if isinstance(code, CodeType) else None


def qualified_name_of(function: Any) -> str | None:
    """Return the qualified name of a function, of a durable step's function, or of a partial's; None if it has none."""
    name = getattr(_unwrapped(function), "__qualname__", None)
    return name if isinstance(name, str) else None


def _unwrapped(function: Any) -> Any:
    function = getattr(function, "blocking_function", function)
    function = getattr(function, "function", function)
    return getattr(function, "func", function)


def _digest(code: CodeType) -> str:
    digest = blake2b(digest_size=8)
    pending = [code]
    while pending:
        current = pending.pop()
        digest.update(current.co_code)
        digest.update(repr((current.co_names, current.co_freevars)).encode())
        for constant in current.co_consts:
            if isinstance(constant, CodeType):
                pending.append(constant)
            else:
                digest.update(_text_of(constant).encode())
    return digest.hexdigest()


def _text_of(constant: Any) -> str:
    """Return a constant as text. The order of a set differs from process to process."""
    if isinstance(constant, frozenset):
        return f"{{{', '.join(sorted(map(_text_of, constant)))}}}"
    if isinstance(constant, tuple):
        return f"({', '.join(map(_text_of, constant))})"
    return repr(constant)
