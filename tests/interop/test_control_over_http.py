"""`durable-debug pause`, `resume`, `stop` and `delete` over HTTP, while the command and the server are killed."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.interop.serving import Serving

pytestmark = [pytest.mark.interop, pytest.mark.real_time]

COUNT = 8
FLOW = """\
from durable_execution import durable_execution


@durable_execution
async def flow(event, ctx):
    await ctx.step(lambda _: event["n"], name="first")
    callback = await ctx.create_callback("approval")
    return await callback.result()
"""


def kinds(client: Any, arn: str) -> list[str]:
    events = client.get_durable_execution_history(DurableExecutionArn=arn)["Events"]
    return [event["EventType"] for event in events]


@pytest.mark.timeout(180)
def test_killed_commands_and_servers_act_on_each_execution_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "flows.py").write_text(FLOW, encoding="utf-8")
    function = f"flow={tmp_path}/flows.py:flow"
    with Serving(tmp_path, "--function", function) as serving:
        client = serving.client()
        for number in range(COUNT):
            payload = json.dumps({"n": number}).encode()
            client.invoke(FunctionName="flow", Qualifier="$LATEST", InvocationType="Event", Payload=payload)
        callbacks = serving.wait_for_callbacks(COUNT)
        assert serving.run("pause", "--function", "flow") == 0
        assert serving.count("RUNNING") == COUNT
        assert serving.run("pause", "--function", "flow", "--yes", kill_after="paused") == -signal.SIGKILL
        assert 1 <= serving.count("PAUSED") <= COUNT
    with Serving(tmp_path, "--function", function) as serving:
        client = serving.client()
        assert serving.run("pause", "--function", "flow", "--yes", "--reason", "deploy") == 0
        assert serving.count("PAUSED") == COUNT
        arns = [
            one["DurableExecutionArn"]
            for one in client.list_durable_executions_by_function(FunctionName="flow")["DurableExecutions"]
        ]
        assert all(kinds(client, arn).count("ExecutionPaused") == 1 for arn in arns)
        client.send_durable_execution_callback_success(CallbackId=callbacks[0], Result=b"1")
        words = ("resume", "--function", "flow", "--yes")
        code = serving.run(*words, kill_after="resumed", signal_number=signal.SIGINT)
        assert code in (0, 130)
        assert "executions are left; run the command again" in serving.said or code == 0
        assert serving.run(*words) == 0
        assert serving.count("PAUSED") == 0
        assert all(kinds(client, arn).count("ExecutionResumed") == 1 for arn in arns)
        for callback in callbacks[1:4]:
            client.send_durable_execution_callback_success(CallbackId=callback, Result=b"1")
        while serving.count("SUCCEEDED") < 4:
            pass
        assert serving.run("stop", "--function", "flow", "--yes") == 0
        assert serving.run("delete", "--function", "flow", "--yes", kill_after="deleted") in (0, -signal.SIGKILL)
        assert serving.run("delete", *arns, "--yes", "--json") == 0
        assert not client.list_durable_executions_by_function(FunctionName="flow")["DurableExecutions"]
        client.close()


def test_a_server_that_goes_away_leaves_partial_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    (tmp_path / "flows.py").write_text(FLOW, encoding="utf-8")
    with Serving(tmp_path, "--function", f"flow={tmp_path}/flows.py:flow") as serving:
        url = serving.url
    serving.url = url
    arn = "arn:aws:lambda:us-east-1:123456789012:function:flow:$LATEST/durable-execution/a/0e8400e2-9b41-41d4-a716-446655440000"
    assert serving.run("pause", arn, "--yes") == 3
    assert "AWS did not answer" in serving.said
