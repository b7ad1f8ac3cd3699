"""The parts of a trace's lines, as text."""

from hashlib import blake2b
from json import dumps
from json.encoder import encode_basestring_ascii as text
from typing import Any

from durable_execution.observers import OperationCall
from durable_execution.protocol import OperationStatus
from durable_execution.trace.runs import ReplayRun
from durable_execution.trace.siblings import SiblingRuns


class OpenLine:
    """The unflushed line of a call that has not ended.

    Attributes:
        seq: Number of the call.
        line: The line without its end; once the call has ended, the complete line.
        attempts: Attempts so far, as JSON objects separated by commas.
        is_over: Whether `line` is complete.
    """

    __slots__ = ("attempts", "is_over", "line", "seq", "status")

    def __init__(self, seq: int, line: str, status: str) -> None:
        self.seq = seq
        self.line = line
        self.status = status
        self.attempts: str | None = None
        self.is_over = False

    def finish(self, rest: str) -> None:
        """Complete the line: the call has ended."""
        runs = f',"attempts":[{self.attempts}]' if self.attempts is not None else ""
        self.line = f'{self.line},"happened":"executed"{rest}{runs}}}\n'
        self.is_over = True

    @property
    def so_far(self) -> str:
        """Return the line in a form that can be flushed now."""
        if self.is_over:
            return self.line
        runs = f',"attempts":[{self.attempts}]' if self.attempts is not None else ""
        return f'{self.line},"happened":"pending","status":"{self.status}"{runs}}}\n'


def run_text(run: ReplayRun | SiblingRuns) -> str:
    """Return the start of a run's line: what it is, and where."""
    if isinstance(run, ReplayRun):
        kind = "open" if run.is_open else "replayed"
        return f'{{"record":"{kind}"{member_text("context_id", run.context_id)}'
    line = {"record": "siblings", "siblings": run.siblings, "is_open": run.is_open, "of_tasks": run.of_tasks}
    start = dumps({name: value for name, value in line.items() if value is not False}, separators=(",", ":"))
    return start[:-1] + member_text("context_id", run.context_id)


def only_waits(type_: str, status: str) -> bool:
    """Tell whether a recorded operation that has not ended waits for the service, or holds other calls."""
    return type_ != "STEP" or status == OperationStatus.PENDING


def digest_of(payload: str) -> str:
    """Return the digest of a payload."""
    try:
        return blake2b(payload.encode(), digest_size=8).hexdigest()
    except UnicodeEncodeError:
        return blake2b(payload.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def place_text(call: OperationCall) -> str:
    """Return the members that place a call in its contexts."""
    parent, context = call.parent_id, call.context_id
    place = f',"parent_id":"{parent}"' if parent is not None else ""
    if context != parent:
        place += f',"context_id":"{context}"'
    return place


def member_text(name: str, value: Any) -> str:
    """Return a member with a comma before it; nothing for None."""
    return "" if value is None else f',"{name}":{text(str(value))}'
