"""The parts of a trace's lines, as text."""

import inspect
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from json import dumps
from json.encoder import encode_basestring_ascii as text
from typing import Any

from durable_execution.call_site import CallSite
from durable_execution.observers import OperationCall
from durable_execution.protocol import ErrorObject, OperationStatus
from durable_execution.trace.repeats import RuntimeCall
from durable_execution.trace.runs import ReplayRun
from durable_execution.trace.siblings import SiblingRuns

MAX_STATICS = 4096
StaticKey = tuple[str, str | None, str | None, CallSite | None, str | None, str | None, str | None]
"""Type, subtype, name, call site, fingerprint, function, and the handler's file: the same in every invocation of a warm
environment."""

START = blake2b(digest_size=8)
"""A copy of it takes less time than a new one."""

Attempt = tuple[int, datetime, datetime, str, ErrorObject | None, int | None]
End = tuple[datetime, str, int | None, str | None, ErrorObject | None]


StaticPlace = tuple[CallSite | None, Any, str | None, tuple[Any, ...], str]
"""Call site, function (if nothing but its module refers to what it uses), handler's file, the rest, and the text."""


class Statics:
    """Texts that calls from the same place share, kept across the invocations of a recorder.

    Attributes:
        texts: The texts.
        by_place: The same by the call site's id, name and subtype, with the rest of what they describe.
    """

    def __init__(self) -> None:
        self.texts: dict[StaticKey, str] = {}
        self.by_place: dict[tuple[int, str | None, str], StaticPlace] = {}

    def add(self, key: StaticKey, members: str) -> None:
        """Keep a text."""
        if max(len(self.texts), len(self.by_place)) >= MAX_STATICS:
            self.texts.clear()
            self.by_place.clear()
        self.texts[key] = members


CallLine = list[Any]
"""The line of a call that is not flushed yet. Its text is made then, so that nothing waits for it while the call runs.

It has the number of the call; the call; when it was made; what happened to it, where `pending` becomes `executed` once it has ended; its
status, until it has ended; members about what the call was given, as text, because values may change while it runs; the recorded
details that answered it; its attempts, and its end. Each of the last three may be None. It is a list because making an object of a class
takes five times as long, for each call.
"""

ATTEMPTS, ENDED = 7, 8


def run_text(run: ReplayRun | SiblingRuns) -> str:
    """Return the start of a run's line: what it is, and where."""
    if isinstance(run, ReplayRun):
        kind = "open" if run.is_open else "replayed"
        return f'{{"record":"{kind}"{member_text("context_id", run.context_id)}'
    line = {
        "record": "siblings",
        "siblings": run.siblings,
        "is_open": run.is_open,
        "of_tasks": run.of_tasks,
        "inner": run.inner,
    }
    start = dumps({name: value for name, value in line.items() if value not in (False, ())}, separators=(",", ":"))
    return start[:-1] + member_text("context_id", run.context_id)


def only_waits(type_: str, status: str) -> bool:
    """Tell whether a recorded operation that has not ended waits for the service, or holds other calls."""
    return type_ != "STEP" or status == OperationStatus.PENDING


def digest_of(payload: str) -> str:
    """Return the digest of a payload."""
    digest = START.copy()
    digest.update(payload.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def place_text(call: RuntimeCall | OperationCall) -> str:
    """Return the members that place a call in its contexts."""
    parent, context = call.parent_id, call.context_id
    place = f',"parent_id":"{parent}"' if parent is not None else ""
    if context != parent:
        place += f',"context_id":"{context}"'
    return place


def member_text(name: str, value: Any) -> str:
    """Return a member with a comma before it; nothing for None."""
    return "" if value is None else f',"{name}":{text(str(value))}'


@lru_cache(maxsize=256)
def fingerprint_of(function: Any) -> tuple[str | None, str | None]:
    """Return the file and the digest of a function's source (of its bytecode if there is no source), or two Nones."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    if code is None:
        return None, None
    try:
        material = inspect.getsource(function).encode()
    except (OSError, TypeError):
        material = code.co_code + repr(code.co_names).encode()
    return code.co_filename, blake2b(material, digest_size=16).hexdigest()
