"""The handlers of the requirements, by the requirements' ids."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from durable_execution import DurableHandler

H = TypeVar("H", bound=DurableHandler[Any])

_cases: "dict[str, Case]" = {}


@dataclass(frozen=True, slots=True)
class Case:
    """The code for a requirement.

    Attributes:
        id: The requirement's id.
        handler: The handler.
        functions: Functions it invokes, by name.
    """

    id: str
    handler: DurableHandler[Any]
    functions: Mapping[str, Any]

    @property
    def spec(self) -> str:
        """The handler as a server is told of it: `module:name`."""
        return f"{self.handler.function.__module__}:{self.handler.function.__name__}"


def requirement(requirement_id: str, **functions: Any) -> Callable[[H], H]:
    """Say which requirement a handler is for.

    Args:
        requirement_id: The requirement's id.
        functions: Functions the handler invokes, by name.
    """

    def register(handler: H) -> H:
        if requirement_id in _cases:
            raise ValueError(f"{requirement_id} has two handlers")
        _cases[requirement_id] = Case(requirement_id, handler, functions)
        return handler

    return register


def cases() -> Mapping[str, Case]:
    """Every case there is code for."""
    for module in sorted((Path(__file__).parent / "handlers").glob("*.py")):
        import_module(f"tests.conformance.handlers.{module.stem}")
    return _cases
