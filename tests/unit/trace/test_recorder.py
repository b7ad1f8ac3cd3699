"""The observer that writes replay traces, on real executions."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    DurableContext,
    MapConfig,
    NestingType,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
)
from durable_execution.local import LocalEngine
from durable_execution.retry import Jitter, exponential_backoff
from durable_execution.trace import MemorySink, Redaction, TraceRecorder, read_traces
from durable_execution.trace.reader import LINES
from durable_execution.trace.schema import InvocationTrace
from durable_execution.trace.sinks import TraceWriter
from tests.unit.fake_clock import FixedClock
from tests.unit.fake_service import FakeService, invoke

NO_JITTER = exponential_backoff(max_attempts=3, initial_delay=timedelta(seconds=1), jitter=Jitter.NONE)


@durable_step
async def charge(step: StepContext, password: str) -> dict[str, str]:
    return {"card_number": "4111 1111 1111 1111", "id": "p1", "note": password}


@durable_execution
async def shop(event: Any, ctx: DurableContext) -> str:
    async def flaky(step: StepContext) -> int:
        if step.attempt < 2:
            raise ValueError("again")
        return 7

    await ctx.step(charge("hunter2"))
    await ctx.step(flaky, name="flaky", config=StepConfig(retry_strategy=NO_JITTER))
    await ctx.wait(timedelta(seconds=3), name="rest")

    async def double(inner: DurableContext, item: int) -> int:
        return await inner.step(lambda _: item * 2, name="s")

    await ctx.map([1, 2], double, name="m", config=MapConfig(nesting_type=NestingType.FLAT))
    return "done"


def record(recorder: TraceRecorder, handler: Any = shop, payload: Any = None) -> str:
    """Run the shop and return its ARN."""

    class Engine(LocalEngine):
        def observers_for(self, assignment: Any) -> Any:
            return (recorder,)

    with Engine(None, time="skip", trace_sink=False) as engine:
        engine.register("shop", handler)
        return engine.run("shop", payload or {}).arn


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def traces(sink: MemorySink) -> tuple[InvocationTrace, ...]:
    return read_traces(sink.texts[record(TraceRecorder(sink))])


def happened(trace: InvocationTrace) -> dict[str, str]:
    return {entry.path: entry.happened for entry in trace.entries}


def test_one_trace_per_invocation_in_call_order(traces: tuple[InvocationTrace, ...]) -> None:
    assert [trace.outcome for trace in traces] == ["PENDING", "PENDING", "SUCCEEDED"]
    assert [trace.is_complete for trace in traces] == [True] * 3
    assert happened(traces[0]) == {"shop/charge": "executed", "shop/flaky": "pending"}
    assert happened(traces[1]) == {"shop/charge": "replayed", "shop/flaky": "executed", "shop/rest": "pending"}
    assert happened(traces[2]) == {
        "shop/charge": "replayed",
        "shop/flaky": "replayed",
        "shop/rest": "executed",
        "shop/m": "executed",
        "shop/m#0": "executed",
        "shop/m#0/s": "executed",
        "shop/m#1": "executed",
        "shop/m#1/s": "executed",
    }


def test_what_an_entry_says(traces: tuple[InvocationTrace, ...]) -> None:
    charged, flaky = traces[0].entries
    assert (charged.type, charged.subtype, charged.name, charged.position) == ("STEP", "Step", "charge", 1)
    assert charged.call_site is not None
    assert charged.call_site.function == "shop"
    assert charged.call_site.file == __file__
    assert charged.result_size is not None
    assert charged.result_digest == traces[1].entries[0].result_digest
    assert charged.body is not None
    assert [(one.number, one.outcome, one.error_type) for one in flaky.attempts] == [(1, "FAILED", "ValueError")]
    assert flaky.attempts[0].next_attempt_delay_seconds == 1
    assert [
        one.is_virtual for one in traces[2].entries if one.path.startswith("shop/m#") and one.type == "CONTEXT"
    ] == [True] * 2


def test_what_the_header_says(traces: tuple[InvocationTrace, ...]) -> None:
    header = traces[0]
    assert header.handler is not None
    assert header.handler.endswith(":shop")
    assert header.source_file == __file__
    assert header.source_digest == traces[1].source_digest
    assert header.request_id not in (None, traces[1].request_id)


def test_every_line_fits_the_schema(sink: MemorySink) -> None:
    text = sink.texts[record(TraceRecorder(sink, payloads=True, locals=True))]
    for line in text.splitlines():
        found = json.loads(line)
        assert LINES[found["record"]].model_validate(found).model_extra == {}


def test_payloads_are_not_written_unless_asked_for(sink: MemorySink) -> None:
    text = sink.texts[record(TraceRecorder(sink))]
    assert "hunter2" not in text
    assert "4111 1111" not in text


def test_payloads_and_locals_are_redacted(sink: MemorySink) -> None:
    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        api_key = event["api_key"]
        amount = 12
        await ctx.step(lambda _: {"token": api_key, "amount": amount}, name="s")

    text = sink.texts[record(TraceRecorder(sink, payloads=True, locals=True), handler, {"api_key": "sesame-open"})]
    assert "sesame-open" not in text
    (entry,) = read_traces(text)[0].entries
    assert json.loads(entry.result or "")["v"]["token"] == "⊘"
    assert entry.locals["api_key"] == "⊘"
    assert entry.locals["amount"] == "12"


def test_a_model_says_what_is_secret(sink: MemorySink) -> None:
    from pydantic import BaseModel, SecretStr

    class Login(BaseModel):
        user: str
        phrase: SecretStr

    async def handler(login: Login, ctx: DurableContext) -> None:
        secret = login.phrase.get_secret_value()
        await ctx.step(lambda _: {"phrase": secret}, name="s")

    handler.__annotations__["login"] = Login
    recorder = TraceRecorder(sink, payloads=True)
    text = sink.texts[record(recorder, durable_execution(handler), {"user": "u", "phrase": "sesame-open"})]
    assert "sesame-open" not in text


def test_rules_of_ones_own(sink: MemorySink) -> None:
    recorder = TraceRecorder(sink, payloads=True, redaction=Redaction(frozenset({"note"}), ()))
    text = sink.texts[record(recorder)]
    assert "hunter2" not in text
    assert "4111 1111" in text


class BrokenSink:
    """Fails on opening, on the first append, or on closing."""

    def __init__(self, when: str) -> None:
        self.when = when

    def open(self, execution_arn: str, invocation: str) -> TraceWriter:
        if self.when == "open":
            raise OSError("no space left")
        return self

    def append(self, lines: str) -> None:
        if self.when == "append":
            raise OSError("no space left")

    def close(self) -> None:
        if self.when == "close":
            raise OSError("no space left")


@pytest.mark.parametrize("when", ["open", "append", "close"])
def test_a_sink_that_fails_never_fails_an_execution(when: str, caplog: pytest.LogCaptureFixture) -> None:
    recorder = TraceRecorder(BrokenSink(when))

    class Engine(LocalEngine):
        def observers_for(self, assignment: Any) -> Any:
            return (recorder,)

    with caplog.at_level(logging.WARNING, "durable_execution"), Engine(None, time="skip", trace_sink=False) as engine:
        engine.register("shop", shop)
        assert engine.run("shop", {}).status == "SUCCEEDED"
    warnings = [record for record in caplog.records if "replay trace" in record.message]
    assert len(warnings) == 3  # once per invocation


def test_a_divergence_is_written_at_once(sink: MemorySink) -> None:
    runs: Iterator[int] = iter(range(2))

    @durable_execution
    async def fickle(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="a" if next(runs) == 0 else "b")
        await ctx.wait(timedelta(seconds=1))

    found = read_traces(sink.texts[record(TraceRecorder(sink), fickle)])
    assert [one.kind.value for one in found[1].divergences] == ["renamed"]
    assert found[1].entries[0].happened == "diverged"
    assert found[1].outcome == "FAILED"


def test_lines_reach_the_sink_while_the_invocation_runs() -> None:
    seen: list[int] = []

    class Watching(MemorySink):
        def open(self, execution_arn: str, invocation: str) -> TraceWriter:
            writer = super().open(execution_arn, invocation)
            append = writer.append

            def counting(lines: str) -> None:
                seen.append(lines.count("\n"))
                append(lines)

            writer.append = counting  # type: ignore[method-assign]
            return writer

    @durable_execution
    async def many(event: Any, ctx: DurableContext) -> None:
        for _ in range(200):
            await ctx.step(lambda _: 1)

    record(TraceRecorder(Watching()), many)
    assert seen[0] == 1
    assert len(seen) > 5
    assert 202 <= sum(seen) < 230


def test_a_checkpoint_long_after_the_last_flush_flushes(sink: MemorySink) -> None:
    clock = FixedClock()
    lines: list[int] = []

    def body(seconds: float) -> Callable[[StepContext], None]:
        return lambda _: seconds_pass(seconds)

    def seconds_pass(seconds: float) -> None:
        lines.append(sum(text.count("\n") for text in sink.texts.values()))
        clock.advance(timedelta(seconds=seconds))

    @durable_execution
    async def slow(event: Any, ctx: DurableContext) -> None:
        for seconds in (0.1, 0.1, 0.1, 0.0):
            await ctx.step(body(seconds), name="work")

    invoke(slow, FakeService(), observers=[TraceRecorder(sink)], clock=clock)
    assert lines == [1, 1, 1, 4], "the checkpoint after the third step is 300 ms after the header"


def test_a_call_that_is_handed_on_before_its_end_is_completed_by_later_lines(sink: MemorySink) -> None:
    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        async def outer(inner: DurableContext) -> None:
            for _ in range(100):
                await inner.step(lambda _: 1)

        await ctx.run_in_child_context(outer, name="outer")

    text = sink.texts[record(TraceRecorder(sink), handler)]
    assert [json.loads(line)["record"] for line in text.splitlines()].count("ended") >= 1
    (trace,) = read_traces(text)
    assert [(one.path, one.happened, one.status) for one in trace.entries][:2] == [
        ("handler/outer", "executed", "SUCCEEDED"),
        ("handler/outer/step(1)", "executed", "SUCCEEDED"),
    ]
    assert len(trace.entries) == 101
