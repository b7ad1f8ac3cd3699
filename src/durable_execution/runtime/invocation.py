"""Runs one invocation on the environment's loop, from the handler's first line to the decision how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

from durable_execution.runtime.loop import cancel_all
from durable_execution.runtime.state import Ending, ExecutionState, Outcome

logger = logging.getLogger("durable_execution")

UNWINDING_SECONDS = 1.0
"""How long a blocking thread may take to clean up after its invocation has ended."""


class Invocation:
    """One run of a handler.

    Attributes:
        context: The context variables the handler runs with. Observers are notified in it.
    """

    def __init__(self, make_state: Callable[[], ExecutionState]) -> None:
        self.context: Context = copy_context()
        self._make_state = make_state
        self._state: ExecutionState | None = None

    def on_idle(self, timeout: float | None) -> bool:
        """The loop is about to sleep; see `ExecutionState.on_idle`."""
        return self._state is not None and self._state.on_idle(timeout)

    async def run(self, main: Callable[[ExecutionState], Coroutine[Any, Any, Any]]) -> tuple[ExecutionState, Outcome]:
        """Run the handler until it returns, raises, is suspended, or cannot go on.

        Args:
            main: Returns the handler's coroutine for a state.

        Returns:
            The final state, and how the invocation ends.
        """
        state = self._state = self._make_state()
        sender = state.loop.create_task(state.batcher.run())
        handler = state.loop.create_task(_conclude(state, main), context=self.context)
        state.tasks.add(handler)
        try:
            outcome = await state.outcome
            outcome = await self._settle(state, outcome)
        finally:
            state.close()
            sender.cancel()
            left = await cancel_all(state.tasks) + await _join(state)
            self._state = None
        if left and outcome.ending is Ending.SUSPENDED:
            logger.warning(
                "%d %s of the handler caught the suspension or is still cleaning up. The invocation answers PENDING anyway. "
                "Write `except Exception`, not `except BaseException` or a bare `except`",
                left,
                "task" if left == 1 else "tasks",
                extra={"executionArn": state.execution_arn},
            )
        return state, outcome

    async def store_result(self, state: ExecutionState, update: dict[str, Any]) -> Outcome | None:
        """Checkpoint the end of the execution, for a result that is too large to return.

        Returns:
            The outcome if the checkpoint failed; None when the result is stored.
        """
        state.outcome = state.loop.create_future()
        sender = state.loop.create_task(state.batcher.run())
        stored = state.batcher.store(update)
        try:
            futures: list[asyncio.Future[Any]] = [stored, state.outcome]
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sender.cancel()
        return state.outcome.result() if state.outcome.done() else None

    async def _settle(self, state: ExecutionState, outcome: Outcome) -> Outcome:
        """Let the call in flight finish: its answer may say that nothing more can be stored."""
        if state.batcher.is_sending and outcome.ending is not Ending.FAILED:
            await state.batcher.settled()
        if state.batcher.is_revoked and outcome.ending is not Ending.FAILED:
            return Outcome(Ending.SUSPENDED)
        return outcome


async def _join(state: ExecutionState) -> int:
    """Wait for threads that are unwinding. Returns how many have not ended in time."""
    if not state.threads:
        return 0
    _, left = await asyncio.wait(state.threads, timeout=UNWINDING_SECONDS)
    return len(left)


async def _conclude(state: ExecutionState, main: Callable[[ExecutionState], Coroutine[Any, Any, Any]]) -> None:
    try:
        value = await main(state)
    except Exception as error:  # noqa: BLE001  # the handler's error is the execution's
        state.decide(Outcome(Ending.RAISED, error=error))
    except asyncio.CancelledError as error:
        if not state.is_decided:
            state.decide(
                Outcome(Ending.RAISED, error=RuntimeError(f"the handler was cancelled by its own code: {error}"))
            )
        raise
    except BaseException as error:
        # An exit of the process, which the loop handles; or the exception with which a test framework ends a test.
        state.decide(Outcome(Ending.RAISED, error=error))
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
    else:
        state.decide(Outcome(Ending.RETURNED, value))
