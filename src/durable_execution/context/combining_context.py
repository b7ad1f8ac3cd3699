"""The combinators of a context: `all`, `race`, `any` and `all_settled`, with their types up to four mixed results.

As with `asyncio.gather`, the type of several results is a tuple, and the value is a list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from durable_execution.protocol import OperationType

if TYPE_CHECKING:
    from durable_execution.operations.combinators import Settled
    from durable_execution.runtime.scope import ContextScope

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")

STEP = OperationType.STEP.value

Pending: TypeAlias = Coroutine[object, None, T]
"""What an operation returns: a coroutine. Not `Coroutine[Any, Any, T]`, with which mypy takes `gather`'s result for `Any`."""


class Combinators:
    """The combinators of a context."""

    __slots__ = ()

    _scope: ContextScope

    @overload
    def all(self, a: Awaitable[T1], b: Awaitable[T2], /, *, name: str | None = None) -> Pending[tuple[T1, T2]]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def all(
        self, a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /, *, name: str | None = None
    ) -> Pending[tuple[T1, T2, T3]]: ...
    @overload
    def all(
        self, a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], /, *, name: str | None = None
    ) -> Pending[tuple[T1, T2, T3, T4]]: ...
    @overload
    def all(self, *awaitables: Awaitable[T], name: str | None = None) -> Pending[list[T]]: ...
    def all(self, *awaitables: Awaitable[Any], name: str | None = None) -> Pending[Any]:
        """Wait for all, and return their values in order; raise the first error as soon as it occurs.

        The first failure is recorded, so a replay raises the same one. The other awaitables are cancelled.
        """
        from durable_execution.operations import combinators

        combinators.check_awaitables("ctx.all", awaitables)
        call = self._scope.reserve(STEP, "All", name)
        return combinators.run_all(call, awaitables)

    @overload
    def race(self, a: Awaitable[T1], b: Awaitable[T2], /, *, name: str | None = None) -> Pending[T1 | T2]: ...
    @overload
    def race(
        self, a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /, *, name: str | None = None
    ) -> Pending[T1 | T2 | T3]: ...
    @overload
    def race(
        self, a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], /, *, name: str | None = None
    ) -> Pending[T1 | T2 | T3 | T4]: ...
    @overload
    def race(self, *awaitables: Awaitable[T], name: str | None = None) -> Pending[T]: ...
    def race(self, *awaitables: Awaitable[Any], name: str | None = None) -> Pending[Any]:
        """Wait for the first to end, and return its value or raise its error.

        The winner is recorded, so a replay picks the same one. Losers are cancelled and start nothing new.
        """
        from durable_execution.errors import ConfigurationError
        from durable_execution.operations import combinators

        if not awaitables:
            raise ConfigurationError("ctx.race needs at least one awaitable")
        combinators.check_awaitables("ctx.race", awaitables)
        call = self._scope.reserve(STEP, "Race", name)
        return combinators.run_race(call, awaitables)

    @overload
    def any(self, a: Awaitable[T1], b: Awaitable[T2], /, *, name: str | None = None) -> Pending[T1 | T2]: ...
    @overload
    def any(
        self, a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /, *, name: str | None = None
    ) -> Pending[T1 | T2 | T3]: ...
    @overload
    def any(
        self, a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], /, *, name: str | None = None
    ) -> Pending[T1 | T2 | T3 | T4]: ...
    @overload
    def any(self, *awaitables: Awaitable[T], name: str | None = None) -> Pending[T]: ...
    def any(self, *awaitables: Awaitable[Any], name: str | None = None) -> Pending[Any]:
        """Wait for the first to succeed, and return its value; raise an ExceptionGroup if all fail.

        The winner is recorded, so a replay picks the same one. Losers are cancelled and start nothing new.
        """
        from durable_execution.errors import ConfigurationError
        from durable_execution.operations import combinators

        if not awaitables:
            raise ConfigurationError("ctx.any needs at least one awaitable")
        combinators.check_awaitables("ctx.any", awaitables)
        call = self._scope.reserve(STEP, "Any", name)
        return combinators.run_any(call, awaitables)

    @overload
    def all_settled(self, a: Awaitable[T1], b: Awaitable[T2], /) -> Pending[tuple[Settled[T1], Settled[T2]]]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def all_settled(
        self, a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /
    ) -> Pending[tuple[Settled[T1], Settled[T2], Settled[T3]]]: ...
    @overload
    def all_settled(
        self, a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], /
    ) -> Pending[tuple[Settled[T1], Settled[T2], Settled[T3], Settled[T4]]]: ...
    @overload
    def all_settled(self, *awaitables: Awaitable[T]) -> Pending[list[Settled[T]]]: ...
    def all_settled(self, *awaitables: Awaitable[Any]) -> Pending[Any]:
        """Wait for all to end, and return how each ended, in order. Only the operations themselves are recorded."""
        from durable_execution.operations import combinators

        combinators.check_awaitables("ctx.all_settled", awaitables)
        return combinators.run_all_settled(awaitables)
