"""The engine's own face: registering, starting, waiting, running in one line, many executions at once."""

import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from durable_execution import local
from durable_execution.errors import EngineError, ServiceError
from durable_execution.handler import durable_execution
from durable_execution.local import LocalEngine
from durable_execution.local.rules.api_errors import ApiError
from durable_execution.observers import InvocationStarted, Observer
from durable_execution.protocol import Wire
from tests.unit.local.scripts import (
    PENDING,
    Session,
    callback,
    details,
    done,
    history,
    invoke,
    kinds,
    register,
    step,
    wait,
)


@durable_execution
async def greet(payload: dict[str, Any], ctx: Any) -> Any:
    await ctx.wait(timedelta(days=3), name="nap")
    return await ctx.step(lambda _: f"hello {payload['who']}", name="greet")


@durable_execution
async def greet_by_invoke(payload: dict[str, Any], ctx: Any) -> Any:
    return await ctx.invoke("greet", payload, name="call")


def test_a_handler_of_this_sdk_is_registered_as_durable(engine: LocalEngine) -> None:
    engine.register("hello", greet)
    result = engine.run("hello", {"who": "you"})

    assert result.result == "hello you"
    assert kinds(engine, result.arn) == [
        "ExecutionStarted",
        "WaitStarted",
        "InvocationCompleted",
        "WaitSucceeded",
        "StepStarted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]


def test_run_takes_one_line() -> None:
    assert local.run(greet, {"who": "you"}, store=None, time="skip").result == "hello you"


def test_run_takes_the_other_functions_of_a_workflow(tmp_path: Path) -> None:
    result = local.run(
        greet_by_invoke, {"who": "you"}, store=tmp_path / "x.db", time="skip", name="n", functions={"greet": greet}
    )
    assert result.result == "hello you"
    with LocalEngine(tmp_path / "x.db", create=False) as engine:
        listed = engine.client.list_durable_executions_by_function(FunctionName="greet_by_invoke")
        assert listed["DurableExecutions"][0]["DurableExecutionName"] == "n"
        assert engine.executions()["DurableExecutions"][0]["FunctionArn"].endswith(":function:greet:$LATEST")


def test_a_replay_trace_is_written_beside_the_store(store_file: Path) -> None:
    with LocalEngine(store_file, time="skip") as engine:
        engine.register("greet", greet)
        engine.run("greet", {"who": "you"}, name="traced")
    (trace,) = (store_file.parent / "traces").iterdir()
    assert trace.name.startswith("traced-")
    assert "nap" in trace.read_text()


def test_traces_can_be_turned_off_or_sent_elsewhere(store_file: Path, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    with LocalEngine(store_file, time="skip", trace_sink=False) as engine:
        engine.register("greet", greet)
        engine.run("greet", {"who": "you"})
    with LocalEngine(store_file, time="skip", trace_sink=place) as engine:
        engine.register("greet", greet)
        engine.run("greet", {"who": "you"})
    assert not (store_file.parent / "traces").exists()
    assert len(list(place.iterdir())) == 1


def test_observers_can_be_added_by_overriding_one_method() -> None:
    seen: list[str] = []

    class Listening(Observer):
        def on_invocation_started(self, notification: InvocationStarted) -> None:
            seen.append(notification.execution_arn)

    class Engine(LocalEngine):
        def observers_for(self, assignment: Any) -> list[Observer]:
            return [Listening()]

    with Engine(None, time="skip") as engine:
        engine.register("greet", greet)
        arn = engine.run("greet", {"who": "you"}).arn
    assert seen == [arn, arn]


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a/b"])
def test_a_function_has_a_name_lambda_would_take(engine: LocalEngine, name: str) -> None:
    with pytest.raises(EngineError, match="is not a valid function name"):
        engine.register(name, greet)


def test_what_cannot_be_called_cannot_be_registered(engine: LocalEngine) -> None:
    with pytest.raises(EngineError, match="cannot be registered as 'x'"):
        engine.register("x", 7)  # type: ignore[arg-type]


def test_an_unknown_function_names_those_that_are_known(engine: LocalEngine) -> None:
    engine.register("b", greet)
    engine.register("a", greet)
    with pytest.raises(EngineError, match=r"no function named 'gret' .* \(registered: a, b\)"):
        engine.start("gret")


def test_a_payload_that_is_no_json_says_what_to_pass(engine: LocalEngine) -> None:
    engine.register("greet", greet)
    with pytest.raises(EngineError, match=r"cannot be serialized as JSON.*model_dump"):
        engine.start("greet", {"who": object()})


def test_an_unknown_execution_says_where_it_looked(engine: LocalEngine) -> None:
    for call in (lambda: engine.wait("x"), lambda: engine.result("x"), lambda: engine.wait_for_callback_id("x")):
        with pytest.raises(EngineError, match="no execution x in the store in memory"):
            call()


def test_waiting_can_be_bounded() -> None:
    def body(session: Session) -> Wire:
        session.send(callback("c"))
        return PENDING

    times: tuple[Literal["real", "skip"], ...] = ("real", "skip")
    for time in times:
        with LocalEngine(None, time=time) as engine:
            register(engine, body)
            with pytest.raises(EngineError, match="waits for the callback"):
                engine.wait(engine.start("flow"), timeout=timedelta(milliseconds=50))


def test_the_real_clock_waits(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        if session.status("w") is None:
            session.send(wait("w", 1))
            return PENDING
        return done() if session.status("w") == "SUCCEEDED" else PENDING

    with LocalEngine(None) as real:
        register(real, body)
        result = real.run("flow")
        real.run_until_idle()
        events = history(real, result.arn)
    waited = events[3]["EventTimestamp"] - events[1]["EventTimestamp"]
    assert events[3]["EventType"] == "WaitSucceeded"
    assert timedelta(seconds=1) <= waited < timedelta(seconds=3)


def test_a_chained_invoke_runs_after_its_parents_invocation_with_the_real_clock_too() -> None:
    def parent(session: Session) -> Wire:
        if session.status("i") is None:
            session.send(invoke("i", "child"))
        return done() if session.status("i") == "SUCCEEDED" else PENDING

    with LocalEngine(None) as engine:
        register(engine, parent)
        register(engine, lambda session: done(), "child")
        for _ in range(20):
            assert kinds(engine, engine.run("flow").arn)[1:4] == [
                "ChainedInvokeStarted",
                "InvocationCompleted",
                "ChainedInvokeSucceeded",
            ]


def test_a_parent_that_works_on_does_not_hold_up_its_children() -> None:
    def parent(session: Session) -> Wire:
        session.send(invoke("i", "child"))
        while session.status("i") == "STARTED":
            session.send()
        return done()

    with LocalEngine(None) as engine:
        register(engine, parent)
        register(engine, lambda session: done(), "child")
        assert "ChainedInvokeSucceeded" in kinds(engine, engine.run("flow").arn)


def test_executions_run_at_the_same_time_but_each_one_invocation_at_a_time() -> None:
    count, width = 40, 8
    inside: dict[str, int] = {}
    most: list[int] = []
    together = threading.Barrier(width, timeout=20)
    lock = threading.Lock()

    def body(session: Session) -> Wire:
        with lock:
            inside[session.arn] = inside.get(session.arn, 0) + 1
            most.append(max(inside.values()))
        if session.status("first") is None:
            together.wait()
        for identity in ("first", "second"):
            if session.status(identity) is None:
                session.send(step(identity, "START"), step(identity, "SUCCEED"))
        with lock:
            inside[session.arn] -= 1
        if session.status("w") is None:
            session.send(wait("w", 1))
            return PENDING
        return done()

    with LocalEngine(None, max_concurrency=width) as engine:
        register(engine, body)
        arns = [engine.start("flow", number) for number in range(count)]
        results = [engine.wait(arn) for arn in arns]
    assert {result.status for result in results} == {"SUCCEEDED"}
    assert max(most) == 1


def test_with_a_skipping_clock_two_engines_write_the_same_histories() -> None:
    def run() -> list[Any]:
        from durable_execution.local import CountingIds, SkippingClock
        from tests.unit.local.conftest import START

        def parent(session: Session) -> Wire:
            if session.status("i0") is None:
                session.send(*(invoke(f"i{number}", "child", str(number)) for number in range(5)), wait("w", 7))
            is_over = all(
                found["Status"] != "STARTED" or found["Type"] == "EXECUTION" for found in session.operations.values()
            )
            return done() if is_over else PENDING

        def child(session: Session) -> Wire:
            if session.status("w") is None:
                session.send(wait("w", 3 + len(session.arn) % 5))
            return done() if session.status("w") == "SUCCEEDED" else PENDING

        with LocalEngine(None, clock=SkippingClock(START), ids=CountingIds()) as engine:
            register(engine, parent)
            register(engine, child, "child")
            arns = [engine.start("flow", number) for number in range(4)]
            engine.run_until_idle()
            return [history(engine, arn) for arn in arns]

    assert run() == run()


def test_a_step_may_wait_for_another_execution(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        answer = session.client.invoke(FunctionName="child:$LATEST", Payload=b"[1]")
        return done(answer["Payload"].read().decode())

    register(engine, body)
    register(engine, lambda session: done("7"), "child")
    assert engine.run("flow").result == 7


@pytest.mark.real_time
def test_ctrl_c_interrupts_a_run_that_waits_and_nothing_is_lost(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from datetime import timedelta\n"
        "from durable_execution import local\n"
        "from durable_execution.handler import durable_execution\n"
        "@durable_execution\n"
        "async def flow(payload, ctx):\n"
        "    await ctx.step(lambda _: 1, name='kept')\n"
        "    await ctx.step(lambda _: print('ready', flush=True), name='say')\n"
        "    await ctx.wait(timedelta(hours=1))\n"
        "local.run(flow, store='x.db', name='one')\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(program)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == -signal.SIGINT, errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    with LocalEngine(tmp_path / "x.db", time="skip", create=False) as engine:
        (row,) = engine.client.list_durable_executions_by_function(FunctionName="flow")["DurableExecutions"]
        assert row["Status"] == "RUNNING"
        assert "StepSucceeded" in kinds(engine, row["DurableExecutionArn"])
    assert list((tmp_path / "x.db-engines").iterdir()) == []


def api(engine: LocalEngine, **options: Any) -> Wire:
    answer: Wire = engine.client.invoke(**options)
    return {**answer, "Payload": answer["Payload"].read()}


def test_invoke_waits_for_the_result_of_a_durable_function(engine: LocalEngine) -> None:
    engine.register("greet", greet)
    answer = api(engine, FunctionName="greet", Qualifier="$LATEST", Payload=b'{"who": "you"}', DurableExecutionName="n")
    assert answer == {
        "StatusCode": 200,
        "ExecutedVersion": "$LATEST",
        "Payload": b'"hello you"',
        "DurableExecutionArn": answer["DurableExecutionArn"],
    }
    assert "/durable-execution/n/" in answer["DurableExecutionArn"]
    again = api(engine, FunctionName="greet:$LATEST", Payload=b'{"who": "you"}', DurableExecutionName="n")
    assert again == answer


def test_invoke_may_return_at_once_or_only_check(engine: LocalEngine) -> None:
    engine.register("greet", greet)
    event = api(engine, FunctionName="greet:7", InvocationType="Event", Payload=b'{"who": "you"}')
    assert (event["StatusCode"], event["Payload"]) == (202, b"")
    assert engine.wait(event["DurableExecutionArn"]).result == "hello you"
    check = api(engine, FunctionName="greet:7", InvocationType="DryRun")
    assert check == {"StatusCode": 204, "Payload": b""}


def test_invoke_of_a_plain_function(engine: LocalEngine) -> None:
    def plain(event: Any, context: Any) -> Any:
        if event == "boom":
            raise ValueError("no")
        return [event, context.client_context]

    engine.register("plain", plain)
    assert api(engine, FunctionName="plain", Payload=b"[1]", ClientContext="eyJhIjogMX0=") == {
        "StatusCode": 200,
        "ExecutedVersion": "$LATEST",
        "Payload": b'[[1], {"a": 1}]',
    }
    answer = api(engine, FunctionName="plain", Payload=b'"boom"')
    assert answer["FunctionError"] == "Unhandled"
    assert b'"errorType": "ValueError"' in answer["Payload"]
    assert api(engine, FunctionName="plain", InvocationType="Event")["StatusCode"] == 202


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"FunctionName": "greet"}, "InvalidParameterValueException"),
        ({"FunctionName": "nobody:1"}, "ResourceNotFoundException"),
        ({"InvocationType": "Later"}, "InvalidParameterValueException"),
        ({"InvocationType": ["Event"]}, "InvalidParameterValueException"),
        ({"DurableExecutionName": "a b"}, "InvalidParameterValueException"),
        ({"DurableExecutionName": "x" * 65}, "InvalidParameterValueException"),
        ({"FunctionName": "plain", "DurableExecutionName": "n"}, "InvalidParameterValueException"),
        ({"TenantId": "a!"}, "InvalidParameterValueException"),
        ({"ClientContext": "???"}, "InvalidRequestContentException"),
        ({"ClientContext": "bm8="}, "InvalidRequestContentException"),
        ({"Payload": b"{"}, "InvalidRequestContentException"),
        ({"Payload": b"\xff"}, "InvalidRequestContentException"),
        ({"Payload": b"[" * 100_000}, "InvalidRequestContentException"),
        ({"Payload": b'"' + b"x" * 6 * 1024 * 1024 + b'"'}, "RequestTooLargeException"),
        ({"Payload": b'"' + b"x" * 1024 * 1024 + b'"', "InvocationType": "Event"}, "RequestTooLargeException"),
        ({"Payload": 7}, "InvalidParameterValueException"),
    ],
    ids=range(16),
)
def test_invocations_that_make_no_sense_are_refused(engine: LocalEngine, options: Wire, code: str) -> None:
    engine.register("greet", greet)
    engine.register("plain", lambda event, context: 1)
    with pytest.raises(ServiceError) as refused:
        api(engine, **{"FunctionName": "greet:$LATEST", **options})
    assert refused.value.code == code
    assert engine.executions() == {"DurableExecutions": []}


def test_errors_look_like_those_of_boto3(engine: LocalEngine) -> None:
    client = engine.client
    with pytest.raises(client.exceptions.ResourceNotFoundException) as refused:
        client.get_durable_execution(DurableExecutionArn="x")
    assert isinstance(refused.value, ApiError)
    assert refused.value.response["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": "Durable execution not found: x",
    }
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    with pytest.raises(client.exceptions.ClientError):
        client.get_durable_execution(DurableExecutionArn="x")


def test_executions_of_all_functions_are_listed(engine: LocalEngine) -> None:
    register(engine, lambda session: done())
    register(engine, lambda session: done(), "other")
    engine.register("plain", lambda event, context: 1)
    arns = [engine.run("flow").arn, engine.run("other").arn]
    engine.client.invoke(FunctionName="plain")
    page = engine.executions(oldest_first=True)
    assert [row["DurableExecutionArn"] for row in page["DurableExecutions"]] == arns
    first = engine.executions(max_items=1)
    assert [row["DurableExecutionArn"] for row in first["DurableExecutions"]] == arns[1:]
    second = engine.executions(max_items=1, marker=first["NextMarker"])
    assert [row["DurableExecutionArn"] for row in second["DurableExecutions"]] == arns[:1]


def test_the_trace_header_reaches_children(engine: LocalEngine) -> None:
    headers: list[str | None] = []

    class Host:
        def invoke(self, invocation: local.Invocation) -> local.Answer:
            headers.append(invocation.trace_header)
            return local.Answer(done())

        def close(self) -> None:
            pass

    def parent(session: Session) -> Wire:
        if session.status("i") is None:
            session.send(invoke("i", "child", XAmznTraceId="Root=1-abc"))
        return done() if session.status("i") == "SUCCEEDED" else PENDING

    register(engine, parent)
    engine.register("child", Host())
    arn = engine.run("flow").arn
    child = details(history(engine, arn)[1])["DurableExecutionArn"]
    assert headers == ["Root=1-abc"]
    assert engine.client.get_durable_execution(DurableExecutionArn=child)["TraceHeader"] == {
        "XAmznTraceId": "Root=1-abc"
    }
