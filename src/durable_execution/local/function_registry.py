"""The functions an engine can invoke, and the forms of a function name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from durable_execution.errors import EngineError
from durable_execution.local.hosts import FunctionHost
from durable_execution.local.rules.api_errors import invalid
from durable_execution.protocol.service_side import LOCAL_ACCOUNT, LOCAL_REGION

LATEST = "$LATEST"
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TARGET = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9_.-]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_-]+))?"
)


@dataclass(frozen=True, slots=True)
class FunctionProfile:
    """What GetFunction says about a function besides what the engine uses.

    Attributes:
        handler: The handler in Lambda's form, such as `orders.handler`.
        digest: Fingerprint of the code: Base64 of a SHA-256.
        memory_mb: Memory size, in MB.
        environment: Environment variables that were configured.
        versions: What it says about versions with code of their own.
    """

    handler: str = "handler"
    digest: str = ""
    memory_mb: int = 128
    environment: Mapping[str, str] = field(default_factory=dict)
    versions: "Mapping[str, FunctionProfile]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Function:
    """A function registered on the engine.

    Attributes:
        name: Function name.
        host: Runs the function.
        durable: Whether an invocation starts a durable execution; None if only the host knows, once it has loaded the function.
        execution_timeout: Maximum duration of an execution; None for the engine's limit.
        retention: How long an ended execution is kept.
        timeout: Maximum duration of one invocation.
        is_tenant_isolated: Whether every invocation needs a tenant id.
        versions: Hosts of published versions with code of their own, by version.
        aliases: Versions by alias, as registered.
        profile: What GetFunction says about it.
    """

    name: str
    host: FunctionHost
    durable: bool | None
    execution_timeout: timedelta | None
    retention: timedelta
    timeout: timedelta
    is_tenant_isolated: bool = False
    versions: Mapping[str, FunctionHost] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    profile: FunctionProfile = field(default_factory=FunctionProfile)

    @property
    def is_durable(self) -> bool:
        """Whether an invocation starts a durable execution. May load the function."""
        return bool(getattr(self.host, "is_durable", True)) if self.durable is None else self.durable

    def resolved(self) -> "Function":
        """The function as it is now known to be, durable or not, so that nothing is loaded when it is asked again."""
        return self if self.durable is not None else replace(self, durable=self.is_durable)

    def host_of(self, version: str) -> FunctionHost:
        """The host of a version. Versions without code of their own run the current code."""
        return self.versions.get(version, self.host)


@dataclass(frozen=True, slots=True)
class Target:
    """The function name and qualifier that a caller passed.

    Attributes:
        name: Function name.
        qualifier: Version or alias; None if the caller passed none.
    """

    name: str
    qualifier: str | None

    @property
    def version(self) -> str:
        """The version to record, if the qualifier is one. Aliases are resolved by `Versions`."""
        if self.qualifier and (self.qualifier.isdigit() or self.qualifier.startswith("$")):
            return self.qualifier
        return LATEST

    @property
    def alias(self) -> str | None:
        """The alias that the caller passed; None if it passed a version or nothing."""
        return None if self.qualifier is None or self.version == self.qualifier else self.qualifier


def read_target(text: Any, qualifier: Any = None) -> Target:
    """Parse a function name, `name:qualifier`, partial ARN or full ARN.

    Args:
        text: The name or ARN.
        qualifier: The qualifier, if it was passed separately.

    Raises:
        ServiceError: The text has none of these forms, or names a different account or region.
    """
    match = _TARGET.fullmatch(text) if isinstance(text, str) and len(text) <= 256 else None
    if match is None:
        raise invalid(f"Invalid function name or ARN: {text!r:.300}")
    if match["account"] and match["account"] != LOCAL_ACCOUNT:
        raise invalid(
            f"The function {text} is in a different account. The local engine invokes only functions in account {LOCAL_ACCOUNT}."
        )
    if match["region"] and match["region"] != LOCAL_REGION:
        raise invalid(
            f"The function {text} is in a different region. The local engine invokes only functions in region {LOCAL_REGION}."
        )
    if qualifier is not None and not re.fullmatch(r"\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9_-]{1,128}", str(qualifier)):
        raise invalid(f"Invalid qualifier: {qualifier!r:.200}")
    if match["qualifier"] and qualifier and match["qualifier"] != qualifier:
        raise invalid(f"The function name {text} and the qualifier {qualifier} contradict each other.")
    return Target(match["name"], qualifier or match["qualifier"])


class Functions:
    """The functions of an engine, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Function] = {}

    def add(self, function: Function) -> None:
        """Add a function, or replace the function with the same name.

        Raises:
            EngineError: The name is not a valid Lambda function name.
        """
        if not _NAME.fullmatch(function.name):
            raise EngineError(
                f"{function.name!r} is not a valid function name: use 1 to 64 letters, digits, '-' and '_', as Lambda does."
            )
        for version in function.versions:
            if re.fullmatch(r"[1-9][0-9]*", version) is None:
                raise EngineError(f"{version!r} is not a version of {function.name}: versions are numbers from 1.")
        for alias, version in function.aliases.items():
            if re.fullmatch(r"(?![0-9]+$)[a-zA-Z0-9_-]{1,128}", alias) is None:
                raise EngineError(
                    f"{alias!r} is not a valid alias: use 1 to 128 letters, digits, '-' and '_', not only digits."
                )
            if version != LATEST and version not in function.versions:
                raise EngineError(
                    f"the alias {alias} of {function.name} points to version {version}, which is not registered."
                )
        self._by_name[function.name] = function

    def get(self, name: str) -> Function | None:
        """The function with a name; None if it is not registered."""
        return self._by_name.get(name)

    def require(self, name: str) -> Function:
        """The function with a name.

        Raises:
            EngineError: The function is not registered.
        """
        found = self._by_name.get(name)
        if found is None:
            known = ", ".join(self.names()) or "none"
            raise EngineError(
                f"no function named {name!r} is registered on this engine (registered: {known}). "
                f"Call engine.register({name!r}, handler) first."
            )
        return found

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._by_name)

    def close(self) -> None:
        """Close the hosts of all functions."""
        for function in self._by_name.values():
            for host in (function.host, *function.versions.values()):
                host.close()
