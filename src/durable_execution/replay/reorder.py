"""Completes recorded operations in a different order and checks that the handler still makes the recorded calls.

The handler is invoked repeatedly. The first invocation has no recorded operations. After each invocation, one of the
operations it waits for, chosen at random, completes as recorded. Each call must match the operation recorded at its id.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from durable_execution.comparison.call_tree import completion_reason, side_of_recorded
from durable_execution.comparison.runtime_check import context_path, side_of_call
from durable_execution.comparison.wording import effect_of
from durable_execution.divergence import Divergence, DivergenceKind, Severity
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.observers import OperationCall
from durable_execution.protocol import OperationType
from durable_execution.protocol.enums import BATCHES, COMBINATORS, PATCH
from durable_execution.replay.recorded_state import RecordedState
from durable_execution.replay.run import ReplayRun, run_once

MAX_INVOCATIONS = 200


@dataclass(slots=True)
class _Schedule:
    """The operations that have completed so far."""

    execution: RecordedExecution
    chance: random.Random
    released: set[str]

    @classmethod
    def of(cls, execution: RecordedExecution, seed: int) -> "_Schedule":
        ready = {operation.id for operation in execution.operations if operation.subtype in COMBINATORS}
        return cls(execution, random.Random(seed), ready)

    def state(self) -> RecordedExecution:
        """Return the recording with only the operations that have completed so far."""
        return replace(self.execution, operations=tuple(self._operations()))

    def _operations(self) -> Iterator[RecordedOperation]:
        closed: set[str] = set()
        for operation in self.execution.operations:
            if operation.parent_id in closed:
                closed.add(operation.id)
            elif operation.id in self.released or operation.id in self.execution.foreign():
                yield operation
            elif is_unit(operation):
                closed.add(operation.id)
            elif operation.type is OperationType.CONTEXT:
                yield operation

    def release(self, waiting: list[RecordedOperation], count: int) -> None:
        """Complete some of the operations that the handler waits for."""
        chosen = self.chance.sample(waiting, min(count, len(waiting)))
        self.released.update(operation.id for operation in chosen)


def divergence_in_order(handler: Any, execution: RecordedExecution, *, seed: int, seconds: float) -> Divergence | None:
    """Replay with a different order of completion.

    Args:
        handler: A handler made with `@durable_execution`.
        execution: The recording.
        seed: Seed of the random order.
        seconds: Time limit.

    Returns:
        The first call that differs from the recording; None when every call matches.
    """
    schedule = _Schedule.of(execution, seed)
    deadline = time.monotonic() + seconds
    count = 1 + len(execution.operations) // MAX_INVOCATIONS
    while time.monotonic() < deadline:
        state = RecordedState.of(schedule.state(), opened=_opened(execution))
        run = run_once(handler, state, seconds=max(0.5, deadline - time.monotonic()), watch=False)
        everything = RecordedState.of(execution)
        everything.operations()
        if _takes_new_path(run):
            return None
        conflict = _conflict(run, everything)
        if conflict is not None:
            return _divergence(handler.name, *conflict)
        waiting = [one for one in _waited_for(run, everything) if one.id not in schedule.released]
        if not waiting or run.is_timed_out:
            return None
        schedule.release(waiting, count)
    return None


def _divergence(handler: str, call: OperationCall, recorded: RecordedOperation) -> Divergence:
    left, right = side_of_recorded(recorded), side_of_call(call)
    kind = DivergenceKind.RENAMED if recorded.type == call.type else DivergenceKind.CHANGED_KIND
    return Divergence(
        kind=kind,
        severity=Severity.ERROR,
        handler=handler,
        path=call.path,
        context_path=context_path(call, handler),
        position=call.position,
        recorded=left,
        replayed=right,
        likely="the code depends on which operation completes first",
        effect=effect_of(kind, left, right),
        fix="use `ctx.race(...)` or `ctx.any(...)`, which record the winner",
    )


def is_unit(operation: RecordedOperation) -> bool:
    """Whether a context completes as a whole: a map or parallel that did not wait for all of its branches."""
    if operation.type is not OperationType.CONTEXT or operation.subtype not in BATCHES:
        return False
    return operation.status.is_terminal and completion_reason(operation.result) != "ALL_COMPLETED"


def _opened(execution: RecordedExecution) -> frozenset[str]:
    contexts = (one for one in execution.operations if one.type is OperationType.CONTEXT)
    return frozenset(one.id for one in contexts if not is_unit(one) and one.status.value == "SUCCEEDED")


def _takes_new_path(run: ReplayRun) -> bool:
    """Whether `patched` took the new path, because the recorded calls ahead were not there yet: no such execution exists."""
    return any(update.get("SubType") == PATCH for update in run.service.updates)


def _conflict(run: ReplayRun, everything: RecordedState) -> tuple[OperationCall, RecordedOperation] | None:
    calls = [collected.call for collected in run.collector.calls.values()]
    if run.collector.diverged is not None and run.collector.diverged.call is not None:
        calls.append(run.collector.diverged.call)
    for call in calls:
        recorded = everything.find(call.id)
        if recorded is not None and not _is_same(call, recorded):
            return call, recorded
    return None


def _is_same(call: OperationCall, recorded: RecordedOperation) -> bool:
    return recorded.type == call.type and recorded.name == call.name and not call.is_virtual


def _waited_for(run: ReplayRun, everything: RecordedState) -> Iterator[RecordedOperation]:
    for collected in run.collector.calls.values():
        recorded = everything.find(collected.call.id)
        if recorded is None or not recorded.status.is_terminal:
            continue
        if recorded.type is not OperationType.CONTEXT or is_unit(recorded):
            yield recorded
