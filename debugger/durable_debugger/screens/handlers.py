"""What each action does, by id. The modules beside this one register theirs here."""

from collections.abc import Callable
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
