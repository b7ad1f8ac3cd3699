"""Decorators around a handler run in the runner, the engine and the served engine, and never reach a real endpoint."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable_debugger.cli import main
from durable_execution import BlockingContext, DurableContext, StepContext, durable_execution, durable_step
from durable_execution.errors import ConfigurationError, EngineError, NotDurableError
from durable_execution.handler import handler_in
from durable_execution.local import LocalEngine, run
from durable_execution.local.http.function_process import is_durable
from durable_execution.replay.loading import load_handler
from durable_execution.testing import LocalRunner

calls: list[tuple[str, str]] = []


def recorded(name: str) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any, Any], Any]]:
    def decorate(handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        @functools.wraps(handler)
        def decorated(event: Any, context: Any) -> Any:
            calls.append((name, context.function_name))
            return handler(event, context)

        return decorated

    return decorate


@durable_step
async def charge(step: StepContext, order_id: str) -> str:
    return f"pay_{order_id}"


@recorded("outer")
@recorded("inner")
@durable_execution
async def process(order: dict[str, str], ctx: DurableContext) -> str:
    return await ctx.step(charge(order["id"]))


@pytest.fixture(autouse=True)
def no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.clear()
    monkeypatch.setattr("durable_execution.handler._service_of", refuse)


def refuse(_client: object) -> None:
    raise AssertionError("a test reached for a real endpoint")


def test_the_runner_calls_the_decorators() -> None:
    with LocalRunner(process) as runner:
        assert runner.run({"id": "7"}).assert_succeeded() == "pay_7"
    assert calls == [("outer", "process"), ("inner", "process")]


def test_the_engine_calls_the_decorators() -> None:
    with LocalEngine(None, time="skip") as engine:
        engine.register("orders", process)
        assert engine.run("orders", {"id": "7"}).result == "pay_7"
    assert calls == [("outer", "orders"), ("inner", "orders")]
    assert run(process, {"id": "8"}, store=None).result == "pay_8"


def test_a_crash_is_injected_into_a_decorated_handler() -> None:
    with LocalRunner(process) as runner:
        runner.crash(at=1)
        assert runner.run({"id": "7"}).assert_succeeded() == "pay_7"


def test_a_decorator_without_wraps_is_durable_when_it_is_said_to_be() -> None:
    def hidden(event: Any, context: Any) -> Any:
        return process(event, context)

    with LocalEngine(None, time="skip") as engine:
        engine.register("orders", hidden, durable=True)
        assert engine.run("orders", {"id": "7"}).result == "pay_7"


def test_a_served_function_with_decorators_is_durable() -> None:
    assert is_durable(process)
    assert not is_durable(functools.wraps(refuse)(lambda event, context: None))


def test_the_command_runs_and_replays_a_decorated_handler(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "decorated_shop.py"
    file.write_text(
        "import functools\n"
        "from durable_execution import durable_execution\n"
        "def logged(handler):\n"
        "    @functools.wraps(handler)\n"
        "    def decorated(event, context):\n"
        "        print('decorated')\n"
        "        return handler(event, context)\n"
        "    return decorated\n"
        "@logged\n"
        "@durable_execution\n"
        "async def process(order, ctx):\n"
        "    return await ctx.step(lambda step: 1, name='one')\n"
    )
    store = ["--store", str(tmp_path / "store.db")]
    assert main(["run", f"{file}:process", "--name", "first", "--time", "skip", *store]) == 0
    assert "decorated" in capsys.readouterr().out
    assert main(["replay", "first", f"{file}:process", *store]) == 0
    assert load_handler(f"{file}:process").name == "decorated_shop:process"


def test_a_function_that_wraps_nothing_durable_is_not_a_handler() -> None:
    assert handler_in(recorded("x")(lambda event, context: None)) is None
    assert handler_in(3) is None
    with LocalEngine(None) as engine, pytest.raises(EngineError, match="cannot be registered"):
        engine.register("orders", 3)  # type: ignore[arg-type]


def test_an_event_that_is_not_durable_is_reported_before_a_client_is_created() -> None:
    with pytest.raises(NotDurableError):
        process({"id": "7"}, type("Context", (), {"function_name": "orders"}))


def test_powertools_decorators_work() -> None:
    powertools = pytest.importorskip("aws_lambda_powertools")
    logger = powertools.Logger(service="orders")

    @logger.inject_lambda_context  # type: ignore[untyped-decorator,unused-ignore]
    @durable_execution
    async def traced(order: dict[str, str], ctx: DurableContext) -> str:
        return await ctx.step(charge(order["id"]))

    with LocalRunner(traced) as runner:
        assert runner.run({"id": "7"}).assert_succeeded() == "pay_7"


def test_powertools_decorators_work_below_a_plain_handler_too() -> None:
    powertools = pytest.importorskip("aws_lambda_powertools")
    logger = powertools.Logger(service="orders")

    @durable_execution
    @logger.inject_lambda_context  # type: ignore[untyped-decorator,unused-ignore]
    def traced(order: dict[str, str], ctx: BlockingContext) -> str:
        assert logger.get_current_keys()["function_name"]
        return ctx.step(lambda _: order["id"], name="one")

    with LocalRunner(traced) as runner:
        assert runner.run({"id": "7"}).assert_succeeded() == "7"


def test_a_decorator_below_a_plain_handler_sees_lambdas_context() -> None:
    seen: list[object] = []

    def looking(handler: Any) -> Any:
        @functools.wraps(handler)
        def decorated(event: Any, context: Any) -> Any:
            seen.extend((context.function_name, context.aws_request_id, context.get_remaining_time_in_millis() > 0))
            assert not hasattr(context, "no_such_attribute")
            return handler(event, context)

        return decorated

    @durable_execution
    @looking
    def flow(_event: Any, ctx: BlockingContext) -> str:
        return str(ctx.lambda_context.aws_request_id)

    with LocalRunner(flow) as runner:
        request_id = runner.run({}).assert_succeeded()
    assert seen == ["flow", request_id, True]


def test_a_plain_decorator_below_an_async_handler_is_refused_with_the_right_order() -> None:
    async def flow(_event: Any, ctx: DurableContext) -> None:
        """A workflow."""

    with pytest.raises(ConfigurationError, match="Put @durable_execution directly above `async def`"):
        durable_execution(recorded("plain")(flow))

    @functools.wraps(flow)
    async def waiting(event: Any, context: Any) -> None:
        await flow(event, context)

    with LocalRunner(durable_execution(waiting)) as runner:
        runner.run({}).assert_succeeded()
