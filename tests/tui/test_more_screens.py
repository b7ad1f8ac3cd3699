"""The first screen of further executions that are broken in other ways, or only wait, with no key pressed."""

import json
import textwrap
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.views.source import paired_lines
from durable_debugger.widgets.source_pane import SourcePane
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.trace.sinks import MemorySink
from tests.tui.broken import Broken, Recorded, _events, _handler, record
from tests.tui.conftest import Drive, main_of, screen_text
from tests.tui.test_first_screen import session_of

IMPORTS = "import asyncio\nimport uuid\n\nfrom durable_execution import StepError\n\n\n"


def _coroutine(body: str) -> str:
    text = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return f"{IMPORTS}@durable_execution\nasync def handler(order: dict, ctx: DurableContext) -> object:\n{text}\n"


def _function(body: str) -> str:
    return _coroutine(body).replace("async def", "def").replace("await ", "")


THREE = """
    await ctx.step(reserve())
    await ctx.step(audit())
    await ctx.wait(timedelta(minutes=5), name="pause")
    return await ctx.step(ship())
"""
GATHERED = """
    await asyncio.gather(ctx.step(reserve()), ctx.step(audit()), ctx.step(charge()))
    return await ctx.step(ship())
"""
HANDLED = """
    try:
        await ctx.step(charge_card(), config=StepConfig(retry_strategy=RetryPresets.none()))
    except StepError as error:
        await ctx.step(audit(str(error)))
    return await ctx.step(ship())
"""
INVOKED = """
    await ctx.step(reserve())
    return await ctx.invoke("billing-v1", {"a": 1}, name="bill")
"""
CALLED_BACK = """
    await ctx.step(reserve())
    handle = await ctx.create_callback("approval", config=CallbackConfig(timeout=timedelta(days=1)))
    await handle.result()
    return await ctx.step(ship())
"""
UUID = 'await ctx.step(audit(), name=f"audit_{uuid.uuid4().hex[:6]}")\nreturn await ctx.step(ship())'
DIFFERENT: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "plain_skipped": (
        _function(THREE),
        _function(THREE).replace("    ctx.step(audit())\n", ""),
        ('your code skips the recorded step "audit"', "`ctx.step(audit())` was removed", "Fix make the call again"),
    ),
    "gather_less": (
        _coroutine(GATHERED),
        _coroutine(GATHERED).replace("ctx.step(audit()), ", ""),
        ('your code skips the recorded step "audit"', "gather_less.py:49 was edited", "Fix make the call again"),
    ),
    "exception_class": (
        _coroutine(HANDLED),
        _coroutine(HANDLED).replace("except StepError", "except ValueError"),
        (
            "Diverged: the recorded execution succeeded, your code failed",
            "▌≠ outcome",
            "Replayed failed: exception_class.GatewayDownError: 503 from the gateway",
            "Likely",
            "Fix",
        ),
    ),
    "invoke_other": (
        _coroutine(INVOKED),
        _coroutine(INVOKED).replace("billing-v1", "billing-v2"),
        (
            'calls invoke "bill" of "billing-v2", the recording has invoke "bill" of "billing-v1"',
            "Fix use the new value",
        ),
    ),
    "callback_removed": (
        _coroutine(CALLED_BACK),
        _coroutine(CALLED_BACK).replace(
            '    handle = await ctx.create_callback("approval", config=CallbackConfig(timeout=timedelta(days=1)))\n'
            "    await handle.result()\n",
            "",
        ),
        ('calls step "ship", the recording has callback "approval"', "were removed", "Fix make the new call only"),
    ),
    "uuid_name": (
        _coroutine(UUID),
        _coroutine(UUID),
        ("creates a uuid outside a step: uuid.uuid4()", "Fix create the id in a step, or use `ctx.uuid()`"),
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_first_screen_explains_a_difference(
    name: str, tmp_path: Path, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, today, words = DIFFERENT[name]
    case = record(Broken(name, before, today, is_waiting=name == "callback_removed"), tmp_path)
    monkeypatch.chdir(tmp_path)
    _expect(session_of(case, is_replayed=True), words, drive, view="diff")


def _stop(engine: LocalEngine, arn: str) -> None:
    engine.client.stop_durable_execution(
        DurableExecutionArn=arn, Error={"ErrorType": "Ops", "ErrorMessage": "customer cancelled"}
    )


def _end(engine: LocalEngine, arn: str) -> None:
    engine.client.stop_durable_execution(DurableExecutionArn=arn)


def _pause(engine: LocalEngine, arn: str) -> None:
    engine.client.pause_durable_execution(DurableExecutionArn=arn)


def _pass(engine: LocalEngine, _arn: str) -> None:
    engine.run_until_idle(skips="everything")


def _refuse(engine: LocalEngine, arn: str) -> None:
    started = next(each for each in _events(engine, arn) if each["EventType"] == "CallbackStarted")
    engine.client.send_durable_execution_callback_failure(
        CallbackId=started["CallbackStartedDetails"]["CallbackId"], Error={"ErrorType": "Declined"}
    )
    engine.run_until_idle()


LIMITED = ("limit_in_wait", "limit_between_attempts")
"""Executions with a time limit of an hour."""
POLLING = """
    from durable_execution import Jitter, WaitForConditionConfig, poll_until

    waiting = poll_until(
        lambda polls: polls > 5, initial_delay=timedelta(minutes=10), max_delay=timedelta(minutes=10), jitter=Jitter.NONE
    )
    ship_date = WaitForConditionConfig(wait_strategy=waiting, initial_state=0)
    return await ctx.wait_for_condition(lambda polls, _step: polls + 1, "shipped", config=ship_date)
"""
RESTING = 'await ctx.step(reserve())\nawait ctx.wait(timedelta(hours=5), name="cooling")\nreturn await ctx.step(ship())'
LATER = "config=StepConfig(retry_strategy=RetryPresets.fixed(timedelta(minutes=20)))"
STORM = """
    def pay(step: object) -> str:
        raise GatewayDownError("no answer from https://payments.example.com/v2: " + "proxy said no; " * 30)

    await ctx.step(pay, config=StepConfig(retry_strategy=RetryPresets.fixed(timedelta(seconds=2))))
"""
MANY = """
    async def one(ctx: DurableContext, sku: str) -> object:
        handle = await ctx.create_callback(f"ok_{sku}", config=CallbackConfig(timeout=timedelta(days=1)))
        return await handle.result()

    await ctx.map(["A1", "B2", "C3"], one, name="lines")
"""
BRANCHES = """
    def one(ctx: DurableContext) -> str:
        return ctx.step(reserve())

    def two(ctx: DurableContext) -> str:
        raise KeyError("price of A1")

    ctx.parallel([one, two], name="both").throw_if_error()
"""
ITEM = """
    async def one(ctx: DurableContext, sku: str) -> str:
        await ctx.step(reserve(sku))
        if sku == "B2":
            await ctx.step(charge_card(), config=StepConfig(retry_strategy=RetryPresets.none()))
        return sku

    (await ctx.map(["A1", "B2", "C3"], one, name="lines")).throw_if_error()
"""
STATES: dict[str, tuple[str, Callable[[LocalEngine, str], None] | None, tuple[str, ...]]] = {
    "stopped": (_coroutine(RESTING), _stop, ("Stopped: Ops: customer cancelled", "it was stopped from outside")),
    "stopped_without_a_reason": (
        _coroutine(RESTING),
        _end,
        ("⊘ Stopped after 0ms, 1 invocation", "it was stopped from outside"),
    ),
    "paused": (
        _coroutine(RESTING),
        _pause,
        ("It is paused", "paused from outside", "durable-debug resume"),
    ),
    "resting": (_coroutine(RESTING), None, ('Waiting for the timer "cooling", ends in 5h', "it continues by itself")),
    "retrying": (
        _coroutine(f"return await ctx.step(charge_card(), {LATER})"),
        None,
        (
            'Retrying "charge_card": attempt 2 after 20:00; the last one raised GatewayDownError',
            'raise GatewayDownError("503 from the gateway")',
            "Fix wait for the next attempt; if it fails in the same way, correct retrying.py:23",
        ),
    ),
    "storm": (
        _coroutine(STORM),
        lambda engine, _arn: engine.run_until_idle(skips="work"),
        ("gave up after 5 attempts", "Tried 5 times", "Fix if the cause is transient", "RetryPresets.critical()"),
    ),
    "many_callbacks": (_coroutine(MANY), None, ("and for 2 more calls", "durable-debug callback succeed")),
    "branch_failed": (
        _function(BRANCHES),
        None,
        (
            "branch 1 of both failed (KeyError",
            "it is not in a step",
            "Fix correct branch_failed.py",
        ),
    ),
    "item_failed": (
        _coroutine(ITEM),
        None,
        ("Failed: charge_card failed (GatewayDownError", "Called item_failed.py:52"),
    ),
    "no_function": (
        _coroutine('return await ctx.invoke("billing", {"a": 1}, name="bill")'),
        None,
        ("there is no function billing", "Fix deploy billing, or correct the name in the call"),
    ),
    "polling": (
        _coroutine(POLLING),
        None,
        (
            'Waiting for condition "shipped": 1 poll so far, poll 2 after 10:00',
            "the condition is not met yet: the last poll returned 1",
            "Fix nothing: it polls again by itself",
        ),
    ),
    "limit_in_wait": (
        _coroutine(RESTING),
        _pass,
        (
            'Timed out: Execution.Timeout: Execution timed out after 3600 seconds, while wait "cooling" had not ended',
            "the time limit of 1h 00m for the whole execution passed before wait cooling ended, which was due 4h 00m later",
            "Fix raise ExecutionTimeout",
        ),
    ),
    "limit_between_attempts": (
        _coroutine(f"return await ctx.step(charge_card(), {LATER.replace('minutes=20', 'hours=2')})"),
        _pass,
        ("503 from the gateway", "passed before the next attempt of charge_card, which was due 1h 00m later"),
    ),
    "callback_refused": (
        _coroutine(CALLED_BACK),
        _refuse,
        ("reported a failure", "Fix handle CallbackError around the result; this execution has ended"),
    ),
    "plain_failed": (
        _function('parcel = {"weight": None}\nreturn parcel["weight"] > 3'),
        None,
        ("Failed: TypeError: '>' not supported", "plain_failed.py:50", "Fix correct plain_failed.py:50"),
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_the_first_screen_says_how_an_execution_stands(
    name: str, tmp_path: Path, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, act, words = STATES[name]
    case, events = _run(name, text, act, tmp_path)
    case.history.write_text(json.dumps({"Events": events}, default=str), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    _expect(session_of(case, is_replayed=False), words, drive, view="tree")


def test_the_first_screen_says_that_events_are_missing(
    tmp_path: Path, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, events = _run(
        "headless", _coroutine(RESTING), lambda engine, _arn: engine.run_until_idle(skips="work"), tmp_path
    )
    case.history.write_text(json.dumps({"Events": events[2:]}, default=str), encoding="utf-8")
    (tmp_path / "headless.trace.jsonl").unlink()
    monkeypatch.chdir(tmp_path)
    _expect(session_of(case, is_replayed=False), ("Succeeded", "its first events are missing"), drive, view="tree")


def _run(
    name: str, text: str, act: Callable[[LocalEngine, str], None] | None, directory: Path
) -> tuple[Recorded, list[Any]]:
    module, sink = directory / f"{name}.py", MemorySink()
    with LocalEngine(None, time="skip", ids=CountingIds(), trace_sink=sink) as engine:
        engine.register("orders", _handler(module, text))
        arn = engine.start("orders", {}, name=name, timeout=timedelta(hours=1) if name in LIMITED else None)
        engine.run_until_idle(skips="nothing")
        if act is not None:
            act(engine, arn)
        events = _events(engine, arn)
    (directory / f"{name}.trace.jsonl").write_text(sink.texts[arn], encoding="utf-8")
    return Recorded(Broken(name, text), module, directory / f"{name}.history.json"), events


def _expect(session: Any, words: tuple[str, ...], drive: Drive, *, view: str) -> None:
    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        text = screen_text(app)
        flat = " ".join(text.split())
        for word in words:
            assert word in flat, f"{word!r} is not on the first screen:\n{text}"
        assert "the same on both sides" not in text
        assert "▌" in text, f"no row is selected on the screen:\n{text}"

    drive(session, look, view=view)


def test_recorded_and_todays_source_stand_side_by_side(
    tmp_path: Path, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, today, _ = DIFFERENT["callback_removed"]
    case = record(Broken("two_columns", before, today, is_waiting=True), tmp_path)
    monkeypatch.chdir(tmp_path)

    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        rows = screen_text(app).splitlines()
        gone = next(row for row in rows if "− " in row and "await handle.result()" in row)
        assert gone.partition("│")[2].partition("│")[0].strip() == "", "today has no such line"
        same = next(row for row in rows if row.count("await ctx.step(reserve())") == 2)
        assert "│" in same
        source = main_of(app).query_one(SourcePane)
        place, row = source.line_choice(), source.cursor_index()
        assert place is not None
        assert row is not None
        assert row != place[1] - 1, "lines that are gone have rows of their own"
        source.choose(row)
        assert source.line_choice() == place
        await pilot.resize_terminal(160, 48)
        await pilot.pause()
        text = screen_text(app)
        assert text.count("await ctx.step(reserve())") == 1
        assert "removed above: " in text

    drive(session_of(case, is_replayed=True), look, view="step", size=(220, 48))


def test_lines_are_paired_with_the_lines_they_became() -> None:
    same, changed = False, True
    found = paired_lines(["a", "b", "c"], ["a", "x", "y", "c", "d"])
    assert found == [(0, 0, same), (1, 1, changed), (None, 2, changed), (2, 3, same), (None, 4, changed)]
    assert paired_lines(["a", "b", "c"], ["c"]) == [(0, None, changed), (1, None, changed), (2, 0, same)]
    assert paired_lines([], []) == []
