"""Starts forks, lists the calls they wait for, and takes the answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from durable_execution.errors import EngineError, ForkRefusedError
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.local.clocks import moment
from durable_execution.local.fork_plan import ForkPlan, plan_of
from durable_execution.local.function_registry import LATEST, Function, Target
from durable_execution.local.hosts import Invocation, LambdaContext, is_in_process
from durable_execution.local.invoke_api import encode_payload
from durable_execution.local.lambda_client import dated
from durable_execution.local.queries import Queries
from durable_execution.local.recovery import Recovery
from durable_execution.local.rules.executions import Start, begin_execution
from durable_execution.local.rules.forks import LONG, Fork, ForkClient, encoded, end_next, open_questions
from durable_execution.local.store.rows import ExecutionRow, ForkRow, OperationRow, compact
from durable_execution.local.transaction import Backend
from durable_execution.local.wire import operation_wire
from durable_execution.observers import Diverged, Observer
from durable_execution.protocol import ErrorObject, ExecutionArn, Wire
from durable_execution.runtime.service import CheckpointAnswer, StatePage

UNCHANGED: Any = object()
"""Stands for the recorded value."""

NAME_LENGTH = 64


def edit_of(result: Any, error: ErrorObject | None) -> Wire | None:
    """How a call ends instead of as recorded; None if it ends as recorded.

    Raises:
        EngineError: Both are given, or the result cannot be serialized as JSON.
    """
    if error is not None:
        if result is not UNCHANGED and result is not None:
            raise EngineError("a call ends with a result or with an error: pass one of them.")
        return {"error": error.to_wire()}
    return None if result is UNCHANGED else {"result": encode_payload(result)}


class ForkControl:
    """The forks of one engine."""

    def __init__(self, backend: Backend, recovery: Recovery, queries: Queries) -> None:
        self._backend = backend
        self._recovery = recovery
        self._queries = queries

    def recorded(self, arn: str) -> RecordedExecution:
        """Read an execution of this store."""
        events: list[Wire] = []
        marker: str | None = None
        while True:
            page = self._queries.history(arn, with_data=True, marker=marker, max_items=1000)
            events += [dated(event) for event in page["Events"]]
            marker = page.get("NextMarker")
            if not marker:
                return read_history(events, arn=arn)

    def start(
        self,
        origin: RecordedExecution,
        at: str,
        function: Function,
        edit: Wire | None,
        payload: Any,
        live: Sequence[str],
        answers: Mapping[str, Any],
        name: str | None,
    ) -> str:
        """Start a fork, after a rehearsal that the code reaches the call. Returns the fork's ARN."""
        if not is_in_process(function.host):
            raise ForkRefusedError(
                f"the function {function.name} runs in a different process, where its step bodies would run. Register the handler "
                "itself on this engine."
            )
        plan = plan_of(origin, at, edit, None if payload is UNCHANGED else encode_payload(payload))
        seed = origin.forked_from.seed if origin.forked_from is not None else origin.arn
        fork = ForkRow(
            execution=0,
            origin=origin.arn,
            call=plan.call.path,
            is_edited=int(plan.is_edited),
            seed=seed,
            outcomes=encoded(plan.outcomes),
            live=compact(sorted(live)),
            answers=compact({each: edit_of(value, None) for each, value in answers.items()}),
        )
        self._rehearse(origin, plan, fork, function)
        self._recovery.hold_lease()
        self._backend.clock.advance_to(moment(plan.moment_ms))
        return self._begin(origin, plan, fork, function, name)

    def questions(self, row: ExecutionRow) -> list[str]:
        """The calls that wait for an outcome from the user."""
        with self._backend.store.snapshot():
            fork = self._fork(row)
            return [_named(each) for each in open_questions(self._backend.store.operations.pending(row.key), fork)]

    def answer(self, row: ExecutionRow, name: str, outcome: Wire) -> None:
        """Keep the outcome of calls with a name, and end the next call."""
        with self._backend.transaction() as transaction:
            fork = self._fork(row)
            self._backend.forks.answer(fork, name, outcome)
            journal = transaction.journal_of(row.key)
            if journal is not None and journal.row.ended_ms is None and not journal.row.is_running:
                journal.set(owner=self._backend.owner)
                end_next(self._backend.forks, self._backend.clock, journal, fork)
        self._backend.on_change()

    def _fork(self, row: ExecutionRow) -> Fork:
        fork = self._backend.forks.of(row.key)
        if fork is None:
            raise EngineError(f"{row.arn} is not a fork: only the calls of a fork take answers.")
        return fork

    def _begin(
        self, origin: RecordedExecution, plan: ForkPlan, fork: ForkRow, function: Function, name: str | None
    ) -> str:
        backend = self._backend
        with backend.transaction() as transaction:
            start = Start(function, Target(function.name, LATEST), plan.input, name=name or self._name(origin))
            row, is_new = begin_execution(backend, transaction, start)
            if not is_new:
                raise EngineError(f"an execution named {row.name} of {function.name} exists: use a different name.")
            backend.store.forks.put(fork._replace(execution=row.key))
            journal = transaction.journal(row)
            journal.put(journal.root()._replace(started_ms=plan.started_ms))
            journal.set(started_ms=plan.started_ms, retention_days=LONG.days, invocation=plan.invocations)
            journal.restate(
                {
                    "ForkedFrom": {
                        "DurableExecutionArn": fork.origin,
                        "Call": fork.call,
                        "IsEdited": bool(fork.is_edited),
                        "SeedArn": fork.seed,
                    }
                },
                plan.started_ms,
            )
            for operation in plan.operations:
                journal.put(operation._replace(execution=row.key))
            journal.adopt(plan.events)
        return row.arn

    def _name(self, origin: RecordedExecution) -> str:
        taken = self._backend.ids.new().replace("-", "")[-8:]
        stem = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in origin.name or "execution")
        return f"{stem[: NAME_LENGTH - 14]}-fork-{taken}"

    def _rehearse(self, origin: RecordedExecution, plan: ForkPlan, fork: ForkRow, function: Function) -> None:
        """Run the code up to the call, without an execution, to see whether it takes the recorded way.

        Raises:
            ForkRefusedError: It does not.
        """
        backend = self._backend
        arn = origin.arn or str(ExecutionArn(function.name, "rehearsal", "rehearsal"))
        root = OperationRow(
            0, 0, "rehearsal", None, None, "EXECUTION", None, "STARTED", plan.started_ms, input=plan.input
        )
        watcher = _Watcher()
        client = ForkClient(_Rehearsal(), Fork(fork, dict(plan.outcomes), frozenset(), {}))
        context = LambdaContext(
            "rehearsal", function.name, LATEST, ExecutionArn.parse(arn).function_arn if origin.arn else arn, None, None,
            backend.clock.now() + function.timeout, backend.clock,
        )  # fmt: skip
        state = {"Operations": [operation_wire(row) for row in (root, *plan.operations)], "NextMarker": ""}
        event = {
            "DurableExecutionArn": arn,
            "CheckpointToken": "rehearsal",
            "InitialExecutionState": state,
            "UpdatedOperationIds": [],
        }
        function.host.invoke(Invocation(event, context, client, (watcher,), backend.clock, arn, 1))
        if watcher.found is not None:
            divergence = watcher.found.divergence
            raise ForkRefusedError(
                f"the code leaves the recording before {plan.call.path} ends, so it cannot go on from there:\n{divergence}",
                divergence,
            )


class _Rehearsal:
    """A service client that ends the invocation with its first checkpoint."""

    answers_immediately = True

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        return CheckpointAnswer(None, [])

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        return StatePage([])


class _Watcher(Observer):
    """Remembers the first difference."""

    found: Diverged | None = None

    def on_diverged(self, notification: Diverged) -> None:
        self.found = self.found or notification


def _named(operation: OperationRow) -> str:
    return operation.name or (operation.subtype or operation.type).lower()
