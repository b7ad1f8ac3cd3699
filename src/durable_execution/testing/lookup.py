"""Finds operations by name, path and index."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from durable_execution.protocol import OperationSubType
from durable_execution.testing.problems import OperationNotFoundError

if TYPE_CHECKING:
    from durable_execution.testing.operation_views import (
        BatchView,
        CallbackView,
        ConditionView,
        ContextView,
        InvokeView,
        OperationView,
        StepView,
        WaitView,
    )

V = TypeVar("V", bound="OperationView")

MAX_LISTED = 12


class Lookup:
    """Look-ups in an execution or a context, at any depth.

    Each method takes the name of the operation, or its path (relative to this object or to the handler, for example
    `notify#3/email`), or neither when there is only one of its kind. If several operations match, `index` selects one: 0 is
    the first in call order, -1 the last.

    Raises:
        OperationNotFoundError: No operation matches, or several match and there is no index. The message lists the
            operations that exist.
    """

    @property
    def path(self) -> str:
        """The path that look-ups start from."""
        raise NotImplementedError

    @property
    def operations(self) -> "Sequence[OperationView]":
        """The operations that look-ups search."""
        raise NotImplementedError

    def operation(
        self, name: str | None = None, *, path: str | None = None, index: int | None = None
    ) -> "OperationView":
        """An operation of any kind."""
        from durable_execution.testing.operation_views import OperationView

        return self._find(OperationView, "operation", name, path, index)

    def step(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "StepView":
        """A step."""
        from durable_execution.testing.operation_views import StepView

        return self._find(StepView, "step", name, path, index)

    def condition(
        self, name: str | None = None, *, path: str | None = None, index: int | None = None
    ) -> "ConditionView":
        """A `wait_for_condition`."""
        from durable_execution.testing.operation_views import ConditionView

        return self._find(ConditionView, "wait_for_condition", name, path, index)

    def wait(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "WaitView":
        """A wait."""
        from durable_execution.testing.operation_views import WaitView

        return self._find(WaitView, "wait", name, path, index)

    def callback(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "CallbackView":
        """A callback. The name of a `wait_for_callback` finds the callback inside it."""
        from durable_execution.testing.operation_views import CallbackView

        return self._find(CallbackView, "callback", name, path, index)

    def invoke(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "InvokeView":
        """A call of a function with `ctx.invoke`."""
        from durable_execution.testing.operation_views import InvokeView

        return self._find(InvokeView, "invoke", name, path, index)

    def context(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "ContextView":
        """A child context, a branch, a map or parallel, or the context of a `wait_for_callback`."""
        from durable_execution.testing.operation_views import ContextView

        return self._find(ContextView, "context", name, path, index)

    def batch(self, name: str | None = None, *, path: str | None = None, index: int | None = None) -> "BatchView":
        """A map or parallel."""
        from durable_execution.testing.operation_views import BatchView

        return self._find(BatchView, "map or parallel", name, path, index)

    def fits(self, view: "OperationView", name: str | None = None, path: str | None = None) -> bool:
        """Whether an operation matches a name and a path."""
        if path is not None and view.path not in (path, f"{self.path}/{path}", f"{self.path}{path}"):
            return False
        return name is None or view.name == name or _is_callback_of(view, name)

    def _find(self, kind: type[V], word: str, name: str | None, path: str | None, index: int | None) -> V:
        of_kind = [view for view in self.operations if isinstance(view, kind)]
        found = [view for view in of_kind if self.fits(view, name, path)]
        wanted = f"{word} {name!r}" if name is not None else f"{word} at {path!r}" if path is not None else word
        if not found:
            raise OperationNotFoundError(f"{self.path} has no {wanted}. {_listed(of_kind, word)}")
        if index is None:
            if len(found) > 1:
                raise OperationNotFoundError(
                    f"{self.path} has {len(found)} operations that match {wanted}: {_paths(found)}. Pass path=, or "
                    "index= to select by call order"
                )
            return found[0]
        try:
            return found[index]
        except IndexError:
            raise OperationNotFoundError(
                f"{self.path} has {len(found)} operations that match {wanted}, so index {index} does not exist: "
                f"{_paths(found)}"
            ) from None


def _is_callback_of(view: "OperationView", name: str) -> bool:
    parent = view.parent
    is_inside = parent is not None and parent.subtype == OperationSubType.WAIT_FOR_CALLBACK
    return is_inside and parent is not None and parent.name == name and view.kind == "callback"


def _listed(views: "Sequence[OperationView]", word: str) -> str:
    return f"It has: {_paths(views)}" if views else f"It has no {word} at all"


def _paths(views: "Sequence[OperationView]") -> str:
    shown = ", ".join(view.path for view in views[:MAX_LISTED])
    return shown + (f" and {len(views) - MAX_LISTED} more" if len(views) > MAX_LISTED else "")
