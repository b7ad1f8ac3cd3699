"""Looks behind a difference: what would the code have called next?

At run time, the first mismatch ends an execution. One call is not enough to tell a removed call from a renamed one, so the
recording is rearranged as if it fitted and replayed again, until the code has come to its end or cannot go on.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from durable_execution.observers import Diverged, OperationCall
from durable_execution.protocol import OperationStatus, OperationSubType, OperationType
from durable_execution.replay.recorded import RecordedOperation
from durable_execution.replayer.run import ReplayRun, run_once
from durable_execution.replayer.world import ContextKey, Place, Slot, World

MAX_EDITS = 60
BATCHES = (OperationSubType.MAP.value, OperationSubType.PARALLEL.value)


@dataclass(slots=True)
class Exploration:
    """What replaying, as far as possible, came to.

    Attributes:
        first: The replay of the recording as it is.
        last: The last replay, of the recording as rearranged.
        world: The recording as rearranged.
        replays: How many there were.
    """

    first: ReplayRun
    last: ReplayRun
    world: World
    replays: int


@dataclass(slots=True)
class _Explorer:
    handler: Any
    world: World
    deadline: float
    watch: bool
    removed: dict[ContextKey, list[RecordedOperation]] = field(default_factory=lambda: defaultdict(list))
    borrowed: Slot | None = None
    replays: int = 0

    def run(self) -> ReplayRun:
        self.replays += 1
        watch = self.watch and self.replays == 1
        return run_once(self.handler, self.world, seconds=max(0.5, self.deadline - time.monotonic()), watch=watch)

    def edit(self, diverged: Diverged) -> bool:
        """Rearrange the recording so that a call fits. Returns whether that was possible."""
        call = diverged.call
        if call is None:
            missing = diverged.divergence.recorded
            place = self.world.places.get(missing.id) if missing is not None else None
            if place is None:
                return False
            self._take_out(place.context, place.index, len(self.world.slots[place.context]))
            return True
        place = self.world.places.get(call.id)
        recorded = self.world.find(call.id)
        if place is None or recorded is None or call.is_virtual:
            return False
        if recorded.is_branch:
            return self._rename_branch(place, recorded, call)
        if _fits(call, recorded):
            return False  # only its parent differs: no rearrangement helps
        self._fit(place, recorded, call)
        return True

    def give_nothing(self) -> bool:
        """Answer the call that room was made for last with nothing, instead of with what another call gave."""
        slot, self.borrowed = self.borrowed, None
        if slot is None or slot.operation is None or slot.operation.result is None:
            return False
        slot.operation = replace(slot.operation, result=None)
        return True

    def go_on(self, run: ReplayRun) -> bool:
        """Answer calls behind the end of the recording that were taken out before: they were only moved.

        To find them, calls in between are answered with nothing. Returns whether there is more to see.
        """
        changed = False
        for collected in run.collector.calls.values():
            call = collected.call
            context = self.world.contexts.get(call.context_id)
            if collected.is_recorded or call.is_virtual or context is None or not self.removed[context]:
                continue
            place = self.world.places.get(call.id)
            if place is not None and self.world.slots[context][place.index].is_room:
                continue
            again = next((operation for operation in self.removed[context] if _fits(call, operation)), None)
            if again is not None:
                self.removed[context].remove(again)
            answer = again or _answer_for(call, self.removed[context][0] if self.removed[context] else None)
            self.world.put(context, call.position - 1, Slot(answer, is_room=again is None))
            changed = True
        return changed

    def _fit(self, place: Place, recorded: RecordedOperation, call: OperationCall) -> None:
        for context in (place.context, *self._alike(place, recorded)):
            slots = self.world.slots[context]
            later = next((n for n in range(place.index + 1, len(slots)) if _fits_slot(call, slots[n])), None)
            if later is not None:
                self._take_out(context, place.index, later)
                continue
            again = next((op for op in self.removed[context] if _fits(call, op)), None)
            if again is not None:
                self.removed[context].remove(again)
                slots.insert(place.index, Slot(again))
                continue
            original = slots[place.index].operation if place.index < len(slots) else None
            slots.insert(place.index, Slot(_answer_for(call, original or recorded), is_room=True))
            if context == place.context:
                self.borrowed = slots[place.index]

    def _alike(self, place: Place, recorded: RecordedOperation) -> list[ContextKey]:
        """Sibling branches that have the same call in the same place: the same edit will be needed there."""
        found: list[ContextKey] = []
        for context in self.world.siblings(place.context):
            slots = self.world.slots[context]
            other = slots[place.index].operation if place.index < len(slots) else None
            if other is not None and _key(other) == _key(recorded):
                found.append(context)
        return found

    def _take_out(self, context: ContextKey, start: int, stop: int) -> None:
        gone = [slot.operation for slot in self.world.slots[context][start:stop]]
        self.removed[context].extend(operation for operation in gone if operation is not None)
        self.world.take_out(context, start, stop)

    def _rename_branch(self, place: Place, recorded: RecordedOperation, call: OperationCall) -> bool:
        if recorded.name == call.name and recorded.subtype == call.subtype:
            return False
        slot = self.world.slots[place.context][place.index]
        slot.operation = replace(recorded, name=call.name, subtype=call.subtype)
        return True


def explore(handler: Any, world: World, *, seconds: float, watch: bool = True) -> Exploration:
    """Replay, rearranging the recording after each difference, until there is none or no way on.

    Args:
        handler: A `DurableHandler`.
        world: The recording; it is rearranged.
        seconds: Time limit for all replays together.
        watch: Whether to watch what else the code depends on, in the first replay.
    """
    explorer = _Explorer(handler, world, time.monotonic() + seconds, watch)
    first = last = explorer.run()
    best = len(last.collector.calls)
    for _ in range(MAX_EDITS):
        diverged = last.collector.diverged
        if last.is_timed_out or time.monotonic() > explorer.deadline:
            break
        if diverged is not None:
            if not explorer.edit(diverged):
                break
        elif not (explorer.give_nothing() if last.has_failed else explorer.go_on(last)):
            break
        found = explorer.run()
        if found.is_timed_out:
            break
        if len(found.collector.calls) >= best or found.collector.diverged is not None:
            best, last = len(found.collector.calls), found
    return Exploration(first, last, world, explorer.replays)


def _answer_for(call: OperationCall, recorded: RecordedOperation | None) -> RecordedOperation | None:
    """A recorded end for a call that the recording does not have: what stands in its place, or nothing."""
    if recorded is not None and recorded.type == call.type and (recorded.subtype or call.subtype) == call.subtype:
        return replace(recorded, name=call.name, subtype=call.subtype)
    if call.subtype in BATCHES:
        return None
    return RecordedOperation(
        id=f"room-{call.id}",
        parent_id=None,
        depth=0,
        position=None,
        path=call.path,
        type=OperationType(call.type),
        subtype=call.subtype,
        name=call.name,
        status=OperationStatus.SUCCEEDED,
        started_at=recorded.started_at if recorded else None,
        ended_at=recorded.started_at if recorded else None,
    )


def _fits_slot(call: OperationCall, slot: Slot) -> bool:
    return slot.operation is not None and _fits(call, slot.operation)


def _fits(call: OperationCall, recorded: RecordedOperation) -> bool:
    return _key(recorded) == (call.type, call.name) and (recorded.subtype or call.subtype) == call.subtype


def _key(recorded: RecordedOperation) -> tuple[str, str | None]:
    return recorded.type.value, recorded.name
