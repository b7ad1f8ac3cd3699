"""Workflows made up at random, as values; one interpreter runs them in either handler style."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from durable_execution import (
    CompletionConfig,
    DurableContext,
    Jitter,
    MapConfig,
    NestingType,
    StepConfig,
    StepContext,
    StepError,
    StepSemantics,
    WaitForConditionConfig,
    exponential_backoff,
    poll_until,
)
from durable_execution.errors import ChildContextError

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Step:
    """A step that fails so many times before it succeeds; with too many, for good."""

    failures: int
    is_at_most_once: bool
    value: Any


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Child:
    """A child context; it may raise in the end, and may be made large so that it is rebuilt."""

    body: tuple["Node", ...]
    raises: bool
    is_large: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """A map with a body for every item."""

    bodies: tuple[tuple["Node", ...], ...]
    nesting: NestingType
    max_concurrency: int | None


@dataclass(frozen=True, slots=True)
class Poll:
    """A condition that is met after so many checks."""

    checks: int


Node = Step | Wait | Child | Batch | Poll
ATTEMPTS = 3


class Journal:
    """What bodies did: which attempt of which step ran, and how often."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, int], int] = {}
        self.at_most_once: set[str] = set()

    def note(self, step: StepContext, *, is_at_most_once: bool) -> None:
        """A body runs."""
        key = (step.operation_id, step.attempt)
        self.runs[key] = self.runs.get(key, 0) + 1
        if is_at_most_once:
            self.at_most_once.add(step.operation_id)

    def repeated_at_most_once(self) -> list[tuple[str, int]]:
        """Attempts of at-most-once steps that ran more than once."""
        return [key for key, count in self.runs.items() if count > 1 and key[0] in self.at_most_once]


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3)
) | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)

leaves = st.one_of(
    st.builds(Step, st.integers(0, ATTEMPTS), st.booleans(), values),
    st.builds(Wait, st.integers(1, 100)),
    st.builds(Poll, st.integers(1, 3)),
)


def _inner(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    bodies = st.lists(children, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Child, bodies, st.booleans(), st.booleans()),
        st.builds(
            Batch, st.lists(bodies, max_size=3).map(tuple), st.sampled_from(NestingType), st.sampled_from([None, 1, 2])
        ),
    )


nodes: st.SearchStrategy[Node] = st.recursive(leaves, _inner, max_leaves=8)
programs = st.lists(nodes, min_size=1, max_size=4).map(tuple)


def workflow_of(program: tuple[Node, ...], journal: Journal) -> Any:  # noqa: C901  # one source for both styles
    """The workflow of a program, as `async def`."""

    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:  # noqa: C901  # as above
        async def run_all(context: DurableContext, body: tuple[Node, ...]) -> list[Any]:
            found = []
            for node in body:
                found.append(await run(context, node))  # noqa: PERF401  # the blocking style has no async comprehension
            return found

        async def run(context: DurableContext, node: Node) -> Any:
            match node:
                case Step():
                    return await run_step(context, node)
                case Wait():
                    return await context.wait(node.seconds * SECOND)
                case Child():
                    return await run_child(context, node)
                case Batch():
                    return await run_batch(context, node)
                case Poll():
                    return await run_poll(context, node)

        async def run_step(context: DurableContext, node: Step) -> Any:
            async def body(step: StepContext) -> Any:
                journal.note(step, is_at_most_once=node.is_at_most_once)
                if step.attempt <= node.failures:
                    raise OSError(f"attempt {step.attempt}")
                return node.value

            strategy = exponential_backoff(max_attempts=ATTEMPTS, initial_delay=SECOND, jitter=Jitter.NONE)
            semantics = (
                StepSemantics.AT_MOST_ONCE_PER_RETRY if node.is_at_most_once else StepSemantics.AT_LEAST_ONCE_PER_RETRY
            )
            try:
                return await context.step(body, config=StepConfig(retry_strategy=strategy, step_semantics=semantics))
            except StepError as error:
                return f"failed: {error.error_type}"

        async def run_child(context: DurableContext, node: Child) -> Any:
            async def body(inner: DurableContext) -> Any:
                found = await run_all(inner, node.body)
                if node.raises:
                    raise ValueError("as programmed")
                return [found, "x" * 270_000] if node.is_large else found

            try:
                found = await context.run_in_child_context(body)
            except ChildContextError as error:
                return f"failed: {error}"
            return found[0] if node.is_large else found

        async def run_batch(context: DurableContext, node: Batch) -> Any:
            async def item(inner: DurableContext, body: Any, _index: int) -> Any:
                return await run_all(inner, node.bodies[body])

            config = MapConfig(
                max_concurrency=node.max_concurrency,
                nesting_type=node.nesting,
                completion_config=CompletionConfig.all_completed(),
            )
            batch = await context.map(list(range(len(node.bodies))), item, config=config)
            return batch.get_results()

        async def run_poll(context: DurableContext, node: Poll) -> Any:
            async def check(state: int, _step: StepContext) -> int:
                return state + 1

            strategy = poll_until(lambda state: state >= node.checks, initial_delay=SECOND, jitter=Jitter.NONE)
            return await context.wait_for_condition(
                check, config=WaitForConditionConfig(wait_strategy=strategy, initial_state=0)
            )

        return await run_all(ctx, program)

    return workflow
