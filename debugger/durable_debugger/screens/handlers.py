"""The handlers of actions by id. The other modules of this package register theirs here."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen

Handler: TypeAlias = "Callable[[MainScreen], None]"

HANDLERS: "dict[str, Handler]" = {}


def handles(action_id: str) -> "Callable[[Handler], Handler]":
    """Register a function as the handler of an action."""

    def register(handler: "Handler") -> "Handler":
        HANDLERS[action_id] = handler
        return handler

    return register


def load_handlers() -> None:
    """Import every module of handlers, so that it registers them."""
    from durable_debugger.screens import (  # noqa: F401  # importing registers
        following,  # pyright: ignore[reportUnusedImport]
        fork_dialog,  # pyright: ignore[reportUnusedImport]
        inspection,  # pyright: ignore[reportUnusedImport]
        navigation,  # pyright: ignore[reportUnusedImport]
        reach,  # pyright: ignore[reportUnusedImport]
        replaying,  # pyright: ignore[reportUnusedImport]
        timing,  # pyright: ignore[reportUnusedImport]
    )
