"""`LocalEngine.fork`: what would have happened if one call had ended differently."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution import (
    CallbackConfig,
    DurableContext,
    StepContext,
    WaitForConditionConfig,
    durable_execution,
    poll_until,
)
from durable_execution.errors import EngineError, ForkRefusedError
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.local import LocalEngine
from durable_execution.protocol import ErrorObject
from durable_execution.trace import read_traces
from tests.replay.recording import events_of

RAN: list[str] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    RAN.clear()


async def check_fraud(_: StepContext) -> dict[str, int]:
    RAN.append("check_fraud")
    return {"score": 12}


async def review(_: StepContext) -> str:
    RAN.append("review")
    return "ok"


async def charge(_: StepContext) -> str:
    RAN.append("charge")
    return "p-1"


@durable_execution
async def process_order(order: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    fraud = await ctx.step(check_fraud, "check_fraud")
    seen = await ctx.now()
    await ctx.wait(timedelta(days=2), "cool_off")
    if fraud["score"] > 80 and await ctx.step(review, "review") != "ok":
        return {"status": "rejected"}
    bill = await ctx.invoke("ledger", {"amount": 5}, "book")
    payment = await ctx.step(charge, "charge")
    return {"payment": payment, "bill": bill, "id": str(ctx.uuid()), "day": seen.day}


def ledger(event: Any, context: Any) -> dict[str, Any]:
    RAN.append("ledger")
    return {"booked": event["amount"]}


def registered(engine: LocalEngine) -> LocalEngine:
    engine.register("ledger", ledger)
    engine.register("orders", process_order)
    return engine


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    with registered(LocalEngine(tmp_path / "store.db", time="skip", trace_sink=False)) as engine:
        yield engine


def recorded(engine: LocalEngine, arn: str) -> RecordedExecution:
    return read_history(events_of(engine, arn), arn=arn)


def origin_of(engine: LocalEngine) -> str:
    arn = engine.run("orders", {"id": 7}).arn
    RAN.clear()
    return arn


def test_an_unedited_fork_repeats_the_recording_without_running_a_body(engine: LocalEngine) -> None:
    origin = origin_of(engine)
    arn = engine.fork(origin, at="check_fraud", function="orders")
    result = engine.wait(arn)
    expected = engine.result(origin)
    assert expected is not None
    assert result.result == expected.result, "also the values that the origin's ARN seeds"
    assert RAN == []
    fork = recorded(engine, arn)
    assert fork.forked_from is not None
    assert (fork.forked_from.arn, fork.forked_from.is_edited) == (origin, False)
    assert fork.started_at == recorded(engine, origin).started_at


def test_a_call_without_a_recorded_outcome_waits_for_an_answer(engine: LocalEngine) -> None:
    arn = engine.fork(origin_of(engine), at="check_fraud", function="orders", result={"score": 99})
    engine.run_until_idle(skips="work")
    assert engine.result(arn) is None
    assert engine.fork_questions(arn) == ["review"]
    engine.answer(arn, "review", "no")
    assert engine.wait(arn).result == {"status": "rejected"}
    assert RAN == []


def test_an_answer_can_be_an_error(engine: LocalEngine) -> None:
    arn = engine.fork(origin_of(engine), at="check_fraud", function="orders", result={"score": 99})
    engine.run_until_idle(skips="work")
    engine.answer(arn, "review", error=ErrorObject("nobody there", "NoReviewer"))
    ended = engine.wait(arn)
    assert ended.status == "FAILED"
    assert ended.error is not None
    assert ended.error.message == "nobody there"


def test_answers_can_be_given_with_the_fork(engine: LocalEngine) -> None:
    origin = origin_of(engine)
    arn = engine.fork(
        origin,
        at="check_fraud",
        function="orders",
        result={"score": 99},
        answers={"review": "ok", "book": {"booked": 1}, "charge": "p-9"},
    )
    result = engine.wait(arn).result
    assert (result["payment"], result["bill"]) == ("p-9", {"booked": 1})
    assert RAN == []


@durable_execution
async def approved(event: dict[str, Any], ctx: DurableContext) -> Any:
    fraud = await ctx.step(check_fraud, "check_fraud")
    if fraud["score"] < 80:
        return "approved"
    callback = await ctx.create_callback("approve", config=CallbackConfig(timeout=timedelta(hours=1), result_type=int))
    return await callback.result()


def test_a_callback_with_a_time_out_takes_an_answer(engine: LocalEngine) -> None:
    engine.register("approved", approved)
    origin = engine.run("approved").arn
    arn = engine.fork(origin, at="check_fraud", function="approved", result={"score": 99})
    engine.run_until_idle(skips="work")
    assert engine.fork_questions(arn) == ["approve"]
    engine.answer(arn, "approve", 1)
    assert engine.wait(arn).result == 1
    later = engine.fork(
        origin, at="check_fraud", function="approved", result={"score": 99}, answers={"approve": 2}, name="later"
    )
    assert engine.wait(later).result == 2


def test_only_live_calls_run(engine: LocalEngine) -> None:
    arn = engine.fork(
        origin_of(engine), at="check_fraud", function="orders", result={"score": 99}, live=["review", "book"]
    )
    engine.run_until_idle(skips="work")
    assert RAN == ["review", "ledger"]
    assert engine.fork_questions(arn) == ["charge"]


@durable_execution
async def long_life(event: dict[str, Any], ctx: DurableContext) -> int:
    async def look(state: int, _step: StepContext) -> int:
        RAN.append("look")
        return state + 1

    seen = 0
    for _ in range(event["days"]):
        seen += await ctx.step(count_one, "count")
        await ctx.wait(timedelta(days=1), "night")
    polling = WaitForConditionConfig(wait_strategy=poll_until(lambda state: state >= 3), initial_state=0)
    return seen + await ctx.wait_for_condition(look, "poll", config=polling)


def count_one(_step: StepContext) -> int:
    RAN.append("count")
    return 1


def test_a_fork_of_a_long_life_reads_its_state_once(engine: LocalEngine) -> None:
    engine.register("long_life", long_life)
    origin = engine.run("long_life", {"days": 40})
    RAN.clear()
    assert len(recorded(engine, origin.arn).invocations) > 40
    arn = engine.fork(origin.arn, at="long_life/count", function="long_life")
    assert engine.wait(arn).result == origin.result == 43
    assert len(recorded(engine, arn).invocations) == 1
    assert RAN == []


def test_a_fork_can_have_a_different_error_and_input(engine: LocalEngine) -> None:
    origin = origin_of(engine)
    failed = engine.wait(
        engine.fork(origin, at="charge", function="orders", error=ErrorObject("declined", "CardDeclined"))
    )
    assert (failed.status, failed.error and failed.error.type) == ("FAILED", "CardDeclined")
    arn = engine.fork(origin, at="charge", function="orders", payload={"id": 8})
    assert recorded(engine, arn).input == '{"id": 8}'


def test_an_invoke_with_a_different_payload_asks(engine: LocalEngine) -> None:
    @durable_execution
    async def more_expensive(order: dict[str, Any], ctx: DurableContext) -> Any:
        await ctx.step(check_fraud, "check_fraud")
        await ctx.now()
        await ctx.wait(timedelta(days=2), "cool_off")
        return await ctx.invoke("ledger", {"amount": 6}, "book")

    origin = origin_of(engine)
    engine.register("dear", more_expensive)
    arn = engine.fork(origin, at="check_fraud", function="dear")
    engine.run_until_idle(skips="work")
    assert engine.fork_questions(arn) == ["book"]
    assert RAN == []


def test_a_step_with_a_different_function_asks(tmp_path: Path) -> None:

    async def charge_twice(_: StepContext) -> str:
        RAN.append("twice")
        return "p-2"

    @durable_execution
    async def edited(order: dict[str, Any], ctx: DurableContext) -> Any:
        await ctx.step(check_fraud, "check_fraud")
        await ctx.now()
        await ctx.wait(timedelta(days=2), "cool_off")
        await ctx.invoke("ledger", {"amount": 5}, "book")
        return await ctx.step(charge_twice, "charge")

    with registered(LocalEngine(tmp_path / "s.db", time="skip", trace_sink=tmp_path / "traces")) as engine:
        arn = engine.run("orders", {"id": 7}).arn
        (file,) = (tmp_path / "traces").iterdir()
        origin = read_history(events_of(engine, arn), arn=arn, traces=read_traces(file.read_text()))
        RAN.clear()
        engine.register("edited", edited)
        fork = engine.fork(origin, at="check_fraud", function="edited")
        engine.run_until_idle(skips="work")
        assert engine.fork_questions(fork) == ["charge"]
        assert RAN == []


@pytest.mark.parametrize(
    ("at", "options", "why"),
    [
        ("refund", {}, "'refund' is not a recorded call"),
        ("cool_off", {"result": 1}, "is a wait, which has no result"),
    ],
)
def test_a_fork_is_refused_with_a_reason(engine: LocalEngine, at: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ForkRefusedError, match=why):
        engine.fork(origin_of(engine), at=at, function="orders", **options)


def test_a_handler_that_leaves_the_recording_before_the_call_is_refused(engine: LocalEngine) -> None:
    @durable_execution
    async def renamed(order: dict[str, Any], ctx: DurableContext) -> Any:
        await ctx.step(review, "review")
        return await ctx.step(charge, "charge")

    origin = origin_of(engine)
    engine.register("renamed", renamed)
    with pytest.raises(ForkRefusedError, match="leaves the recording before") as refused:
        engine.fork(origin, at="charge", function="renamed")
    assert refused.value.divergence.recorded.name == "check_fraud"
    assert RAN == []
    assert len(engine.executions()["DurableExecutions"]) == 1, "nothing is left of it"


def test_a_function_in_a_different_process_is_refused(engine: LocalEngine) -> None:
    class Elsewhere:
        def invoke(self, invocation: Any) -> Any:
            raise AssertionError("must not run")

        def close(self) -> None:
            pass

    origin = origin_of(engine)
    engine.register("elsewhere", Elsewhere())
    with pytest.raises(ForkRefusedError, match="runs in a different process"):
        engine.fork(origin, at="charge", function="elsewhere")


def test_a_fork_takes_a_result_or_an_error(engine: LocalEngine) -> None:
    with pytest.raises(EngineError, match="pass one of them"):
        engine.fork(origin_of(engine), at="charge", function="orders", result=1, error=ErrorObject("no", "No"))
    with pytest.raises(EngineError, match="is not a fork"):
        engine.answer(origin_of(engine), "charge", 1)


def test_another_engine_continues_a_fork_without_running_a_body(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with registered(LocalEngine(store, time="skip", trace_sink=False)) as engine:
        arn = engine.fork(origin_of(engine), at="check_fraud", function="orders", result={"score": 99})
        engine.run_until_idle(skips="work")
    with registered(LocalEngine(store, time="skip", trace_sink=False)) as engine:
        assert engine.resume() == [arn]
        engine.answer(arn, "review", "ok")
        engine.run_until_idle(skips="work")
        assert engine.fork_questions(arn) == ["book"], "its place was that of another call"
    assert RAN == []


def test_a_fork_can_be_forked(engine: LocalEngine) -> None:
    origin = origin_of(engine)
    first = engine.fork(origin, at="book", function="orders", result={"booked": 0})
    once = engine.wait(first).result
    twice = engine.wait(engine.fork(first, at="charge", function="orders", result="p-3")).result
    assert (once["bill"], twice["bill"], twice["payment"], twice["id"]) == (
        {"booked": 0},
        {"booked": 0},
        "p-3",
        once["id"],
    )


def test_forks_are_kept_although_their_origin_is_old(tmp_path: Path) -> None:
    with registered(LocalEngine(tmp_path / "store.db", time="skip", trace_sink=False)) as engine:
        origin = recorded(engine, origin_of(engine))
        arn = engine.fork(origin, at="charge", function="orders")
        engine.wait(arn)
        engine.advance(timedelta(days=400))
        engine.resume()
        assert engine.result(arn) is not None


def test_a_store_of_the_first_version_takes_forks(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with registered(LocalEngine(store, time="skip", trace_sink=False)) as engine:
        origin = origin_of(engine)
    with sqlite3.connect(store) as connection:
        connection.execute("DROP TABLE forks")
        connection.execute("ALTER TABLE executions DROP COLUMN is_asynchronous")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with registered(LocalEngine(store, time="skip", trace_sink=False)) as engine:
        assert engine.wait(engine.fork(origin, at="charge", function="orders")).status == "SUCCEEDED"
