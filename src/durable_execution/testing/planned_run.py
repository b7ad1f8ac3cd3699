"""Runs a handler under a plan of a property-based test: decides what happens next wherever several things could.

A body is held before it begins and before it ends. When nothing else in the invocation can go on, the plan's order selects
what happens: one of the held bodies goes on, a callback is answered, or a timer fires. The same plan therefore gives the
same run, also with bodies in threads.
"""

import asyncio
import copy
import functools
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from durable_execution.operations.step import StepContext
from durable_execution.protocol import ErrorObject, OperationStatus
from durable_execution.runtime.call import Call
from durable_execution.runtime.state import ExecutionState, OperationViews
from durable_execution.testing.local_runner import LocalExecution, LocalRunner
from durable_execution.testing.operation_views import CallbackView
from durable_execution.testing.run_result import RunResult
from durable_execution.testing.workflow_plan import ALL_AT_ONCE, Failure, Plan, Silence

RUN_TIMEOUT = timedelta(seconds=20)
MAX_ROUNDS = 200
PATIENCE_SECONDS = 0.25
"""How long a running body may take, in real time, before others go on without it. A thread of a busy machine starts late: if
others went on without it, the same plan would give a different run.
"""

LONGEST_BODY = timedelta(minutes=15)
"""How long a body can take on Lambda. A timer due later cannot fire during it."""

MAX_TIMERS = 5
"""How often a timer may fire while bodies are held. A loop of short waits would go on forever."""

Places = dict[str, dict[str, int]]
"""For each name, the number of each operation, by id: which of the planned outcomes it has."""


class Event(NamedTuple):
    """Something that can happen next.

    Attributes:
        text: What, for the report.
        happen: Makes it happen.
    """

    text: str
    happen: Callable[[], None]


class Choices:
    """Selects what happens next, as the plan's order says, and keeps what it selected.

    Attributes:
        made: The choices that were not the first possibility, as text.
    """

    def __init__(self, order: Sequence[int]) -> None:
        self._order = order
        self._count = 0
        self.made: list[str] = []

    def make(self, events: Sequence[Event]) -> None:
        """Let one of the events happen, or all of them."""
        number = self._next() if len(events) > 1 else 0
        if number == ALL_AT_ONCE:
            self.made.append(f"at the same time: {', '.join(event.text for event in events)}")
            for event in events:
                event.happen()
            return
        index = number % len(events)
        if index:
            passed = " and ".join(event.text for event in events[:index])
            self.made.append(f"{events[index].text} before {passed}")
        events[index].happen()

    def _next(self) -> int:
        number = self._order[self._count % len(self._order)] if self._order else 0
        self._count += 1
        return number


class PlannedRun:
    """One run of a handler under one plan.

    Args:
        handler: The handler.
        plan: The plan.
        options: Options of `LocalRunner`.
        places: The places that an earlier run of the same outcomes has given to its operations.

    Attributes:
        choices: What happened in an order that differs from that of the calls.
        effects: How often the body of each step ran to its end, by operation id and name.
        places: Which of the planned outcomes each operation has.
        is_async: Whether the handler is a coroutine function. Otherwise its branches run in threads.
    """

    def __init__(self, handler: Any, plan: Plan, options: Mapping[str, Any], places: Places | None = None) -> None:
        self.choices = Choices(plan.order)
        self.effects: Counter[tuple[str, str]] = Counter()
        self.places: Places = places if places is not None else {}
        self.is_async = inspect.iscoroutinefunction(inspect.unwrap(handler.function))
        self._plan = plan
        self._answered: set[str] = set()
        self._timers = 0
        self._runner = LocalRunner(
            handler,
            stubs=_PlannedSteps(plan, self.place_of, is_async=self.is_async),
            body_order=lambda: _BodyOrder(self),
            timeout=RUN_TIMEOUT,
            **options,
        )

    def result(self) -> RunResult:
        """Run the handler to its end, or until nothing is left that could continue it."""
        try:
            for crash in self._plan.crashes:
                self._runner.crash(at=crash.checkpoint, stored=crash.is_stored)
            return self._drive(self._runner.start(self._plan.event))
        finally:
            self._runner.close()

    def _drive(self, execution: LocalExecution) -> RunResult:
        """Answer callbacks as planned, pause once if planned, and let time pass."""
        has_paused = self._plan.pause_after is None
        for _ in range(MAX_ROUNDS):
            report = execution.until_waiting()
            if report.status.is_terminal:
                return report
            if not has_paused and len(report.invocations) >= (self._plan.pause_after or 0):
                has_paused = True
                execution.pause("planned")
                execution.until_waiting()
                execution.resume()
                continue
            answers = list(self._answers_in(execution.report()))
            if answers:
                self.choices.make(answers)
                continue
            execution.until(lambda: any(self._answers_in(execution.report())))
            if len(execution.report().history) == len(report.history):
                break
        return execution.report()

    def _answers_in(self, report: RunResult) -> Iterator[Event]:
        for view in report.operations:
            if isinstance(view, CallbackView) and view.status is OperationStatus.STARTED:
                name = next((name for name in self._plan.callbacks if report.fits(view, name)), None)
                yield from self._answers(name, view.id, view.callback_id)

    def events(self, state: ExecutionState) -> list[Event]:
        """What can happen from outside while bodies run: planned answers to callbacks, or the next timer."""
        answers: list[Event] = []
        if self._plan.callbacks:
            operations = OperationViews(state.operations)
            for operation in operations.values():
                if operation.callback_id is not None and operation.status is OperationStatus.STARTED:
                    parent = operations.get(operation.parent_id or "")
                    names = (operation.name, parent.name if parent is not None else None)
                    name = next((name for name in self._plan.callbacks if name in names), None)
                    answers += self._answers(name, operation.id, operation.callback_id, state.batcher.flush)
        return answers or self._timer(state)

    def _timer(self, state: ExecutionState) -> list[Event]:
        clock, due = self._runner.engine.clock, state.next_due
        if due is None or due - clock.now() > LONGEST_BODY or self._timers >= MAX_TIMERS:
            return []

        def happen() -> None:
            self._timers += 1
            clock.advance_to(due)
            state.batcher.flush()

        return [Event("a timer fires", happen)]

    def _answers(
        self, name: str | None, operation_id: str, callback_id: str, then: Callable[[], None] = lambda: None
    ) -> list[Event]:
        """The planned answer to an open callback."""
        if name is None or callback_id in self._answered:
            return []
        outcome = self._plan.callbacks[name].outcome(self.place_of(name, operation_id), 1)
        if isinstance(outcome, Silence):
            return []

        def happen() -> None:
            self._answered.add(callback_id)
            if isinstance(outcome, Failure):
                self._runner.calls.fail_callback(callback_id, ErrorObject(str(outcome.error), "Error"))
            else:
                self._runner.calls.succeed_callback(callback_id, outcome)
            then()

        return [Event(f"callback {name!r} is answered", happen)]

    def place_of(self, name: str, operation_id: str) -> int:
        """The number of an operation among those of its name, in the order in which they were first seen."""
        places = self.places.setdefault(name, {})
        return places.setdefault(operation_id, len(places))


class _Held(NamedTuple):
    """A body that waits until it may go on.

    Attributes:
        since: How many choices were made before.
        path: Path of its call.
        text: What it does next.
        may_go_on: Done when it may.
    """

    since: int
    path: str
    text: str
    may_go_on: asyncio.Future[None]


class _BodyOrder:
    """Holds the bodies of one invocation, and lets them go on when nothing else can."""

    def __init__(self, run: PlannedRun) -> None:
        self._run = run
        self._held: list[_Held] = []
        self._releases = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_impatient = False

    async def run(self, call: Call, body: Callable[[], Awaitable[Any]]) -> Any:
        """Run a body when it may begin, and return its result when it may end."""
        state, name = call.scope.state, call.name or call.path
        state.busy += 1
        try:
            self._run.place_of(name, call.id)
            await self._hold(call, f"{name!r} begins")
            try:
                value = await body()
            except Exception:
                await self._hold(call, f"{name!r} ends")
                raise
            self._run.effects[call.id, name] += 1
            await self._hold(call, f"{name!r} ends")
            return value
        finally:
            state.busy -= 1

    async def _hold(self, call: Call, text: str) -> None:
        held = _Held(self._releases, call.path, text, call.scope.state.loop.create_future())
        self._held.append(held)
        try:
            await held.may_go_on
        finally:
            self._held = [other for other in self._held if other is not held]

    def release(self, state: ExecutionState) -> bool:
        """Let something happen, unless a body or a thread of the handler is running that may end soon."""
        if not self._held:
            return False
        if state.busy > len(self._held) and not self._is_impatient:
            is_new = self._timer is None
            self._timer = self._timer or state.loop.call_later(PATIENCE_SECONDS, self._lose_patience)
            return is_new
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._is_impatient = None, False
        self._releases += 1
        held = self._held if self._run.is_async else sorted(self._held)  # threads arrive in any order
        bodies = [Event(each.text, functools.partial(self._let_go, each)) for each in held]
        self._run.choices.make([*bodies, *self._run.events(state)])
        return True

    def _let_go(self, held: _Held) -> None:
        self._held = [other for other in self._held if other is not held]
        if not held.may_go_on.done():
            held.may_go_on.set_result(None)

    def _lose_patience(self) -> None:
        self._is_impatient = True


class _PlannedSteps(Mapping[str, Callable[..., Any]]):
    """Stands in for step bodies: each returns or raises what the plan says for its call and attempt.

    The outcome depends on the operation and the attempt, not on how often bodies ran before: a body that runs again
    after a crash has the same outcome.
    """

    def __init__(self, plan: Plan, place_of: Callable[[str, str], int], *, is_async: bool) -> None:
        self._plan = plan
        self._place_of = place_of
        self._is_async = is_async

    def __getitem__(self, name: str) -> Callable[..., Any]:
        planned = self._plan.steps[name]

        def plain(step: StepContext, *_: Any, **__: Any) -> Any:
            outcome = planned.outcome(self._place_of(name, step.operation_id), step.attempt)
            if isinstance(outcome, Failure):
                raise copy.copy(outcome.error)
            return copy.deepcopy(outcome)

        async def on_the_loop(step: StepContext, *_: Any, **__: Any) -> Any:
            return plain(step)

        return on_the_loop if self._is_async else plain

    def __iter__(self) -> Iterator[str]:
        return iter(self._plan.steps)

    def __len__(self) -> int:
        return len(self._plan.steps)
