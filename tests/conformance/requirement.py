"""One requirement as its file states it: what is sent to a handler, and what must come of it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

GENERATED = re.compile(r"\$\{GEN_STR:(\d+)\}")


@dataclass(frozen=True, slots=True)
class CallbackAction:
    """What the outside world does with a callback.

    Attributes:
        callback: Name of the callback; `*` for the next one that is open.
        operation: `success`, `failure` or `heartbeat`.
        payload: What is sent; None for nothing.
        delay_seconds: How long after the callback was created.
    """

    callback: str
    operation: str
    payload: Any
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Requirement:
    """A requirement whose variables have values.

    Attributes:
        id: `suite-number`, for example `1-7`.
        payload: The input of the execution.
        awaits_end: Whether the execution's end is part of it.
        status: How the execution ends; None when that is not part of it.
        result: What it returns, when `has_result`.
        has_result: Whether the result is part of it.
        events: Events of the history, by `EventId`.
        logs: Expectations about log records.
        actions: What happens to callbacks meanwhile.
    """

    id: str
    payload: Any
    awaits_end: bool
    status: str | None
    result: Any
    has_result: bool
    events: tuple[Mapping[str, Any], ...]
    logs: tuple[Mapping[str, Any], ...]
    actions: tuple[CallbackAction, ...]


def read_requirement(path: Path) -> Requirement:
    """Read a requirement file."""
    document = yaml.safe_load(path.read_text())
    variables = {
        name: generated(path.stem, name, text) for name, text in (document.pop("Variables", None) or {}).items()
    }
    document = substitute(document, variables)
    expected = document.get("ExpectedResult") or {}
    return Requirement(
        id=path.stem,
        payload=document.get("Input"),
        awaits_end="ExpectedResult" in document,
        status=expected.get("ExecutionStatus"),
        result=expected.get("Result"),
        has_result="Result" in expected,
        events=tuple(document.get("ExpectedExecutionHistory") or ()),
        logs=tuple(document.get("ExpectedLogs") or ()),
        actions=tuple(_action(action) for action in document.get("CallbackActions") or ()),
    )


def generated(requirement: str, name: str, text: Any) -> Any:
    """The value of a variable: the same in every run, different for every requirement."""
    match = GENERATED.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return text
    return hashlib.sha256(f"{requirement}:{name}".encode()).hexdigest()[: int(match[1])]


def substitute(value: Any, variables: Mapping[str, Any]) -> Any:
    """Put the values of variables where `${NAME}` stands; names without a value stay."""
    if isinstance(value, dict):
        return {key: substitute(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    for name, replacement in variables.items():
        if value == f"${{{name}}}":
            return replacement
        value = value.replace(f"${{{name}}}", str(replacement))
    return value


def _action(wire: Mapping[str, Any]) -> CallbackAction:
    return CallbackAction(wire["CallbackName"], wire["Operation"], wire.get("Payload"), float(wire.get("Delay") or 0))
