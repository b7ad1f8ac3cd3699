"""One call of an operation. It exists from the moment its id is reserved.

Distinguishes functions by their code: unnamed steps look alike in a history, but their bodies differ.
"""

from __future__ import annotations

import inspect
from hashlib import blake2b
from types import CodeType
from typing import TYPE_CHECKING, Any

from durable_execution.protocol.paths import branch_path, child_path

if TYPE_CHECKING:
    from types import FrameType

    from durable_execution.call_site import CallSite
    from durable_execution.observers import OperationCall
    from durable_execution.runtime.scope import ContextScope

SDK_PREFIX = __name__.rpartition(".")[0].rpartition(".")[0] + "."


class Call:
    """Identity of an operation call.

    Values that only observers and error messages need (path, call site, `OperationCall`) are computed on first use.
    """

    __slots__ = (
        "_info", "configuration", "function", "id", "input", "is_virtual", "label", "name", "position", "scope", "site", "subtype",
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
    def path(self) -> str:
        """Readable path. A branch has no label; its last segment is `<operation>#<index>`."""
        if self.label is None:
            return branch_path(self.scope.path, self.position)
        return child_path(self.scope.path, self.label)

    def info(self) -> OperationCall:
        """The description of this call that observers receive."""
        if self._info is None:
            from durable_execution.observers import OperationCall
            # MOVED

            self._info = OperationCall(
                id=self.id,
                parent_id=self.scope.parent_id,
                context_id=self.scope.ids.prefix,
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


def call_site_of(frame: FrameType | None) -> CallSite | None:
    """The nearest frame that is not the SDK's own."""
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith(SDK_PREFIX):
        frame = frame.f_back
    if frame is None:
        return None
    from durable_execution.observers import CallSite

    code = frame.f_code
    return CallSite(code.co_filename, frame.f_lineno, code.co_qualname)


def current_call_site() -> CallSite | None:
    """The line where user code called into the SDK."""
    return call_site_of(inspect.currentframe())


MAX_KNOWN = 4096
_known: dict[CodeType, str] = {}


def fingerprint_of_code(function: Any) -> str | None:
    """A digest of a function's code; None when the function has no code. Equal code has an equal digest in any file or line.

    The digest covers bytecode: you can compare it between processes that run the same version of Python.
    """
    function = getattr(function, "function", function)
    code = getattr(getattr(function, "func", function), "__code__", None)
    if not isinstance(code, CodeType):
        return None
    found = _known.get(code)
    if found is None:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        found = _known[code] = _digest(code)
    return found


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
                digest.update(repr(constant).encode())
    return digest.hexdigest()
