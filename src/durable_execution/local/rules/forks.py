"""Forks: executions that continue a recorded one from a call on, with the recorded outcomes of later calls.

No step body of a fork runs unless its call is named as live. Whenever the handler waits, the engine ends one of the calls
it waits for as it was recorded: the one that ended first. So the code sees results in the recorded order.
"""

import json
from collections import OrderedDict
from collections.abc import Awaitable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from durable_execution.local.clocks import EngineClock, millis, moment
from durable_execution.local.store.database import Store
from durable_execution.local.store.journal import Journal
from durable_execution.local.store.rows import ForkRow, OperationRow, compact
from durable_execution.protocol import Wire
from durable_execution.runtime.service import CheckpointAnswer, ServiceClient, StatePage

if TYPE_CHECKING:
    from durable_execution.runtime.call import Call
    from durable_execution.runtime.state import BodyOrder

CLOCK_MODULE = "durable_execution.operations.replay_safe"
"""The module of the body behind `ctx.now`, which reads the engine's clock and has no effect."""

PARTS = (" create callback id", " submitter")
"""What `ctx.wait_for_callback` adds to its name for the two calls it makes."""

MAX_KEPT = 64


@dataclass(frozen=True, slots=True)
class RecordedOutcome:
    """How a call ended in the recording.

    Attributes:
        order: Number of the event that ended it.
        at_ms: When it ended, in Unix milliseconds.
        type: Type of the operation.
        subtype: Its subtype.
        name: Its name.
        status: Its final status.
        attempt: Number of the last attempt of a step.
        result: Serialized result.
        error: Error object as JSON.
        input: Payload of a chained invoke; None where it is not recorded.
        function: Invoked function, or name of a step's function; None where it is not recorded.
        seconds: Duration of a wait.
        events: Its events after the first: type, time, details and payload.
    """

    order: int
    at_ms: int
    type: str
    subtype: str | None
    name: str | None
    status: str
    attempt: int
    result: str | None = None
    error: str | None = None
    input: str | None = None
    function: str | None = None
    seconds: int | None = None
    events: tuple[tuple[str, int, dict[str, Any] | None, str | None], ...] = ()

    def fits(self, operation: OperationRow) -> bool:
        """Whether a call of the fork is the recorded one: the same operation with the same arguments, where those are known."""
        if (self.type, self.subtype, self.name) != (operation.type, operation.subtype, operation.name):
            return False
        if self.type == "WAIT":
            return self.seconds in (None, operation.seconds)
        if self.type == "CHAINED_INVOKE":
            return self.function in (None, operation.function) and self.input in (None, operation.input)
        return True


@dataclass(slots=True)
class Fork:
    """A fork, as its engine works with it.

    Attributes:
        row: Its row in the store.
        outcomes: Recorded outcomes of later calls, by operation id.
        live: Names of calls that run for real.
        answers: Given outcomes by name: a serialized result, or an error object.
        parked: Steps whose body does not run, since the last decision.
        strangers: Those whose function is not the recorded one.
        is_resting: Whether the running invocation waits for recorded outcomes only, and asks for the next one.
    """

    row: ForkRow
    outcomes: dict[str, RecordedOutcome]
    live: frozenset[str]
    answers: dict[str, Wire]
    parked: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)
    is_resting: bool = False

    def is_live(self, name: str | None) -> bool:
        """Whether calls of this name run for real."""
        return not self.live.isdisjoint(names_of(name))

    def outcome_of(self, operation: OperationRow) -> RecordedOutcome | None:
        """The recorded outcome of a call; None for a call that is not recorded, or runs for real."""
        found = self.outcomes.get(operation.id)
        if found is None or self.is_live(operation.name) or not found.fits(operation):
            return None
        return found

    def answer_for(self, operation: OperationRow) -> Wire | None:
        """The given outcome of a call; None without one."""
        return next((self.answers[name] for name in names_of(operation.name) if name in self.answers), None)

    def takes_answer(self, operation: OperationRow) -> bool:
        """Whether a call that has started ends only when it is given an outcome, or at its time-out."""
        return (
            operation.is_pending
            and operation.type != "WAIT"
            and not (operation.type == "STEP" and operation.due_ms is not None)
            and not (operation.type == "CHAINED_INVOKE" and self.is_live(operation.name))
            and self.outcome_of(operation) is None
        )


def names_of(name: str | None) -> Iterable[str]:
    """The names by which a user can mean a call: its own, and that of the `wait_for_callback` that makes it."""
    if name is not None:
        yield name
        for part in PARTS:
            if name.endswith(part):
                yield name.removesuffix(part)


class ForkBook:
    """The forks of a store, read when they are needed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[int, Fork] = OrderedDict()

    def of(self, key: int) -> Fork | None:
        """The fork with a key; None if the execution is not a fork. Call it inside a transaction or snapshot."""
        if key in self._kept:
            return self._kept[key]
        row = self._store.forks.by_key(key)
        if row is None:
            return None
        outcomes = {id_: _outcome(found) for id_, found in json.loads(row.outcomes).items()}
        fork = self._kept[key] = Fork(row, outcomes, frozenset(json.loads(row.live)), json.loads(row.answers))
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return fork

    def resting(self, key: int) -> Fork | None:
        """The fork with a key if its running invocation asks for the next recorded outcome."""
        fork = self._kept.get(key)
        if fork is None or not fork.is_resting:
            return None
        fork.is_resting = False
        return fork

    def answer(self, fork: Fork, name: str, outcome: Wire) -> None:
        """Keep the given outcome of calls with a name. Call it inside a transaction."""
        fork.answers[name] = outcome
        fork.row = fork.row._replace(answers=compact(fork.answers))
        self._store.forks.put(fork.row)

    def drop(self, fork: Fork, id_: str) -> None:
        """Forget a recorded outcome that belongs to a different function. Call it inside a transaction."""
        del fork.outcomes[id_]
        fork.row = fork.row._replace(outcomes=encoded(fork.outcomes))
        self._store.forks.put(fork.row)


def encoded(outcomes: dict[str, RecordedOutcome]) -> str:
    """Recorded outcomes as the store keeps them."""
    return compact({id_: asdict(outcome) for id_, outcome in outcomes.items()})


def _outcome(found: dict[str, Any]) -> RecordedOutcome:
    fields: dict[str, Any] = dict(found)
    fields["events"] = tuple((kind, at, more, data) for kind, at, more, data in found["events"])
    return RecordedOutcome(**fields)


class ForkClient:
    """The service client of a fork's handler: step bodies wait instead of running, unless they are live.

    Attributes:
        body_order: Runs the bodies of live steps. A host that isolates the handler sets it.
    """

    answers_immediately = True

    def __init__(self, client: ServiceClient, fork: Fork) -> None:
        self._client = client
        self._fork = fork
        self._has_asked = False
        self.body_order: BodyOrder | None = None
        self.seed_arn = fork.row.seed

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Apply updates."""
        answer = await self._client.checkpoint(execution_arn, token, updates)
        if answer.operations:
            self._has_asked = False
        return answer

    def before_suspension(self) -> bool:
        """Ask for the next recorded outcome, so that the invocation goes on with it. False if there was none just now.

        A fork of a long execution would otherwise read its whole state again for every call.
        """
        self._fork.is_resting = not self._has_asked
        self._has_asked = True
        return self._fork.is_resting

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Read a page of operations."""
        return await self._client.get_state(execution_arn, token, marker)

    def stand_in(self, call: "Call") -> Awaitable[Any] | None:
        """Wait in place of a step's body; None runs the body."""
        from durable_execution.runtime.call import qualified_name_of

        fork = self._fork
        recorded = fork.outcomes.get(call.id)
        if fork.is_live(call.name) or (recorded is None and getattr(call.function, "__module__", "") == CLOCK_MODULE):
            return None
        if recorded is not None and recorded.function not in (None, qualified_name_of(call.function)):
            fork.strangers.add(call.id)
        fork.parked.add(call.id)
        return _wait(call)


async def _wait(call: "Call") -> NoReturn:
    from durable_execution.runtime.state import EndedOutsideError

    while (await call.scope.state.until_changed(call))["Status"] == "READY":
        pass
    raise EndedOutsideError


def end_next(book: ForkBook, clock: EngineClock, journal: Journal, fork: Fork) -> None:
    """End the next call that a fork's handler waits for, as given or recorded. Without one, leave all of them open."""
    for id_ in sorted(fork.strangers):
        book.drop(fork, id_)
    for id_ in sorted(fork.parked):
        operation = journal.operation(id_)
        if operation is not None and operation.status == "STARTED":
            journal.put(operation._replace(status="PENDING"))
    fork.parked.clear()
    fork.strangers.clear()
    journal.flush()
    waiting = [each for each in journal.store.operations.pending(journal.row.key) if each.is_pending]
    for operation in waiting:
        if (given := fork.answer_for(operation)) is not None and fork.takes_answer(operation):
            end_as(journal, operation, given)
            return
    recorded = [(found, each) for each in waiting if (found := fork.outcome_of(each)) is not None]
    for _, operation in recorded:
        if operation.due_ms is not None:
            journal.put(operation._replace(due_ms=None))  # it ends as recorded, not by its own timer
    if not recorded:
        return
    journal.flush()
    outcome, operation = min(recorded, key=lambda pair: pair[0].order)
    due_ms = journal.store.operations.next_due(journal.row.key)
    if due_ms is not None and due_ms < outcome.at_ms:
        return  # a timer that is not recorded is due before
    clock.advance_to(moment(outcome.at_ms))
    journal.now_ms = max(journal.now_ms, millis(clock.now()))
    _end(journal, operation, outcome)


def _end(journal: Journal, operation: OperationRow, outcome: RecordedOutcome) -> None:
    ended = operation._replace(
        status=outcome.status,
        ended_ms=journal.now_ms,
        due_ms=None,
        scheduled_ms=operation.scheduled_ms if operation.type == "WAIT" else None,
        attempt=outcome.attempt,
        result=outcome.result,
        error=outcome.error,
    )
    journal.settle(ended)
    for kind, at_ms, details, data in outcome.events:
        journal.happen(kind, ended, details=details, data=data, at_ms=min(at_ms, journal.now_ms))


FAMILY = {"STEP": "Step", "CALLBACK": "Callback", "CHAINED_INVOKE": "ChainedInvoke", "CONTEXT": "Context"}


def end_as(journal: Journal, operation: OperationRow, given: Wire) -> None:
    """End a call with a given outcome: `{"result": text}` or `{"error": error object}`."""
    is_error = "error" in given
    attempt = operation.attempt + (operation.type == "STEP")
    ended = operation._replace(
        status="FAILED" if is_error else "SUCCEEDED",
        ended_ms=journal.now_ms,
        due_ms=None,
        scheduled_ms=None,
        attempt=attempt,
        result=None if is_error else given["result"],
        error=compact(given["error"]) if is_error else None,
    )
    journal.settle(ended)
    details = {"RetryDetails": {"CurrentAttempt": attempt}} if operation.type == "STEP" else None
    kind = f"{FAMILY[operation.type]}{'Failed' if is_error else 'Succeeded'}"
    journal.happen(kind, ended, details=details, data=ended.error if is_error else ended.result)


def open_questions(journal_operations: Iterable[OperationRow], fork: Fork) -> list[OperationRow]:
    """The calls of a fork that wait for an answer."""
    return [each for each in journal_operations if fork.takes_answer(each) and fork.answer_for(each) is None]


LONG = timedelta(days=36_500)
"""How long a fork is kept: its times are those of its origin, which may be long ago."""
