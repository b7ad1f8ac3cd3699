"""Property-based tests of workflows, with Hypothesis (extra `[testing]`).

Draws inputs, step outcomes, crashes of the process, completion orders, pauses and callback answers, runs the handler
on the local engine with a skipping clock, and checks invariants. A counter-example is shrunk, described, and saved as
a history that `durable-debug` opens.

```python
from hypothesis import strategies as st

from durable_execution.testing.properties import (
    check_workflow,
    ends,
    exactly_once,
    failures,
    no_divergence,
    same_result,
)


def test_orders_are_charged_once() -> None:
    check_workflow(
        process_order,
        event=st.builds(Order, order_id=st.text(min_size=1), amount=st.floats(1, 1000)),
        steps={"charge": st.text() | failures(GatewayError("down"))},
        callbacks={"approval": st.booleans()},
        invariants=[ends(), exactly_once("charge"), same_result(), no_divergence()],
    )
```
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from hypothesis.strategies import SearchStrategy

from durable_execution.counts import counted
from durable_execution.handler import DurableHandler
from durable_execution.protocol import ExecutionStatus
from durable_execution.testing.planned_run import PlannedRun
from durable_execution.testing.run_result import RunResult
from durable_execution.testing.workflow_plan import Failure, Plan, failures, no_answer, plans

__all__ = [
    "Failure",
    "Invariant",
    "Plan",
    "WorkflowRun",
    "check_workflow",
    "ends",
    "exactly_once",
    "failures",
    "no_answer",
    "no_divergence",
    "same_result",
    "succeeds",
]

DEFAULT_EXAMPLES = 200
MAX_CHOICES_SHOWN = 10
IRREPRODUCIBLE = (
    "A second run of the same plan did not fail: the handler depends on state outside the plan, such as a global, a "
    "cache or the clock."
)


class WorkflowRun:
    """One run of the handler under one plan, for invariants to look at.

    Attributes:
        handler: The handler.
        plan: What was decided about the run.
        result: The execution as it ended: status, result, operations, history.
        order: What happened in an order that differs from that of the calls, as text.
        bodies: How often the body of each step ran to its end, by operation id and name.
    """

    def __init__(
        self, handler: Any, plan: Plan, options: Mapping[str, Any], places: Mapping[str, dict[str, int]] | None = None
    ) -> None:
        self.handler = handler
        self.plan = plan
        self._options = options
        run = PlannedRun(handler, plan, options, dict(places or {}))
        self.result: RunResult = run.result()
        self.order: Sequence[str] = run.choices.made
        self.bodies: Counter[tuple[str, str]] = run.effects
        self._places = run.places

    def undisturbed(self) -> "WorkflowRun":
        """The same inputs and outcomes, run without crashes, pauses and changes of order."""
        return WorkflowRun(self.handler, self.plan.undisturbed(), self._options, self._places)


Invariant = Callable[[WorkflowRun], None]
"""Checks a run; raises AssertionError if it does not hold."""


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise AssertionError(problem)


def ends() -> Invariant:
    """The execution ends by itself: it is never left waiting for something that cannot come."""

    def check(run: WorkflowRun) -> None:
        status = run.result.status
        _require(status.is_terminal, f"the execution never ends; it is {status.value}")
        _require(status is not ExecutionStatus.TIMED_OUT, "the execution waits until its own time-out")

    return check


def succeeds() -> Invariant:
    """The execution succeeds under every plan."""

    def check(run: WorkflowRun) -> None:
        _require(run.result.status is ExecutionStatus.SUCCEEDED, f"the execution ended as {run.result.status.value}")

    return check


def exactly_once(*names: str, per: str = "execution") -> Invariant:
    """The body of each of these steps has a result at most once, and exactly once when the execution succeeds.

    A body that ran to its end and whose result was lost in a crash counts: its effect has happened.

    Args:
        names: Names of steps.
        per: `execution` for one run in all, `operation` for one run in each call, as in a map.
    """
    if per not in ("execution", "operation"):
        raise ValueError(f"per={per!r}: use 'execution' or 'operation'")

    def check(run: WorkflowRun) -> None:
        for name in names:
            counts = [count for (_, found), count in run.bodies.items() if found == name]
            ran = counts if per == "operation" else [sum(counts)]
            _require(max(ran, default=0) <= 1, f"the effect of step {name!r} happened {counted(max(ran), 'time')}")
            if run.result.status is ExecutionStatus.SUCCEEDED:
                _require(sum(counts) >= 1, f"the execution succeeded without the effect of step {name!r}")

    return check


def same_result() -> Invariant:
    """Crashes, pauses and the order in which steps end do not change the status or the result."""

    def check(run: WorkflowRun) -> None:
        if run.plan == run.plan.undisturbed():
            return
        calm = run.undisturbed().result
        _require(
            run.result.status is calm.status, f"ended as {run.result.status.value}; undisturbed as {calm.status.value}"
        )
        if calm.status is ExecutionStatus.SUCCEEDED:
            _require(run.result.result == calm.result, f"returned {run.result.result!r}; undisturbed {calm.result!r}")

    return check


def no_divergence() -> Invariant:
    """Replaying the execution makes the calls that were recorded, during the run and after it."""

    def check(run: WorkflowRun) -> None:
        from durable_execution.replay import Replayer
        from durable_execution.replay.formats import details

        error = run.result.error
        if error is not None and (error.type or "").endswith("NondeterminismError"):
            raise AssertionError(error.message)
        report = Replayer(run.handler).replay(run.result.recorded)
        _require(report.is_same, f"a replay differs from the recording\n\n{details(report)}")

    return check


def check_workflow(
    handler: DurableHandler[Any],
    *,
    event: SearchStrategy[Any] | None = None,
    steps: Mapping[str, SearchStrategy[Any]] | None = None,
    callbacks: Mapping[str, SearchStrategy[Any]] | None = None,
    invariants: Iterable[Invariant] = (),
    crashes: bool = True,
    orders: bool = True,
    pauses: bool = True,
    functions: Mapping[str, Any] | None = None,
    max_examples: int = DEFAULT_EXAMPLES,
    save_to: str | Path | None = ".durable/counterexamples",
) -> None:
    """Run a handler under many plans, and check invariants after each.

    Args:
        handler: A handler decorated with `@durable_execution`.
        event: Strategy for the input; by default None.
        steps: For each step name, a strategy for its outcome: a result, or `failures(...)`. Other steps run.
        callbacks: For each callback name, a strategy for its answer: a value, `failures(...)` or `no_answer()`.
        invariants: What must hold after every run; by default `ends()` and `no_divergence()`.
        crashes: Whether the process may die at checkpoints.
        orders: Whether steps end in different orders.
        pauses: Whether the execution may be paused and resumed.
        functions: Functions that the handler invokes, by name, as for `LocalRunner`.
        max_examples: Number of plans.
        save_to: Folder for the history of a counter-example; None saves nothing.

    Raises:
        AssertionError: An invariant does not hold. The message has the smallest plan found, the execution, and the
            file of its history.
    """
    checks: Sequence[Invariant] = tuple(invariants) or (ends(), no_divergence())
    options = {"functions": functions} if functions else {}
    found: list[tuple[WorkflowRun, AssertionError]] = []

    @settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
        print_blob=False,
    )
    @given(
        plans(
            event=event if event is not None else st.none(),
            steps=steps or {},
            callbacks=callbacks or {},
            has_crashes=crashes,
            has_orders=orders,
            has_pauses=pauses,
        )
    )
    def holds(plan: Plan) -> None:
        run = WorkflowRun(handler, plan, options)
        for check in checks:
            try:
                check(run)
            except AssertionError as error:
                found.append((run, error))
                raise

    __tracebackhide__ = True
    try:
        holds()
    except (AssertionError, FlakyFailure) as error:
        if not found:
            raise
        run, reason = found[-1]
        if isinstance(error, FlakyFailure):
            reason = AssertionError(f"{reason}\n{IRREPRODUCIBLE}")
        saved = _save(run, Path(save_to)) if save_to is not None else None
        raise AssertionError(_described(run, reason, saved)) from error


def _described(run: WorkflowRun, reason: AssertionError, saved: Path | None) -> str:
    plan = [*str(run.plan).splitlines(), *(f"order     {choice}" for choice in run.order[:MAX_CHOICES_SHOWN])]
    lines = [str(reason), "", "with this plan:", *(f"  {line}" for line in plan)]
    lines += ["", *run.result.describe().splitlines()]
    if saved is not None:
        lines += ["", f"The history is in {saved}; open it with: durable-debug {saved}"]
    return "\n".join(lines)


def _save(run: WorkflowRun, folder: Path) -> Path:
    return run.result.save_history(folder / f"{run.handler.function.__name__}.history.json")
