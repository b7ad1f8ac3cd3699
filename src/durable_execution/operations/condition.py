"""`ctx.wait_for_condition`: poll until a condition is met, suspended between polls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_execution.config import WaitForConditionConfig
from durable_execution.errors import InvocationError, WaitForConditionError
from durable_execution.operations.lifecycle import (
    announce_attempt,
    announce_attempt_ended,
    announce_completed,
    announce_replayed,
    announce_started,
    decode,
    described,
    encode,
    failure,
    recorded_state,
    store,
)
from durable_execution.operations.step import StepContext, attempts_made, run_body
from durable_execution.operations.user_function import check_parameters
from durable_execution.protocol import Operation, OperationStatus, Wire
from durable_execution.retry import WaitDecision, checked_decision
from durable_execution.runtime.call import Call
from durable_execution.runtime.state import EndedOutsideError
from durable_execution.serdes.codec import codec_for, return_annotation


async def run_condition(call: Call, check: Callable[[Any, StepContext], Any], config: WaitForConditionConfig) -> Any:
    """Return the recorded result, or continue to poll."""
    call.function = check
    recorded = await recorded_state(call)
    poll = Poll(call, check, config)
    check_parameters(check, "ctx.wait_for_condition", "state", "step")
    if recorded is None:
        announce_started(call)
    elif recorded["Status"] in ("SUCCEEDED", "FAILED"):
        announce_replayed(call, recorded)
        return poll.answer(recorded)
    else:
        announce_started(call, recorded)
    try:
        return await poll.finish(recorded)
    except EndedOutsideError:
        recorded = call.scope.state.operations[call.id]
        announce_replayed(call, recorded)
        return poll.answer(recorded)


run_condition.__qualname__ = "ctx.wait_for_condition"  # Python's warning of a forgotten await names it


class Poll:
    """The checks of one unmet condition in this invocation."""

    __slots__ = ("_call", "_check", "_codec", "_config", "_is_replayed", "_started_at")

    def __init__(self, call: Call, check: Callable[[Any, StepContext], Any], config: WaitForConditionConfig) -> None:
        annotation = config.result_type if config.result_type is not None else return_annotation(check)
        state = call.scope.state
        self._call = call
        self._check = check
        self._config = config
        self._codec = codec_for(config.serdes, annotation, operation_id=call.id, execution_arn=state.execution_arn)
        self._is_replayed = False
        self._started_at = state.clock.now() if state.announcer is not None else None

    def answer(self, recorded: Wire) -> Any:
        """Return the recorded result, or raise the recorded failure."""
        view = Operation(recorded)
        if view.status is OperationStatus.FAILED:
            raise failure(self._call, WaitForConditionError, view.error)
        return decode(self._call, self._codec, view.result) if view.result is not None else None

    async def finish(self, recorded: Wire | None) -> Any:
        """Check until the strategy is satisfied or gives up."""
        call = self._call
        if recorded is not None:
            self._is_replayed = True
            self._started_at = Operation(recorded).started_at
        stored = _stored_state(recorded)
        text = stored if stored is not None else encode(call, self._codec, self._config.initial_state)
        attempt = 1 if recorded is None else attempts_made(recorded) + 1
        while True:
            if recorded is not None and recorded["Status"] == "PENDING":
                recorded = await call.scope.state.until_changed(call)
                attempt = attempts_made(recorded) + 1
            if recorded is None or recorded["Status"] == "READY":
                call.scope.check_open(call)
                call.scope.state.batcher.add(call.update("START"))
            text, decision = await self._poll_once(text, attempt)
            if not decision.should_continue:
                return await self._succeed(text, attempt)
            update = call.update("RETRY")
            update["StepOptions"] = {"NextAttemptDelaySeconds": decision.delay_seconds}
            update["Payload"] = text
            await store(call, update)
            recorded = call.scope.state.operations[call.id]
            text = _stored_state(recorded) or text

    async def _poll_once(self, text: str, attempt: int) -> tuple[str, WaitDecision]:
        call = self._call
        began = announce_attempt(call, attempt, is_replayed=self._is_replayed)
        try:
            state = decode(call, self._codec, text)
            answered = await run_body(call, self._check, state, StepContext(call, attempt))
            new_text = encode(call, self._codec, answered)
            decision = checked_decision(
                self._config.wait_strategy(decode(call, self._codec, new_text), attempt), WaitDecision
            )
        except Exception as error:  # noqa: BLE001  # an error in the check fails the operation
            description = described(error)
            announce_attempt_ended(
                call, attempt, began, "FAILED", is_replayed=self._is_replayed, error=description, exception=error
            )
            if isinstance(error, InvocationError):
                await call.scope.state.fail(error)
            update = call.update("FAIL")
            update["Error"] = description.to_wire()
            await store(call, update)
            announce_completed(
                call,
                OperationStatus.FAILED,
                started_at=self._started_at,
                is_replayed=self._is_replayed,
                error=description,
                exception=error,
                attempt=attempt,
            )
            raise failure(call, WaitForConditionError, description) from None
        except BaseException:
            announce_attempt_ended(call, attempt, began, "INCOMPLETE", is_replayed=self._is_replayed)
            raise
        delay = decision.delay_seconds if decision.should_continue else None
        announce_attempt_ended(call, attempt, began, "SUCCEEDED", is_replayed=self._is_replayed, delay=delay)
        return new_text, decision

    async def _succeed(self, text: str, attempt: int) -> Any:
        call = self._call
        update = call.update("SUCCEED")
        update["Payload"] = text
        await store(call, update)
        announce_completed(
            call,
            OperationStatus.SUCCEEDED,
            started_at=self._started_at,
            is_replayed=self._is_replayed,
            result=text,
            attempt=attempt,
        )
        return decode(call, self._codec, text)


def _stored_state(recorded: Wire | None) -> str | None:
    if recorded is None:
        return None
    return (recorded.get("StepDetails") or {}).get("Result")
