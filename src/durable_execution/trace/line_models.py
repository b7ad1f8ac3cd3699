"""The lines of a trace file as pydantic models: the schema for other tools.

This module is imported only to read a trace file or to produce its JSON schema.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from durable_execution.trace.schema import SCHEMA, VERSION


class Line(BaseModel):
    """Base of all lines. Unknown members are kept, because a newer version may have written them."""

    model_config = ConfigDict(extra="allow")


class HeaderLine(Line):
    """First line of an invocation."""

    record: Literal["invocation"] = "invocation"
    schema_name: str = Field(alias="schema", default=SCHEMA)
    version: int = VERSION
    execution_arn: str
    request_id: str | None = None
    handler: str | None = None
    source_file: str | None = None
    source_digest: str | None = None
    sdk: str | None = None
    python: str | None = None
    started_at: datetime | None = None
    input: str | None = None
    input_digest: str | None = None


class SiteLine(BaseModel):
    """The place in the code that made a call. Without a file, it is in the handler's file, which the header names."""

    file: str | None = None
    line: int
    function: str


class AttemptPart(BaseModel):
    """One run of a step's body."""

    number: int
    started: float | None = None
    ended: float | None = None
    outcome: str | None = None
    error_type: str | None = None
    next_attempt_delay_seconds: int | None = None


class CallLine(Line):
    """A call, with everything that was known about it when the line was written.

    `happened` is `replayed`, `diverged` or `executed` if that is already known, else `pending` until an end line says
    `executed`.
    """

    record: Literal["call"] = "call"
    seq: int
    id: str
    path: str
    type: str
    parent_id: str | None = None
    context_id: str | None = None
    position: int | None = None
    subtype: str | None = None
    name: str | None = None
    call_site: SiteLine | None = None
    happened: str = "pending"
    status: str | None = None
    at: float | None = None
    ended: float | None = None
    attempt: int | None = None
    configuration: dict[str, Any] = Field(default_factory=dict)
    input_size: int | None = None
    input_digest: str | None = None
    result_size: int | None = None
    result_digest: str | None = None
    error_type: str | None = None
    input: str | None = None
    result: str | None = None
    locals: dict[str, str] = Field(default_factory=dict)
    is_virtual: bool = False
    body: str | None = None
    function: str | None = None
    attempts: list[AttemptPart] = Field(default_factory=list)


class RunLine(Line):
    """Consecutive calls of one context that the invocation repeated without a change.

    `replayed` calls were answered from the record; `open` ones had not ended. The calls themselves are in the lines of
    earlier invocations, by context and position.
    """

    record: Literal["replayed", "open"] = "replayed"
    context_id: str | None = None
    first: int
    last: int
    cuts: str = ""
    at: float | None = None


class EndLine(Line):
    """The end of a call, completing the call line with the same `seq`."""

    record: Literal["ended"] = "ended"
    seq: int
    status: str | None = None
    ended: float | None = None
    attempt: int | None = None
    result_size: int | None = None
    result_digest: str | None = None
    error_type: str | None = None
    result: str | None = None


class AttemptLine(AttemptPart, Line):
    """One run of a step's body that ended after the line of the call with the same `seq` was written."""

    record: Literal["attempt"] = "attempt"
    seq: int


class DivergenceLine(Line):
    """A difference from the recording."""

    record: Literal["diverged"] = "diverged"
    seq: int | None = None
    divergence: dict[str, Any]


class OutcomeLine(Line):
    """Last line of an invocation."""

    record: Literal["end"] = "end"
    ended_at: datetime | None = None
    outcome: str | None = None
    error_type: str | None = None
    result_size: int | None = None
    result_digest: str | None = None
    result: str | None = None


LINES: dict[str, type[Line]] = {
    "invocation": HeaderLine,
    "call": CallLine,
    "replayed": RunLine,
    "open": RunLine,
    "ended": EndLine,
    "attempt": AttemptLine,
    "diverged": DivergenceLine,
    "end": OutcomeLine,
}


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a line of a trace file."""
    from pydantic import TypeAdapter

    kinds = HeaderLine | CallLine | RunLine | EndLine | AttemptLine | DivergenceLine | OutcomeLine
    schema: dict[str, Any] = TypeAdapter(kinds).json_schema(by_alias=True)
    return schema
