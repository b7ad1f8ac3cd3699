"""Replay traces without a history: what they tell is checked, what they do not tell is said."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli.entry import main
from durable_execution import DurableContext, RetryPresets, StepConfig, durable_execution
from durable_execution.divergence import Severity
from durable_execution.history.reading import UnreadableHistoryError, read_history
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.replay import Replayer, Verdict, load_history
from durable_execution.trace import MemorySink, TraceRecorder, read_traces
from durable_execution.trace.schema import InvocationTrace
from tests.replay.corpus_cases import DIVERGENT, SILENT, Case, changed
from tests.replay.corpus_recording import billing
from tests.replay.programs import handler_of
from tests.replay.recording import history_of
from tests.replay.workflows import body

WHOLE = [case for case in (*DIVERGENT, *SILENT) if not (case.keep or case.mangle or "large" in case.title)]
REPRESENTATIVE = WHOLE[::4]


def traces_of(case: Case, monkeypatch: pytest.MonkeyPatch, *, payloads: bool) -> tuple[InvocationTrace, ...]:
    monkeypatch.setenv("DURABLE_REPLAY_TRACE_PAYLOADS", "1" if payloads else "")
    sink = MemorySink()
    functions = {"billing": billing, "ledger": billing}
    handler = handler_of({"handler": "flow", "body": case.body})
    _, arn = history_of(handler, callbacks=case.callbacks, functions=functions, sink=sink)
    return read_traces(sink.texts[arn])


@pytest.mark.acceptance
@pytest.mark.parametrize("case", REPRESENTATIVE, ids=lambda case: case.title)
def test_a_trace_with_payloads_tells_as_much_as_a_history(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    traces = traces_of(case, monkeypatch, payloads=True)
    report = Replayer(handler_of({"handler": "flow", "body": changed(case)})).replay(traces)
    expected = [(case.kind, case.path)] if case.kind else []
    assert [(one.kind.value, one.path) for one in report.roots] == expected
    assert report.notes == ()


@pytest.mark.parametrize("title", ["skipped-after-wait", "inserted-in-child", "renamed-wait", "kind-step-to-wait"])
def test_without_payloads_a_difference_is_shown_and_not_held_against_the_code(
    title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = next(case for case in DIVERGENT if case.title == title)
    traces = traces_of(case, monkeypatch, payloads=False)
    report = Replayer(handler_of({"handler": "flow", "body": changed(case)})).replay(traces)
    first = report.divergences[0]
    assert (first.kind.value, first.path, first.severity) == (case.kind, case.path, Severity.INFO)
    assert "recorded payloads are missing" in report.notes[0]
    assert "DURABLE_REPLAY_TRACE_PAYLOADS=1" in report.notes[0]


def test_where_nothing_can_be_told_without_payloads_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in SILENT if case.title == "loop-over-a-result")
    traces = traces_of(case, monkeypatch, payloads=False)
    report = Replayer(handler_of({"handler": "flow", "body": case.body})).replay(traces)
    assert (report.verdict, report.exit_code) == (Verdict.UNREADABLE, 3)
    assert "the code failed after 1 call, possibly only because recorded payloads are missing" in (report.error or "")


def test_payloads_that_say_nothing_are_known_without_being_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in DIVERGENT if case.title == "together-skipped")
    traces = traces_of(case, monkeypatch, payloads=False)
    report = Replayer(handler_of({"handler": "flow", "body": changed(case)})).replay(traces)
    assert [(one.kind.value, one.path) for one in report.roots] == [(case.kind, case.path)]
    assert report.notes == ()


def secretive(sink: MemorySink) -> tuple[InvocationTrace, ...]:
    @durable_execution
    async def flow(event: Any, ctx: DurableContext) -> Any:
        found = await ctx.step(lambda _: {"password": event["password"]}, name="log_in")
        await ctx.wait(timedelta(seconds=1), name="wait")
        return found

    class Engine(LocalEngine):
        def observers_for(self, assignment: Any) -> Any:
            return (TraceRecorder(sink, payloads=True),)

    with Engine(None, time="skip", ids=CountingIds(), trace_sink=False) as engine:
        engine.register("flow", flow)
        arn = engine.start("flow", {"password": "hunter2"})
        engine.run_until_idle(skips="everything")
    assert "hunter2" not in sink.texts[arn]
    return read_traces(sink.texts[arn])


def test_what_was_hidden_is_not_held_against_the_code() -> None:
    @durable_execution
    async def flow(event: Any, ctx: DurableContext) -> None:
        found = await ctx.step(body("log_in"), name="log_in")
        if found["password"] == "hunter2":
            await ctx.wait(timedelta(seconds=1), name="wait")

    report = Replayer(flow).replay(secretive(MemorySink()))
    assert (report.divergences[0].kind.value, report.roots) == ("skipped", ())
    assert "never redacted" in report.notes[0]


def test_the_input_of_the_first_invocation_is_in_the_trace() -> None:
    first, second = secretive(MemorySink())
    assert json.loads(first.input or "") == {"password": "⊘"}
    assert (first.input_digest is not None, second.input, second.input_digest) == (True, None, None)
    assert (first.result, json.loads(second.result or "")) == (None, {"password": "⊘"})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tests.replay import workflows

    monkeypatch.setenv("DURABLE_REPLAY_TRACE_PAYLOADS", "1")
    monkeypatch.setenv("DURABLE_DEBUG_HOME", str(tmp_path / "home"))
    sink = MemorySink()
    _, arn = history_of(workflows.plain, sink=sink)
    path = tmp_path / "order.trace.jsonl"
    path.write_text(sink.texts[arn], encoding="utf-8")
    return path


def test_the_command_replays_a_trace(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(file), "tests.replay.workflows:plain", "--headless"]) == 0
    assert "same: 3 calls" in capsys.readouterr().err
    changed = file.parent / "changed.py"
    changed.write_text(
        "from durable_execution import durable_execution\n\n"
        "@durable_execution\nasync def plain(event, ctx):\n    await ctx.step(lambda _: 1, name='other')\n"
    )
    assert main(["check", str(file), f"{changed}:plain"]) == 1
    out = capsys.readouterr().out
    assert 'recorded   step "a"' in out


def test_a_trace_that_was_cut_off_is_replayed_as_far_as_it_goes(file: Path) -> None:
    from tests.replay import workflows

    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:4]) + lines[4][:20], encoding="utf-8")
    execution = load_history(file)
    assert any("cut off" in note for note in execution.notes)
    report = Replayer(workflows.plain).replay(execution)
    assert (report.verdict, report.outcome) == (Verdict.SAME, "PENDING")


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with pytest.raises(UnreadableHistoryError, match="cannot read"):
        load_history(path)
    path.write_text("hello\n", encoding="utf-8")
    with pytest.raises(UnreadableHistoryError, match=r"it is not JSON"):
        load_history(path)


def test_a_wait_with_jitter_is_no_change_of_the_code() -> None:
    tries = iter([ConnectionError("reset"), ConnectionError("reset"), ConnectionError("reset"), None])

    def flaky(step: Any) -> int:
        error = next(tries)
        if error is not None:
            raise error
        return 1

    async def pay(inner: DurableContext, _attempt: int) -> int:
        return await inner.step(flaky, name="charge", config=StepConfig(retry_strategy=RetryPresets.none()))

    @durable_execution
    async def flow(event: Any, ctx: DurableContext) -> None:
        await ctx.with_retry(pay, "pay")
        await ctx.step(body("ship"), name="ship")

    sink = MemorySink()
    events, arn = history_of(flow, sink=sink)
    assert read_history(events, arn=arn, traces=read_traces(sink.texts[arn])).notes == ()
