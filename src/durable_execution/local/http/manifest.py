"""The functions that a server hosts: a configuration file, checked, with the settings that Lambda keeps for a function."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from durable_execution.errors import EngineError

_DURATION = re.compile(r"(\d{1,8})\s*([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
URL_SCHEMES = ("http://", "https://")


def _seconds(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if match is None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError('write seconds, or a number with s, m, h or d, such as 90 or "15m"')
        return timedelta(seconds=value)
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _handler(value: Any) -> Any:
    place, separator, attribute = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not (place and separator and attribute):
        raise ValueError("write module:handler, path/to/file.py:handler or http://host:port")
    return value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _between(shortest: timedelta, longest: timedelta) -> Any:
    return Field(default=None, ge=shortest, le=longest)


Duration = Annotated[timedelta | None, BeforeValidator(_seconds)]
Handler = Annotated[str, BeforeValidator(_handler)]
Text = Annotated[str, BeforeValidator(_text)]


class FunctionSettings(BaseModel):
    """One function.

    Attributes:
        handler: `module:handler` or `path/to/file.py:handler`, for worker processes, or the `http://host:port` of a server that
            speaks the protocol of Lambda's runtime interface emulator.
        durable: Whether it is a durable function; None detects it, for handlers in Python.
        timeout: Maximum duration of one invocation; 1 second to 15 minutes.
        execution_timeout: Maximum duration of an execution; 1 second to 366 days.
        retention_days: How long an ended execution is kept; 1 to 90 days.
        memory: Memory size that the function sees in its context and environment, in MB.
        environment: Environment variables.
        tenant_isolation: Whether every invocation needs a tenant id. Tenants do not share a worker.
        versions: Handlers of published versions, by number.
        aliases: Versions by alias.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    handler: Handler
    durable: bool | None = None
    timeout: Duration = _between(timedelta(seconds=1), timedelta(minutes=15))
    execution_timeout: Duration = _between(timedelta(seconds=1), timedelta(days=366))
    retention_days: int | None = Field(default=None, ge=1, le=90)
    memory: int = Field(default=128, ge=128, le=32_768)
    environment: dict[str, Text] = {}
    tenant_isolation: bool = False
    versions: dict[str, Handler] = {}
    aliases: dict[str, Text] = {}

    @property
    def is_remote(self) -> bool:
        """Whether it runs behind an address."""
        return self.handler.startswith(URL_SCHEMES)


class Manifest(BaseModel):
    """A configuration file.

    Attributes:
        functions: The functions, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    functions: dict[str, FunctionSettings] = {}


def read_manifest(path: Path) -> dict[str, FunctionSettings]:
    """Read a configuration file. Paths of handlers in it are relative to its folder.

    Raises:
        EngineError: The file cannot be read, is not TOML, or has a setting that does not exist or is out of range.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineError(f"cannot read the configuration {path}: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EngineError(f"the configuration {path} is not TOML: {error}.") from error
    try:
        found = Manifest.model_validate(document).functions
    except ValidationError as error:
        raise EngineError(f"the configuration {path} is not valid: {_explained(error)}.") from None
    settled: dict[str, FunctionSettings] = {}
    for name, settings in found.items():
        if settings.is_remote and (settings.environment or settings.versions):
            raise EngineError(
                f"the configuration {path} is not valid: functions.{name} runs behind an address, so that its environment and "
                "versions are set there."
            )
        versions = {version: _beside(path, handler) for version, handler in settings.versions.items()}
        settled[name] = settings.model_copy(update={"handler": _beside(path, settings.handler), "versions": versions})
    return settled


def _beside(path: Path, handler: str) -> str:
    """A handler whose file is found from any directory."""
    place, _, attribute = handler.rpartition(":")
    if not place.endswith(".py") or handler.startswith(URL_SCHEMES):
        return handler
    return f"{path.parent / place}:{attribute}"


def _explained(error: ValidationError) -> str:
    found = []
    for each in error.errors(include_url=False):
        place = ".".join(str(part) for part in each["loc"])
        reason = each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            known = FunctionSettings.model_fields if each["loc"][0] == "functions" else Manifest.model_fields
            reason = f"there is no such setting; use one of {', '.join(known)}"
        found.append(f"{place}: {reason}")
    return "; ".join(found)
