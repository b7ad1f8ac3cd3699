"""What each action does, by id. The modules beside this one register theirs here."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen

Handler: TypeAlias = "Callable[[MainScreen], None]"

HANDLERS: "dict[str, Handler]" = {}


def handles(action_id: str) -> "Callable[[Handler], Handler]":
    """Register a function as what an action does."""

    def register(handler: "Handler") -> "Handler":
        HANDLERS[action_id] = handler
        return handler

    return register


def load_handlers() -> None:
    """Have every module of actions register its handlers."""
    for name in ("comparing", "copying", "editing", "following", "looking", "moving", "stepping", "timing"):
        import_module(f"durable_debugger.screens.{name}")
