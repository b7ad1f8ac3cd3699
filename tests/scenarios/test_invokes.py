"""Functions that call functions, and every way in which that fails."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from durable_execution import CallbackConfig, DurableContext, InvokeConfig, durable_execution
from durable_execution.errors import InvokeError, InvokeStoppedError, InvokeTimeoutError
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Invoice:
    """What the called function returns."""

    number: str
    due: datetime


class OutOfPaperError(Exception):
    """Why an invoice cannot be printed."""


@durable_execution
async def issue_invoice(order: dict[str, Any], ctx: DurableContext) -> Invoice:
    await ctx.wait(timedelta(hours=1))
    return Invoice(f"INV-{order['id']}", datetime.fromisoformat("2026-03-01T00:00:00+00:00"))


@durable_execution
async def break_down(_event: Any, _ctx: DurableContext) -> None:
    raise OutOfPaperError("tray 2")


@durable_execution
async def wait_for_ever(_event: Any, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback("never", config=CallbackConfig())
    return await callback.result()


def plain(event: Any, _context: Any) -> Any:
    """A function that is not durable."""
    if event == "fail":
        raise OutOfPaperError("tray 1")
    return {"echo": event}


async def call(target: str, ctx: DurableContext) -> Any:
    try:
        return await ctx.invoke(f"{target}:$LATEST", {"id": 7}, name="call")
    except InvokeError as error:
        caught = error
    await ctx.wait(timedelta(seconds=1))
    return [type(caught).__mro__[0].__name__, caught.error_type, str(caught)]


@pytest.fixture
def office(scenario: Scenario) -> Scenario:
    scenario.engine.register("issue_invoice", issue_invoice)
    scenario.engine.register("break_down", break_down)
    scenario.engine.register("wait_for_ever", wait_for_ever, execution_timeout=timedelta(minutes=5))
    scenario.engine.register("plain", plain)
    return scenario


def test_a_durable_function_takes_its_time(office: Scenario) -> None:
    assert office.result(call, "issue_invoice") == {"number": "INV-7", "due": "2026-03-01T00:00:00Z"}


def test_a_result_is_restored_as_its_type(office: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        config = InvokeConfig(result_type=Invoice)
        invoice = await ctx.invoke("issue_invoice:$LATEST", {"id": 8}, config=config)
        await ctx.wait(timedelta(seconds=1))
        assert type(invoice) is Invoice
        year: str = f"{invoice.number} due {invoice.due:%Y}"
        return year

    assert office.result(workflow) == "INV-8 due 2026"


def test_a_plain_function_answers_at_once(office: Scenario) -> None:
    assert office.result(call, "plain") == {"echo": {"id": 7}}


def test_a_failure_is_that_of_the_function(office: Scenario) -> None:
    name = f"{OutOfPaperError.__module__}.OutOfPaperError"
    assert office.result(call, "break_down") == ["InvokeError", name, "tray 2"]


def test_a_failure_of_a_plain_function_is_told_as_well(office: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        try:
            return str(await ctx.invoke("plain", "fail"))
        except InvokeError as error:
            return str(error)

    assert office.result(workflow) == "tray 1"


def test_a_function_that_does_not_exist(office: Scenario) -> None:
    kind, error_type, message = office.result(call, "nobody")
    assert (kind, error_type) == ("InvokeError", "ResourceNotFoundException")
    assert "nobody" in message


def test_a_function_that_runs_out_of_time(office: Scenario) -> None:
    kind, error_type, message = office.result(call, "wait_for_ever")
    assert (kind, error_type) == ("InvokeTimeoutError", "ChainedInvoke.Timeout")
    assert "300 seconds" in message


def test_a_function_that_is_stopped(office: Scenario) -> None:
    arn = office.start(call, "wait_for_ever")
    office.engine.run_until_idle()
    listed = office.engine.client.list_durable_executions_by_function(FunctionName="wait_for_ever:$LATEST")
    error = {"ErrorType": "Operator", "ErrorMessage": "enough"}
    office.engine.client.stop_durable_execution(
        DurableExecutionArn=listed["DurableExecutions"][0]["DurableExecutionArn"], Error=error
    )
    assert office.ended(arn).result == ["InvokeStoppedError", "Operator", "enough"]


def test_a_payload_that_cannot_be_sent_is_refused(office: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        await ctx.invoke("plain", {"lock": object()}, name="call")

    ended = office.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert "the payload of workflow/call cannot be serialized" in (ended.error.message or "")
    assert "ChainedInvokeStarted call" not in office.happened(ended.arn)


def test_a_tenant_goes_with_the_call(scenario: Scenario) -> None:
    def who(_event: Any, context: Any) -> Any:
        return context.tenant_id

    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        return await ctx.invoke("who", config=InvokeConfig(tenant_id="acme"))

    scenario.engine.register("who", who, tenant_isolated=True)
    assert scenario.result(workflow) == "acme"


def test_errors_of_invokes_form_a_tree() -> None:
    assert issubclass(InvokeTimeoutError, InvokeError)
    assert issubclass(InvokeStoppedError, InvokeError)
