"""Endpoints that answer with something other than the Lambda API are errors that name the endpoint, in every verb."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from durable_debugger.cli import main as durable_debug
from tests.loopback_service import Answer, LoopbackService, Request

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:shop:1/durable-execution/order-7/0a1b2c3d-0000-1111-2222-333344445555"
STARTED = 1_760_000_000
EXECUTION = {
    "DurableExecutionArn": ARN,
    "DurableExecutionName": "order-7",
    "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:shop:1",
    "StartTimestamp": STARTED,
    "Status": "RUNNING",
}
EVENT = {
    "EventId": 1,
    "EventType": "ExecutionStarted",
    "EventTimestamp": STARTED,
    "ExecutionStartedDetails": {"Input": {}},
}
VERBS = (("list", "--function", "shop"), ("show", ARN))


class Endpoint(LoopbackService):
    """Gives one answer to every request about the history or the list, and a normal one to others."""

    answer: Answer = (200, {}, b"")
    description: Any = EXECUTION

    def _answer(self, request: Request) -> Answer | None:
        path = request.target.partition("?")[0]
        if path.endswith("/history") or "/functions/" in path:
            return self.answer
        return 200, {}, json.dumps(self.description).encode()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with Endpoint() as service:
        yield service


def body(value: Any) -> Answer:
    return 200, {}, json.dumps(value).encode()


@pytest.mark.acceptance
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"<html>Log in to the hotel's network</html>"),
        (200, {}, b'{"Events":[{"EventId":1,'),
        (502, {}, b"<html>Bad Gateway</html>"),
        body({}),
        body([]),
        body({"Events": 7, "DurableExecutions": "x"}),
        body({"Events": [EVENT], "DurableExecutions": [EXECUTION], "NextMarker": "again"}),
        body({"Events": [{**EVENT, "EventTimestamp": "soon"}], "DurableExecutions": [{**EXECUTION, "StartTimestamp": "soon"}]}),
        body({"Events": [{**EVENT, "EventTimestamp": 1e300}], "DurableExecutions": [{**EXECUTION, "StartTimestamp": 1e300}]}),
        body({"Events": [None], "DurableExecutions": [{}]}),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_wrong_answer_is_explained(
    endpoint: Endpoint, verb: tuple[str, ...], answer: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.answer = answer
    assert durable_debug([*verb, "--endpoint-url", endpoint.url]) in (2, 3)
    said = capsys.readouterr().err
    assert said.startswith("durable-debug: ")
    assert "Traceback" not in said


@pytest.mark.acceptance
@pytest.mark.parametrize("verb", ["stop", "pause", "resume", "delete"])
@pytest.mark.parametrize("description", [{}, {"Status": None}, {**EXECUTION, "Status": ""}])
def test_an_execution_without_a_status_is_not_acted_on(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str], verb: str, description: Any
) -> None:
    endpoint.description = description
    assert durable_debug([verb, ARN, "--yes", "--endpoint-url", endpoint.url]) == 3
    assert "get_durable_execution answered without a Status" in capsys.readouterr().err
    assert not [request for request in endpoint.requests if request.method != "GET"]
