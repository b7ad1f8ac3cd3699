"""One engine used by several threads at once."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution import DurableContext, durable_execution
from durable_execution.errors import EngineError
from durable_execution.local import LocalEngine
from durable_execution.local.recovery import Lease

MOMENT = 0.05
"""Seconds in which another thread gets to do something it should not."""


@durable_execution
async def naps(_event: Any, ctx: DurableContext) -> str:
    await ctx.wait(timedelta(hours=1))
    return "rested"


@durable_execution
async def asks(_event: Any, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback("question")
    return await callback.result()


def test_an_engine_that_is_about_to_invoke_a_function_is_not_idle(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler, seen, has_looked = engine._scheduler, list[bool](), threading.Event()
    start = scheduler._workers.start

    def look() -> None:
        seen.append(scheduler.is_idle())
        has_looked.set()

    def start_late(assignment: Any) -> None:
        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        looking.join(MOMENT)
        start(assignment)

    monkeypatch.setattr(scheduler._workers, "start", start_late)
    engine.register("looked-at", lambda _event, _context: has_looked.wait(10), durable=False)
    assert engine.run("looked-at").result is True
    assert seen == [False]


def test_time_can_be_advanced_while_the_engine_drives_itself(engine: LocalEngine) -> None:
    engine.register("naps", naps)
    engine.drive()
    arn = engine.start("naps")
    engine.advance(timedelta(minutes=5))
    assert engine.wait(arn).result == "rested"


def test_an_engine_that_drives_itself_does_not_wait_for_the_outside(engine: LocalEngine) -> None:
    engine.register("asks", asks)
    engine.drive()
    arn = engine.start("asks")
    callback_id = engine.wait_for_callback_id(arn, "question")
    with pytest.raises(EngineError, match="question"):
        engine.wait(arn)
    engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"yes")
    assert engine.wait(arn).result == "yes"


def test_a_lease_is_taken_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    class Slow(type(tmp_path)):  # type: ignore[misc]
        """A directory that another thread wants while it is made."""

        def mkdir(self, *arguments: Any, **options: Any) -> None:
            super().mkdir(*arguments, **options)
            if not others:
                others.append(threading.Thread(target=hold, daemon=True))
                others[0].start()
                others[0].join(MOMENT)

    def hold() -> None:
        try:
            lease.hold()
        except OSError as error:
            errors.append(error)

    others: list[threading.Thread] = []
    lease = Lease(tmp_path / "store.db", "me")
    lease._directory = Slow(str(lease._directory))
    hold()
    others[0].join()
    lease.release()
    assert errors == []
