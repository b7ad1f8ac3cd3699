"""For any workflow, over any number of suspensions, retries and crashes: one tree, every operation once, ids that stay."""

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution.config import CompletionConfig, MapConfig, NestingType, ParallelConfig
from durable_execution.context.durable_context import DurableContext
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.local import CountingIds
from durable_execution.telemetry import span_ids
from durable_execution.telemetry.backfill import backfill
from tests.unit.telemetry.scenarios import Tracing, engine_with, provider_for, retry_in, run

VIEWS = ("execution", "invocation")

Plan = dict[str, Any]

LEAVES = st.one_of(
    st.fixed_dictionaries({"do": st.just("step"), "failures": st.integers(0, 2), "kind": st.sampled_from(["async", "sync"])}),
    st.fixed_dictionaries({"do": st.just("wait"), "seconds": st.integers(1, 90_000)}),
    st.fixed_dictionaries({"do": st.just("broken")}),
    st.fixed_dictionaries({"do": st.just("crash")}),
)  # fmt: skip


def containers(inner: st.SearchStrategy[Plan]) -> st.SearchStrategy[Plan]:
    bodies = st.lists(inner, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"do": st.just("child"), "body": bodies}),
        st.fixed_dictionaries(
            {
                "do": st.just("map"),
                "bodies": st.lists(bodies, max_size=3),
                "flat": st.booleans(),
                "at_once": st.integers(1, 3),
            }
        ),
        st.fixed_dictionaries({"do": st.just("first"), "bodies": st.lists(bodies, min_size=2, max_size=3)}),
    )


PLANS = st.lists(st.recursive(LEAVES, containers, max_leaves=8), max_size=4)


class Crashes:
    """Which planned crashes have happened: each happens once, as when a machine is lost."""

    def __init__(self) -> None:
        self.happened: set[str] = set()

    def happen_once(self, place: str) -> None:
        if place not in self.happened and len(self.happened) < 2:
            self.happened.add(place)
            raise SystemExit(1)


class Flow:
    """A workflow that does what a plan says."""

    def __init__(self) -> None:
        self.crashes = Crashes()

    async def handle(self, payload: Any, ctx: DurableContext) -> str:
        await self.body(ctx, payload["plan"])
        return "done"

    async def body(self, ctx: DurableContext, plan: list[Plan]) -> int:
        for number, part in enumerate(plan):
            await getattr(self, part["do"])(ctx, part, f"{part['do']}-{number}")
        return len(plan)

    async def step(self, ctx: DurableContext, part: Plan, name: str) -> None:
        def threaded(step: Any) -> int:
            if step.attempt <= part["failures"]:
                raise ValueError("not yet")
            return int(step.attempt)

        async def awaited(step: Any) -> int:
            return threaded(step)

        body: Any = awaited if part["kind"] == "async" else threaded
        await ctx.step(body, name, config=retry_in(2, attempts=5))

    async def wait(self, ctx: DurableContext, part: Plan, name: str) -> None:
        await ctx.wait(timedelta(seconds=part["seconds"]), name)

    async def broken(self, ctx: DurableContext, part: Plan, name: str) -> None:
        def body(_: Any) -> None:
            raise ValueError("never")

        with pytest.raises(ValueError, match="never"):
            await ctx.step(body, name, config=retry_in(1, attempts=1))

    async def crash(self, ctx: DurableContext, part: Plan, name: str) -> None:
        place = f"{ctx.path}/{name}"

        def body(_: Any) -> int:
            self.crashes.happen_once(place)
            return 1

        await ctx.step(body, name)

    async def child(self, ctx: DurableContext, part: Plan, name: str) -> None:
        await ctx.run_in_child_context(lambda inner: self.body(inner, part["body"]), name)

    async def map(self, ctx: DurableContext, part: Plan, name: str) -> None:
        async def item(inner: DurableContext, body: list[Plan], _: int) -> int:
            return await self.body(inner, body)

        nesting = NestingType.FLAT if part["flat"] else NestingType.NESTED
        config = MapConfig(max_concurrency=part["at_once"], nesting_type=nesting)
        await ctx.map(part["bodies"], item, name, config=config)

    async def first(self, ctx: DurableContext, part: Plan, name: str) -> None:
        """The branches that lose are left behind in the middle of what they do."""
        branches = [lambda inner, body=body: self.body(inner, body) for body in part["bodies"]]
        config = ParallelConfig(completion_config=CompletionConfig.first_successful())
        await ctx.parallel(branches, name, config=config)


def perform(plan: list[Plan], view: str, **options: Any) -> tuple[Sequence[ReadableSpan], RecordedExecution]:
    """Run a plan; its spans and its history."""
    exporter = InMemorySpanExporter()
    provider = provider_for(exporter)
    with engine_with(Tracing(provider, view), Flow().handle, **options) as engine:
        done = run(engine, {"plan": plan})
        assert done.status == "SUCCEEDED"
        recorded = read_history(done.history(), arn=done.arn)
    provider.shutdown()
    return exporter.get_finished_spans(), recorded


def key(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def attribute(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name)


CRASH: Plan = {"do": "crash"}
NESTED_RACES: list[Plan] = [
    {
        "do": "first",
        "bodies": [
            [{"do": "child", "body": [CRASH]}],
            [{"do": "first", "bodies": [[], [CRASH, CRASH]]}, {"do": "step", "failures": 0, "kind": "async"}],
        ],
    }
]
"""The inner race is won, and recorded, when the process dies in the outer one."""


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.timeout(1_800)  # HYPOTHESIS_PROFILE=thorough tries for minutes
@given(plan=PLANS)
@example(plan=NESTED_RACES)
@settings(max_examples=settings().max_examples // 2)
def test_spans_form_one_tree_and_tell_of_every_operation(view: str, plan: list[Plan]) -> None:
    spans, recorded = perform(plan, view)
    check(view, spans, recorded)


def check(view: str, sent: Sequence[ReadableSpan], recorded: RecordedExecution) -> None:
    spans = as_kept(sent)
    check_tree(spans, recorded)
    check_operations(view, spans, recorded)
    check_agreement(view, spans, recorded)


def as_kept(sent: Sequence[ReadableSpan]) -> list[ReadableSpan]:
    """What a backend keeps: of spans with the same id, the last."""
    latest: dict[tuple[int, int], ReadableSpan] = {}
    for span in sent:
        before = latest.pop(key(span), None)
        assert before is None or may_be_sent_again(before, span), f"{span.name} is sent twice"
        latest[key(span)] = span
    return list(latest.values())


def check_tree(spans: Sequence[ReadableSpan], recorded: RecordedExecution) -> None:
    by_key = {key(span): span for span in spans}
    assert [is_root(span) for span in by_key.values() if span.parent is None] == [True]
    assert len({trace_id for trace_id, _ in by_key}) == 1
    for span in by_key.values():
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time <= span.end_time, span.name
        if span.parent is not None:
            has_parent = (span.parent.trace_id, span.parent.span_id) in by_key
            assert has_parent or is_unheard_of(span, recorded), f"{span.name} has no parent"


def may_be_sent_again(before: ReadableSpan, span: ReadableSpan) -> bool:
    """After a crash, the root: it may have been lost. And an operation that the service never heard of begins anew."""
    is_anew = bool(attribute(before, "durable.operation.status") == "STARTED" and before.name == span.name)
    return is_root(span) or is_anew


def is_root(span: ReadableSpan) -> bool:
    return attribute(span, "durable.execution.synthetic_root") is True


def is_unheard_of(span: ReadableSpan, recorded: RecordedExecution) -> bool:
    """An attempt that a crash cut off, of an operation that was not called again."""
    return not is_whole(span) and any(invocation.error for invocation in recorded.invocations)


def check_operations(view: str, spans: Sequence[ReadableSpan], recorded: RecordedExecution) -> None:
    sent: dict[str, list[ReadableSpan]] = {}
    attempts: dict[str, list[ReadableSpan]] = {}
    for span in spans:
        operation = attribute(span, "durable.operation.id")
        if operation is not None:
            group = attempts if attribute(span, "durable.attempt.outcome") is not None else sent
            group.setdefault(operation, []).append(span)
    for operation in recorded:
        found = sent[operation.id]
        statuses = [attribute(span, "durable.operation.status") for span in found]
        if operation.status.is_terminal and not was_given_up(operation, recorded):
            assert statuses[-1] == operation.status, operation.path
            assert statuses.count(operation.status.value) == 1, operation.path
        assert set(statuses) - {operation.status.value} <= {"STARTED"}
        assert view == "invocation" or len(found) == 1, operation.path
        assert span_ids.operation_span_id(recorded.arn or "", operation.id) in {key(span)[1] for span in found}
        ran = Counter(attribute(s, "durable.attempt.number") for s in attempts.get(operation.id, []) if is_whole(s))
        told = Counter(attempt.number for attempt in operation.attempts if attempt.ended_at is not None)
        assert told <= ran, operation.path
        assert told == ran or may_be_unrecorded(recorded), operation.path


def was_given_up(operation: RecordedOperation, recorded: RecordedExecution) -> bool:
    """A timer goes on although the branch that waits for it has lost."""
    around = recorded.by_id().get(operation.parent_id or "")
    while around is not None:
        if around.ended_at is None or (operation.ended_at and around.ended_at <= operation.ended_at):
            return any(o.subtype == "Parallel" for o in recorded)
        around = recorded.by_id().get(around.parent_id or "")
    return False


def may_be_unrecorded(recorded: RecordedExecution) -> bool:
    """A body may have run to its end without the service hearing of it: before a crash, or in a branch given up."""
    return any(operation.subtype == "Parallel" for operation in recorded) or any(i.error for i in recorded.invocations)


def is_whole(span: ReadableSpan) -> bool:
    return bool(attribute(span, "durable.attempt.outcome") != "INCOMPLETE")


def check_agreement(view: str, spans: Sequence[ReadableSpan], recorded: RecordedExecution) -> None:
    """What was sent live is in the history, too, except for what no history tells of."""
    computed = {(int(r.trace_id, 16), int(r.span_id, 16)): r for r in backfill(recorded, view=view)}
    known = recorded.by_id()
    for span in spans:
        operation = known.get(attribute(span, "durable.operation.id"))
        other = computed.get(key(span))
        if other is None:
            assert may_be_untold(span, operation, recorded), (
                f"the history does not tell of {dict(span.attributes or {})}"
            )
            continue
        assert other.name == span.name
        if not may_be_unrecorded(recorded):
            assert other.status.value == span.status.status_code.name
        parent = f"{span.parent.span_id:016x}" if span.parent is not None else None
        assert other.parent_id == parent, span.name


def may_be_untold(span: ReadableSpan, operation: RecordedOperation | None, recorded: RecordedExecution) -> bool:
    """A flat branch leaves no event; nor does what was under way when its branch was given up, or the process died."""
    is_attempt = attribute(span, "durable.attempt.outcome") is not None
    if operation is None:
        return attribute(span, "durable.operation.type") == "CONTEXT" or may_be_unrecorded(recorded)
    return is_attempt and may_be_unrecorded(recorded)


SAME = """
import json, sys
from tests.unit.telemetry.test_properties import perform, key
from durable_execution.local import CountingIds
plan = json.loads(sys.argv[1])
spans, _ = perform(plan, "execution", ids=CountingIds())
print(json.dumps(sorted([span.name, f"{key(span)[1]:016x}"] for span in spans)))
"""


def test_ids_are_the_same_in_another_process() -> None:
    import json

    plan = [
        {"do": "step", "failures": 1, "kind": "sync"},
        {"do": "map", "bodies": [[{"do": "wait", "seconds": 5}], []], "flat": False, "at_once": 2},
    ]
    spans, _ = perform(plan, "execution", ids=CountingIds())
    done = subprocess.run([sys.executable, "-c", SAME, json.dumps(plan)], capture_output=True, text=True, check=True)
    ours = sorted([span.name, f"{key(span)[1]:016x}"] for span in spans if span.start_time is not None)
    assert [pair for pair in json.loads(done.stdout) if is_timeless(pair)] == [p for p in ours if is_timeless(p)]


def is_timeless(pair: list[str]) -> bool:
    """The id of a latency comes from the moment something was due, which is not the same in another run."""
    return not pair[0].endswith("resume latency")
