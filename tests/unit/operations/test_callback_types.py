"""The answer of an external system is read as the type the callback declares, as results of invocations are."""

from typing import Any

import pytest

from durable_execution import Callback, CallbackConfig, DurableContext, durable_execution
from durable_execution.local import LocalEngine


def answered(result_type: Any, answer: bytes) -> Any:
    @durable_execution
    async def flow(event: Any, ctx: DurableContext) -> Any:
        callback: Callback[Any] = await ctx.create_callback("answer", config=CallbackConfig(result_type=result_type))
        return repr(await callback.result())

    with LocalEngine(None, time="skip") as engine:
        engine.register("flow", flow)
        arn = engine.start("flow")
        identity = engine.wait_for_callback_id(arn)
        engine.client.send_durable_execution_callback_success(CallbackId=identity, Result=answer)
        ended = engine.wait(arn)
        return ended.result if ended.error is None else ended.error


@pytest.mark.parametrize(
    ("result_type", "answer", "expected"),
    [
        (None, b"7", "'7'"),
        (int, b"7", "7"),
        (float, b"7", "7"),
        (float, b"7.5", "7.5"),
        (bool, b"true", "True"),
        (str, b'"yes"', "'yes'"),
        (str, b"yes", "'yes'"),
        (str, b"7", "'7'"),
        (dict, b'{"t": "i", "v": 1}', "{'t': 'i', 'v': 1}"),
        (list, b"[1, 2]", "[1, 2]"),
        (Any, b'{"a": null}', "{'a': None}"),
        (list[int], b"[3]", "[3]"),
    ],
)
def test_an_answer_of_the_declared_type(result_type: Any, answer: bytes, expected: str) -> None:
    assert answered(result_type, answer) == expected


@pytest.mark.parametrize(
    ("result_type", "answer"),
    [(int, b'"7"'), (int, b"true"), (int, b"yes"), (bool, b"1"), (dict, b"[]"), (list, b"{}")],
)
def test_an_answer_of_another_type_is_an_error(result_type: Any, answer: bytes) -> None:
    error = answered(result_type, answer)
    assert error.type.endswith("SerializationError")
    assert f"is not a {result_type.__name__}" in error.message
