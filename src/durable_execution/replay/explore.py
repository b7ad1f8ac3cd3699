"""Looks past the first difference: which calls would the code have made next?

At run time, the first mismatch ends an execution. One call is not enough to tell a removed call from a renamed one. So the
recording is rearranged until the call fits and replayed again, until the handler finishes or cannot continue.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from durable_execution.history.recorded import RecordedOperation
from durable_execution.observers import Diverged, OperationCall
from durable_execution.protocol import OperationStatus, OperationType
from durable_execution.protocol.enums import BATCHES
from durable_execution.replay.recorded_state import ContextKey, Place, RecordedState, Slot
from durable_execution.replay.run import ReplayRun, run_once

MAX_EDITS = 60
MAX_NAMES_OF_A_CALL = 5
"""After so many names at one id, the code makes a different call in each replay, and no edit helps."""


@dataclass(slots=True)
class Exploration:
    """The outcome of replaying as far as possible.

    Attributes:
        first: The replay of the unchanged recording.
        last: The last replay, of the rearranged recording.
        state: The rearranged recording.
        replays: The number of replays.
    """

    first: ReplayRun
    last: ReplayRun
    state: RecordedState
    replays: int


@dataclass(slots=True)
class _Explorer:
    handler: Any
    state: RecordedState
    deadline: float
    watch: bool
    pretends: bool = False
    borrows: bool = True
    has_borrowed: bool = False
    removed: dict[ContextKey, list[RecordedOperation]] = field(default_factory=lambda: defaultdict(list))
    borrowed: Slot | None = None
    entered: Slot | None = None
    replays: int = 0

    @property
    def is_doubtful(self) -> bool:
        """Whether a call took a recorded result that may belong to a different call, and recorded calls are missing."""
        return self.has_borrowed and any(self.removed.values())

    def cost(self, last: ReplayRun) -> tuple[bool, bool, int]:
        """How badly the rearranged recording fits: whether the code stops early, and how many calls only one side has."""
        slots = (slot for context in self.state.slots.values() for slot in context)
        alone = sum(map(len, self.removed.values())) + sum(slot.is_room for slot in slots)
        is_other_end = last.has_failed and self.state.execution.status != "FAILED"
        return last.collector.diverged is not None or last.is_timed_out, is_other_end, alone

    def run(self) -> ReplayRun:
        self.replays += 1
        watch = self.watch and self.replays == 1
        return run_once(
            self.handler,
            self.state,
            seconds=max(0.5, self.deadline - time.monotonic()),
            watch=watch,
            pretends=self.pretends,
        )

    def edit(self, diverged: Diverged) -> bool:
        """Rearrange the recording so that the call fits. Returns whether that was possible."""
        call = diverged.call
        if call is None:
            missing = diverged.divergence.recorded
            place = self.state.places.get(missing.id) if missing is not None and missing.id is not None else None
            if place is None:
                return False
            self._take_out(place.context, place.index, len(self.state.slots[place.context]))
            return True
        place = self.state.places.get(call.id)
        recorded = self.state.find(call.id)
        if place is None or recorded is None or call.is_virtual:
            return False
        if recorded.is_branch:
            return self._rename_branch(place, recorded, call)
        if _fits(call, recorded):
            return False  # only the parent differs: rearranging cannot help
        self._fit(place, recorded, call)
        return True

    def give_nothing(self) -> bool:
        """Answer the most recently inserted call with no result, and without running its body if it is a context."""
        if self.entered is not None:
            self.entered.operation, self.entered.skipped = self.entered.skipped, None
            self.entered = None
            return True
        slot, self.borrowed = self.borrowed, None
        if slot is None or slot.operation is None or slot.operation.result is None:
            return False
        slot.operation = replace(slot.operation, result=None)
        return True

    def go_on(self, run: ReplayRun) -> bool:
        """Answer calls past the end of the recording that were removed earlier: the code only moved them.

        Calls in between are answered with no result, so that the moved ones are reached. Returns whether another replay
        can show more.
        """
        changed = False
        for collected in run.collector.calls.values():
            call = collected.call
            context = self.state.contexts.get(call.context_id)
            if collected.is_recorded or call.is_virtual or context is None or not self.removed[context]:
                continue
            place = self.state.places.get(call.id)
            if place is not None and self.state.slots[context][place.index].is_room:
                continue
            again = next((operation for operation in self.removed[context] if _fits(call, operation)), None)
            if again is not None:
                self.removed[context].remove(again)
            answer = again or self._answer_for(call, self.removed[context][0] if self.removed[context] else None)
            self.state.put(context, call.position - 1, Slot(answer, is_room=again is None))
            changed = True
        return changed

    def _fit(self, place: Place, recorded: RecordedOperation, call: OperationCall) -> None:
        for context in (place.context, *self._alike(place, recorded)):
            slots = self.state.slots[context]
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
            slot = Slot(self._answer_for(call, original or recorded), is_room=True)
            slots.insert(place.index, slot)
            if context == place.context:
                self.borrowed = slot
                self._enter(slot, call)

    def _answer_for(self, call: OperationCall, recorded: RecordedOperation | None) -> RecordedOperation | None:
        """Make a recorded result for a call that is not recorded: the one recorded in its place, or no result."""
        if self.borrows and recorded is not None and _is_alike(call, recorded):
            self.has_borrowed |= recorded.result is not None or recorded.error is not None
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

    def _enter(self, slot: Slot, call: OperationCall) -> None:
        """Run the body of a context that the recording does not have, to see whether recorded calls moved into it."""
        if call.type == OperationType.CONTEXT and slot.operation is not None and slot.operation.result is None:
            self.entered, slot.skipped, slot.operation = slot, slot.operation, None

    def _alike(self, place: Place, recorded: RecordedOperation) -> list[ContextKey]:
        """Find sibling branches with the same call at the same position: they need the same edit."""
        found: list[ContextKey] = []
        for context in self.state.siblings(place.context):
            slots = self.state.slots[context]
            other = slots[place.index].operation if place.index < len(slots) else None
            if other is not None and _key(other) == _key(recorded):
                found.append(context)
        return found

    def _take_out(self, context: ContextKey, start: int, stop: int) -> None:
        gone = [slot.operation for slot in self.state.slots[context][start:stop]]
        self.removed[context].extend(operation for operation in gone if operation is not None)
        self.state.take_out(context, start, stop)

    def _rename_branch(self, place: Place, recorded: RecordedOperation, call: OperationCall) -> bool:
        if recorded.name == call.name and recorded.subtype == call.subtype:
            return False
        slot = self.state.slots[place.context][place.index]
        slot.operation = replace(recorded, name=call.name, subtype=call.subtype)
        return True


def explore(
    handler: Any, state: RecordedState, *, seconds: float, watch: bool = True, pretends: bool = False
) -> Exploration:
    """Replay, rearranging the recording after each difference, until none is left or nothing helps.

    Args:
        handler: A `DurableHandler`.
        state: The recording; it is rearranged in place.
        seconds: Time limit for all replays together.
        watch: Whether the first replay also watches for clocks, random numbers and other suspects.
        pretends: Whether refused side effects seem to succeed.
    """
    explorer = _Explorer(handler, state, time.monotonic() + seconds, watch, pretends)
    first = explorer.run()
    last = _rearranged(explorer, first)
    if explorer.is_doubtful and time.monotonic() < explorer.deadline:
        fresh = RecordedState.of(state.execution, opened=state.opened)
        other = _Explorer(handler, fresh, explorer.deadline, watch=False, pretends=pretends, borrows=False)
        found = _rearranged(other, other.run())
        if other.cost(found) < explorer.cost(last):
            return Exploration(first, found, fresh, explorer.replays + other.replays)
    return Exploration(first, last, state, explorer.replays)


def _rearranged(explorer: _Explorer, first: ReplayRun) -> ReplayRun:
    """Rearrange the recording after each difference, and return the last replay."""
    last, best = first, len(first.collector.calls)
    names: dict[str, set[str | None]] = defaultdict(set)
    for _ in range(MAX_EDITS):
        diverged = last.collector.diverged
        if last.is_timed_out or time.monotonic() > explorer.deadline:
            break
        if diverged is not None:
            if diverged.call is not None:
                names[diverged.call.id].add(diverged.call.name)
                if len(names[diverged.call.id]) > MAX_NAMES_OF_A_CALL:
                    break
            if not explorer.edit(diverged):
                break
        elif not (explorer.give_nothing() if last.has_failed else explorer.go_on(last)):
            break
        found = explorer.run()
        if found.is_timed_out:
            break
        if len(found.collector.calls) >= best or found.collector.diverged is not None:
            best, last = len(found.collector.calls), found
    return last


def _fits_slot(call: OperationCall, slot: Slot) -> bool:
    return slot.operation is not None and _fits(call, slot.operation)


def _fits(call: OperationCall, recorded: RecordedOperation) -> bool:
    return recorded.name == call.name and _is_alike(call, recorded)


def _is_alike(call: OperationCall, recorded: RecordedOperation) -> bool:
    return recorded.type == call.type and (recorded.subtype or call.subtype) == call.subtype


def _key(recorded: RecordedOperation) -> tuple[str, str | None]:
    return recorded.type.value, recorded.name
