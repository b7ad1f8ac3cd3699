"""The examples run: as handlers on the skipping clock, and as the scripts they are."""

import runpy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import callback_workflow
import order_workflow
import parallel_processing
import simple_workflow
from durable_execution import DurableHandler, local
from durable_execution.local import ExecutionResult, LocalEngine
from durable_execution.protocol import ExecutionStatus

ORDER = {
    "order_id": "A-17",
    "email": "ada@example.com",
    "lines": [{"article": "tea", "price": "4.20"}, {"article": "pot", "price": "24.50"}],
}


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(store=None, time="skip") as engine:
        yield engine


def run(engine: LocalEngine, handler: DurableHandler[Any], payload: object) -> ExecutionResult:
    engine.register("example", handler)
    return engine.run("example", payload)


def answer(engine: LocalEngine, execution: str, name: str, text: str) -> None:
    callback_id = engine.wait_for_callback_id(execution, name)
    engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=text)


def event_types(engine: LocalEngine, execution: str) -> list[str]:
    page = engine.client.get_durable_execution_history(DurableExecutionArn=execution, MaxItems=1000)
    return [event["EventType"] for event in page["Events"]]


def test_simple_workflow(engine: LocalEngine) -> None:
    result = run(engine, simple_workflow.process_order, {"order_id": "A-17", "amount": 42.5})
    assert result.result == {"status": "completed", "order_id": "A-17", "payment_id": "pay_A-17"}


def test_simple_workflow_suspends_while_it_waits(engine: LocalEngine) -> None:
    result = run(engine, simple_workflow.process_order, {"order_id": "A-17", "amount": 42.5})
    assert event_types(engine, result.arn).count("InvocationCompleted") == 2


def test_simple_workflow_refuses_an_invalid_order_for_good(engine: LocalEngine) -> None:
    result = run(engine, simple_workflow.process_order, {"order_id": "A-17", "amount": 0})
    assert result.status is ExecutionStatus.FAILED
    assert result.error is not None
    assert "no amount to charge" in (result.error.message or "")
    assert event_types(engine, result.arn).count("InvocationCompleted") == 1


def test_simple_workflow_says_what_is_wrong_with_a_payload(engine: LocalEngine) -> None:
    result = run(engine, simple_workflow.process_order, {"order_id": "A-17"})
    assert result.status is ExecutionStatus.FAILED
    assert result.error is not None
    assert "amount" in (result.error.message or "")


def test_parallel_processing(engine: LocalEngine) -> None:
    payload = {"items": ["tea", "cup", "spoon", "pot"], "country": "DE"}
    assert run(engine, parallel_processing.price_basket, payload).result == {"total": 49.76, "unknown": ["spoon"]}


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('{"approved": true, "approver": "Grace"}', "approved by Grace"),
        ('{"approved": false, "approver": "Grace"}', "rejected by Grace"),
    ],
    ids=["approved", "rejected"],
)
def test_callback_workflow(engine: LocalEngine, text: str, outcome: str) -> None:
    engine.register("example", callback_workflow.approve_expense)
    execution = engine.start("example", {"employee": "Ada", "amount": 120.0})
    answer(engine, execution, "approval", text)
    assert engine.wait(execution).result == outcome


def test_callback_workflow_that_is_reported_as_failed(engine: LocalEngine) -> None:
    engine.register("example", callback_workflow.approve_expense)
    execution = engine.start("example", {"employee": "Ada", "amount": 120.0})
    callback_id = engine.wait_for_callback_id(execution, "approval")
    error = {"ErrorMessage": "out of office", "ErrorType": "Absent"}
    engine.client.send_durable_execution_callback_failure(CallbackId=callback_id, Error=error)
    assert engine.wait(execution).result == "could not be decided: out of office"


def test_callback_workflow_that_nobody_answers(engine: LocalEngine) -> None:
    engine.register("example", callback_workflow.approve_expense)
    execution = engine.start("example", {"employee": "Ada", "amount": 120.0})
    engine.run_until_idle(skips="everything")
    assert engine.wait(execution).result == "no answer within a day"


def test_order_workflow(engine: LocalEngine) -> None:
    engine.register("process_order", order_workflow.process_order)
    engine.register("issue_invoice", order_workflow.issue_invoice)
    execution = engine.start("process_order", ORDER)
    answer(engine, execution, "manager_approval", '{"approved": true, "by": "Grace"}')
    assert engine.wait(execution).result == {
        "order_id": "A-17",
        "payment_id": "pay-A-17",
        "shelves": {"tea": 13, "pot": 13},
        "approved_by": "Grace",
        "label": "label: courier for A-17",
        "invoice": "INV-A-17",
    }
    happened = event_types(engine, execution)
    assert happened.count("StepFailed") == 2
    assert {"WaitSucceeded", "CallbackSucceeded", "ChainedInvokeSucceeded", "ContextSucceeded"} <= set(happened)


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        ("simple_workflow.py", "pay_A-17"),
        ("parallel_processing.py", "49.76"),
        ("callback_workflow.py", "approved by Grace"),
    ],
)
def test_an_example_is_a_script(
    script: str, printed: str, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "LocalEngine", partial(LocalEngine, store=None, time="skip"))
    monkeypatch.setattr(local, "run", partial(local.run, store=None, time="skip"), raising=False)
    runpy.run_path(str(repository / "examples" / script), run_name="__main__")
    assert printed in capsys.readouterr().out
