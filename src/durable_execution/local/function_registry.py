"""The functions an engine can invoke, and the forms of a function name."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from durable_execution.errors import EngineError
from durable_execution.local.hosts import FunctionHost
from durable_execution.local.rules.api_errors import invalid
from durable_execution.protocol.ids import LOCAL_ACCOUNT, LOCAL_REGION

LATEST = "$LATEST"
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TARGET = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9_.-]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_-]+))?"
)


@dataclass(frozen=True, slots=True)
class Function:
    """A function registered on the engine.

    Attributes:
        name: Function name.
        host: Runs the function.
        is_durable: Whether an invocation starts a durable execution.
        execution_timeout: Maximum duration of an execution; None for the engine's limit.
        retention: How long an ended execution is kept.
        timeout: Maximum duration of one invocation.
        is_tenant_isolated: Whether every invocation needs a tenant id.
    """

    name: str
    host: FunctionHost
    is_durable: bool
    execution_timeout: timedelta | None
    retention: timedelta
    timeout: timedelta
    is_tenant_isolated: bool = False


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
        """The version to record. The engine has one version of each function, and any alias points to it."""
        if self.qualifier and (self.qualifier.isdigit() or self.qualifier.startswith("$")):
            return self.qualifier
        return LATEST


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
            function.host.close()
