"""`ctx.run_in_child_context`, and the lifecycle of every context: child, branch and composed operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from durable_execution.config import ChildConfig
from durable_execution.errors import (
    ChildContextError,
    ExecutionError,
    InvocationError,
    OperationError,
)
from durable_execution.operations.lifecycle import (
    announce_completed,
    announce_entered,
    announce_left,
    announce_replayed,
    announce_started,
    decode,
    described,
    encode,
    failure,
    recorded_state,
    restored,
    round_trip,
    store,
)
from durable_execution.protocol import Operation, OperationStatus, Wire
from durable_execution.protocol.enums import MAX_CONTEXT_RESULT_BYTES
from durable_execution.runtime.call import Call
from durable_execution.runtime.guard import check_finished
from durable_execution.runtime.loop import scope as running_scope
from durable_execution.runtime.scope import ContextScope
from durable_execution.serdes.interface import Codec

if TYPE_CHECKING:
    from datetime import datetime

DEFAULT_CONFIG = ChildConfig()
Body = Callable[[ContextScope], Awaitable[Any]]
Summary = Callable[[Any], str]


class Keeping(NamedTuple):
    """How the result of a context is stored.

    Attributes:
        codec: Codec of the result.
        summarize: Creates the text stored in place of a result that is not stored itself; by default that text is empty.
        is_rebuilt: Whether the result is never stored, and a replay always rebuilds it from the context's operations, each
            of which uses its own serializer. When false, only results above 256 KiB are rebuilt.
    """

    codec: Codec
    summarize: Summary | None = None
    is_rebuilt: bool = False

    def summary(self, value: Any) -> str:
        """Create the text stored in place of a result."""
        return str(self.summarize(value)) if self.summarize is not None else ""


async def run_context(call: Call, body: Body, keeping: Keeping) -> Any:
    """Return a context's recorded result, or run its body and checkpoint the result.

    Args:
        call: The CONTEXT operation.
        body: Called with the scope inside the context.
        keeping: How the result is stored.

    Raises:
        ChildContextError: The body raised, in this run or in the recorded one.
    """
    recorded = await recorded_state(call)
    if recorded is not None:
        status = recorded["Status"]
        details = recorded.get("ContextDetails") or {}
        if status == "SUCCEEDED" and not details.get("ReplayChildren"):
            announce_replayed(call, recorded)
            result = details.get("Result")
            return await restored(call, keeping.codec, result) if result is not None else None
        if status not in ("STARTED", "SUCCEEDED"):
            announce_replayed(call, recorded)
            raise failure(call, ChildContextError, Operation(recorded).error)
        if status == "STARTED":
            announce_started(call, recorded)
    else:
        announce_started(call)
        if not call.is_virtual:
            call.scope.check_open(call)
            call.scope.state.batcher.add(call.update("START"))
    return await _run_body(call, body, keeping, recorded)


run_context.__qualname__ = "ctx.run_in_child_context"  # Python's warning of a forgotten await names it


async def _run_body(call: Call, body: Body, keeping: Keeping, recorded: Wire | None) -> Any:
    state = call.scope.state
    is_rebuilding = recorded is not None and recorded["Status"] == "SUCCEEDED"
    scope = ContextScope.of(call)
    scope.is_rebuilding = scope.is_rebuilding or is_rebuilding
    started_at = _started_at(call, recorded)
    entered_at = announce_entered(call, is_replaying_children=is_rebuilding)
    token = running_scope.set(scope)

    def leave(outcome: str, error: Exception | None = None) -> None:
        scope.is_closed = True
        if state.announcer is not None:
            description = described(error) if error is not None else None
            announce_left(
                call,
                entered_at,
                outcome,
                is_replaying_children=is_rebuilding,
                error=description,
                exception=error,
            )

    try:
        value = await body(scope)
        await check_finished(scope)
        payload, result = await _through_its_serializer(call, value, keeping)
    except Exception as error:
        leave("FAILED", error)
        if _ends_execution(error):
            raise
        await _fail(call, error, recorded, started_at)
    except BaseException:
        leave("INCOMPLETE")
        raise
    finally:
        running_scope.reset(token)
    leave("SUCCEEDED")
    if is_rebuilding and recorded is not None:
        announce_replayed(call, recorded)
        return result
    await _succeed(call, value, payload, recorded, started_at, keeping)
    return result


async def _through_its_serializer(call: Call, value: Any, keeping: Keeping) -> tuple[str, Any]:
    codec = keeping.codec
    if keeping.is_rebuilt:
        return keeping.summary(value), value
    if codec.is_blocking:
        return await round_trip(call, codec, value)
    payload = encode(call, codec, value)
    return payload, decode(call, codec, payload)


async def _succeed(
    call: Call, value: Any, payload: str, recorded: Wire | None, started_at: datetime | None, keeping: Keeping
) -> None:
    if not call.is_virtual:
        update = call.update("SUCCEED")
        if keeping.is_rebuilt or _is_large(payload):
            update["ContextOptions"] = {"ReplayChildren": True}
            update["Payload"] = payload if keeping.is_rebuilt else keeping.summary(value)
        else:
            update["Payload"] = payload
        await store(call, update)
    announce_completed(
        call, OperationStatus.SUCCEEDED, started_at=started_at, is_replayed=recorded is not None, result=payload
    )


def _is_large(payload: str) -> bool:
    if len(payload) <= MAX_CONTEXT_RESULT_BYTES // 4:
        return False
    from durable_execution.serdes.sizes import size_in_bytes

    return size_in_bytes(payload) > MAX_CONTEXT_RESULT_BYTES


async def _fail(call: Call, error: Exception, recorded: Wire | None, started_at: datetime | None) -> NoReturn:
    description = described(error)
    if not call.is_virtual and not (recorded is not None and recorded["Status"] == "SUCCEEDED"):
        update = call.update("FAIL")
        update["Error"] = description.to_wire()
        await store(call, update)
    announce_completed(
        call,
        OperationStatus.FAILED,
        started_at=started_at,
        is_replayed=recorded is not None,
        error=description,
        exception=error,
    )
    raise failure(call, ChildContextError, description) from None


def _ends_execution(error: Exception) -> bool:
    """Whether an error ends the execution or the invocation, instead of failing the context."""
    return isinstance(error, (ExecutionError, InvocationError)) and not isinstance(error, OperationError)


def _started_at(call: Call, recorded: Wire | None) -> datetime | None:
    state = call.scope.state
    if state.announcer is None:
        return None
    return Operation(recorded).started_at if recorded is not None else state.clock.now()
