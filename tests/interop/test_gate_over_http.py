"""`durable-debug gate` against an endpoint of the Lambda API: boto3 lists what is running, page by page."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from durable_debugger.cli.entry import main
from durable_execution.errors import ServiceError
from durable_execution.local import EngineLimits, LocalEngine
from durable_execution.local.lambda_client import LocalLambdaClient
from durable_execution.local.rules.api_errors import invalid
from durable_execution.protocol import Wire
from durable_execution.replay import check, fetch_history, running_executions
from durable_execution.replay.gate import hold
from durable_execution.replay.loading import load_handler
from tests.interop.serving import Serving, boto3_client, served

pytestmark = pytest.mark.interop

COUNT = 7
FLOW = """\
from datetime import timedelta
from durable_execution import durable_execution


@durable_execution
async def flow(event, ctx):
    await ctx.step(lambda _: event["n"], name="{first}")
    if event["n"] % 2:
        await ctx.step(lambda _: "odd", name="{odd}")
    callback = await ctx.create_callback("approval")
    await callback.result()
    await ctx.step(lambda _: "end", name="{end}")
"""


class Deployed:
    """An endpoint with executions under way, and versions of their code to be deployed."""

    def __init__(self, engine: LocalEngine, url: str, directory: Path) -> None:
        self.engine, self.url, self.directory = engine, url, directory
        self.client = boto3_client(url)
        self.engine.register("flow", load_handler(self.version("deployed")))
        self.arns = [engine.start("flow", {"n": number}) for number in range(COUNT)]
        engine.run_until_idle()

    def version(self, name: str, *, first: str = "first", odd: str = "odd", end: str = "end") -> str:
        path = self.directory / f"gate_{name}.py"
        path.write_text(FLOW.format(first=first, odd=odd, end=end), encoding="utf-8")
        return f"{path}:flow"

    def gate(self, reference: str, *more: str, function: str = "flow") -> int:
        """Run the gate; the search for causes takes seconds, and other tests are about it."""
        return main(["gate", function, reference, "--endpoint-url", self.url, "--no-cause", *more])

    def answer(self, number: int) -> None:
        arn = self.arns[number]
        events = self.client.get_durable_execution_history(DurableExecutionArn=arn, MaxItems=100)["Events"]
        started = next(event for event in events if event["EventType"] == "CallbackStarted")
        self.client.send_durable_execution_callback_success(
            CallbackId=started["CallbackStartedDetails"]["CallbackId"], Result=b"1"
        )

        def is_over() -> bool:
            found: Wire = self.client.get_durable_execution(DurableExecutionArn=arn)
            return bool(found["Status"] == "SUCCEEDED")

        assert self.engine.run_until(is_over, timeout=timedelta(seconds=20))


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    limits = EngineLimits(page_items=2)
    with LocalEngine(None, limits=limits, trace_sink=False) as engine, served(engine) as (url, _):
        yield Deployed(engine, url, tmp_path)


def reports(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["reports"]
    return found


def test_the_same_code_may_be_deployed(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployed.gate(deployed.version("same")) == 0
    said = capsys.readouterr().err
    assert f"{COUNT} open executions: {COUNT} at risk (on $LATEST)" in said
    assert "is safe to deploy" in said


def test_what_would_break_is_named_on_every_page(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployed.gate(deployed.version("renamed", odd="uneven"), "--json") == 1
    found = reports(capsys)
    assert sorted(one["source"] for one in found) == sorted(deployed.arns)
    broken = {one["source"] for one in found if one["verdict"] == "diverged"}
    assert broken == {arn for number, arn in enumerate(deployed.arns) if number % 2}
    paths = {one["divergences"][0]["path"] for one in found if one["divergences"]}
    assert paths == {"flow/odd"}


def test_a_change_behind_what_has_run_breaks_nothing(deployed: Deployed) -> None:
    assert deployed.gate(deployed.version("later", end="finish")) == 0


def test_what_has_ended_does_not_count(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    deployed.answer(3)
    assert deployed.gate(deployed.version("renamed", first="begin"), "--json") == 1
    assert sorted(one["source"] for one in reports(capsys)) == sorted(set(deployed.arns) - {deployed.arns[3]})


def test_a_function_without_executions_may_be_deployed(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    reference = deployed.version("idle")
    deployed.engine.register("idle", load_handler(reference))
    assert deployed.gate(reference, function="idle") == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no execution of idle is open" in printed.err


@pytest.mark.parametrize("options", [(), ("--release",)])
def test_every_format_has_its_document_without_executions(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    reference = deployed.version("idle")
    deployed.engine.register("idle", load_handler(reference))

    def printed(format_: str) -> str:
        assert deployed.gate(reference, "--format", format_, *options, function="idle") == 0
        return capsys.readouterr().out

    document = json.loads(printed("json"))
    assert (document["exit_code"], document["reports"], document["gate"]["at_risk"]) == (0, [], [])
    (run,) = json.loads(printed("sarif"))["runs"]
    assert (run["tool"]["driver"]["name"], run["results"]) == ("durable-debug gate", [])
    assert 'name="durable-debug gate" tests="0"' in printed("junit")
    assert printed("github") == "::notice title=durable-debug gate::0 recordings: nothing to replay\n"
    report = deployed.directory / "gate.txt"
    assert deployed.gate(reference, "-o", str(report), *options, function="idle") == 0
    assert "nothing to replay" in report.read_text(encoding="utf-8")


def test_a_function_that_is_not_known_is_a_wrong_word(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployed.gate(deployed.version("same"), function="no-such-function") == 2
    assert "no-such-function" in capsys.readouterr().err


def test_an_endpoint_that_does_not_answer_cannot_be_loaded(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert main(["gate", "flow", deployed.version("same"), "--endpoint-url", "http://127.0.0.1:9"]) == 3


def test_an_execution_that_is_gone_before_it_is_read_does_not_stop_the_others(deployed: Deployed) -> None:
    class Forgetful:
        def __init__(self, client: Any, forgotten: str) -> None:
            self.list_durable_executions_by_function = client.list_durable_executions_by_function
            self.client, self.forgotten = client, forgotten

        def get_durable_execution_history(self, **options: Any) -> Any:
            if options["DurableExecutionArn"] == self.forgotten:
                options["DurableExecutionArn"] = self.forgotten[:-1] + ("1" if self.forgotten[-1] == "0" else "0")
            return self.client.get_durable_execution_history(**options)

    handler = load_handler(deployed.version("same"))
    found = list(check(running_executions(Forgetful(deployed.client, deployed.arns[2]), "flow"), handler))
    assert [one.verdict for one in found if one.source == deployed.arns[2]] == ["unreadable"]
    assert sum(one.is_same for one in found) == COUNT - 1
    unread = next(one for one in found if one.verdict == "unreadable")
    assert "GetDurableExecutionHistory" in (unread.error or "")


def test_a_document_says_that_it_is_partial_where_a_history_could_not_be_read(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = deployed.version("same")
    assert deployed.gate(handler, "--json") == 0
    assert json.loads(capsys.readouterr().out)["is_partial"] is False
    read = deployed.engine.client.get_durable_execution_history

    def denied(**options: Any) -> Any:
        if options["DurableExecutionArn"] == deployed.arns[1]:
            raise ServiceError("AccessDeniedException", "not this one", status=403)
        return read(**options)

    monkeypatch.setattr(deployed.engine.client, "get_durable_execution_history", denied)
    assert deployed.gate(handler, "--json") == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["summary"]["unreadable"], document["is_partial"]) == (1, True)


def test_a_history_is_read_page_by_page(deployed: Deployed) -> None:
    pages: list[Any] = []

    class Counting:
        def get_durable_execution_history(self, **options: Any) -> Any:
            pages.append(options.get("Marker"))
            return deployed.client.get_durable_execution_history(**{**options, "MaxItems": 3})

    execution = fetch_history(Counting(), deployed.arns[1])
    assert len(pages) > 1
    assert [operation.name for operation in execution.operations] == ["first", "odd", "approval"]
    assert execution.status == "RUNNING"


def statuses(deployed: Deployed) -> list[str]:
    found = [deployed.client.get_durable_execution(DurableExecutionArn=arn)["Status"] for arn in deployed.arns]
    return [str(status) for status in found]


ODD = [number for number in range(COUNT) if number % 2]


def test_paused_executions_count(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    deployed.client.pause_durable_execution(DurableExecutionArn=deployed.arns[1], Reason="a look at it")
    assert deployed.gate(deployed.version("renamed", odd="uneven"), "--json") == 1
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert {one["source"] for one in document["reports"] if one["verdict"] == "diverged"} == {
        deployed.arns[number] for number in ODD
    }
    assert "1 of them paused" in printed.err


def test_a_published_version_is_not_at_risk(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        deployed.client.invoke(FunctionName="flow", Qualifier="7", InvocationType="Event", Payload=b'{"n": 1}')
    deployed.engine.run_until_idle()
    assert deployed.gate(deployed.version("renamed", first="begin"), "--qualifier", "7", "--json") == 0
    printed = capsys.readouterr()
    gate = json.loads(printed.out)["gate"]
    assert (gate["at_risk"], [one["version"] for one in gate["pinned"]]) == ([], ["7", "7"])
    assert "2 pinned to a published version (2 on version 7), which a deployment does not change" in printed.err
    assert deployed.gate(deployed.version("renamed", first="begin"), "--json") == 1
    gate = json.loads(capsys.readouterr().out)["gate"]
    assert (sorted(gate["at_risk"]), len(gate["pinned"])) == (sorted(deployed.arns), 2)


def test_what_would_break_is_held_and_released(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    renamed, before = deployed.version("renamed", odd="uneven"), statuses(deployed)
    assert deployed.gate(renamed, "--hold") == 1
    said = capsys.readouterr().err
    assert said.count("would be held: ") == len(ODD)
    assert "nothing was changed" in said
    assert statuses(deployed) == before

    assert deployed.gate(renamed, "--hold", "--yes") == 0
    said = capsys.readouterr().err
    assert all(f"held: {deployed.arns[number]}: durable-debug gate: diverged" in said for number in ODD)
    assert "is safe to deploy while they are held" in said
    assert statuses(deployed) == ["PAUSED" if number % 2 else "RUNNING" for number in range(COUNT)]
    assert deployed.gate(renamed, "--hold", "--yes") == 0  # again, as after a crash
    assert "held: arn" not in capsys.readouterr().err

    deployed.client.pause_durable_execution(DurableExecutionArn=deployed.arns[0], Reason="by a person")
    assert deployed.gate(renamed, "--release", "--yes") == 1  # they would still break
    assert "released: arn" not in capsys.readouterr().err
    fixed = deployed.version("fixed")
    assert deployed.gate(fixed, "--release") == 0
    assert capsys.readouterr().err.count("would be released: ") == len(ODD)
    assert deployed.gate(fixed, "--release", "--yes") == 0
    assert capsys.readouterr().err.count("released: arn") == len(ODD)
    assert statuses(deployed) == ["PAUSED", *["RUNNING"] * (COUNT - 1)]
    for number in ODD:
        deployed.answer(number)


def test_what_cannot_be_paused_is_listed_and_the_rest_is(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = LocalLambdaClient.pause_durable_execution

    def denied(self: LocalLambdaClient, *, DurableExecutionArn: str, **more: Any) -> Wire:  # noqa: N803  # as the API
        if DurableExecutionArn == deployed.arns[3]:
            raise invalid("not this one")
        return pause(self, DurableExecutionArn=DurableExecutionArn, **more)

    monkeypatch.setattr(LocalLambdaClient, "pause_durable_execution", denied)
    assert deployed.gate(deployed.version("renamed", odd="uneven"), "--hold", "--yes") == 3
    said = capsys.readouterr().err
    assert f"not held: {deployed.arns[3]}: InvalidParameterValueException: " in said
    assert [status for status in statuses(deployed) if status == "PAUSED"] == ["PAUSED"] * (len(ODD) - 1)


def held_once(paused: list[str], error: BaseException) -> Callable[[Any, str, str], Any]:
    """Return a `hold` that notes the first execution it pauses, and raises an error at the second."""

    def held(client: Any, arn: str, reason: str) -> Any:
        if paused:
            raise error
        paused.append(arn)
        return hold(client, arn, reason)

    return held


def test_an_interrupted_hold_prints_what_it_has_done(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = deployed.version("renamed", odd="uneven")
    paused: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr("durable_debugger.cli.gate.hold", held_once(paused, KeyboardInterrupt()))
        assert deployed.gate(renamed, "--hold", "--yes", "--json") == 130
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert (document["exit_code"], document["is_partial"]) == (130, True)
    assert [one["arn"] for one in document["gate"]["held"]] == paused
    assert f"interrupted: {len(ODD) - 1} of {len(ODD)} executions are not held; run the command again" in printed.err
    assert deployed.gate(renamed, "--hold", "--yes") == 0
    assert statuses(deployed).count("PAUSED") == len(ODD)


def test_a_service_that_is_gone_ends_a_hold_with_what_it_has_done(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[str] = []
    gone = EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
    monkeypatch.setattr("durable_debugger.cli.gate.hold", held_once(paused, gone))
    assert deployed.gate(deployed.version("renamed", odd="uneven"), "--hold", "--yes", "--json") == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["exit_code"], document["is_partial"]) == (3, True)
    assert [one["arn"] for one in document["gate"]["held"]] == paused
    assert document["gate"]["problem"].startswith("AWS did not answer: ")


def test_a_release_without_a_handler_prints_one_document(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deployed.gate(deployed.version("renamed", odd="uneven"), "--hold", "--yes") == 0
    capsys.readouterr()
    get = LocalLambdaClient.get_durable_execution

    def failing(self: LocalLambdaClient, *, DurableExecutionArn: str, **more: Any) -> Wire:  # noqa: N803  # as the API
        if DurableExecutionArn == deployed.arns[3]:
            raise invalid("not this one")
        return get(self, DurableExecutionArn=DurableExecutionArn, **more)

    monkeypatch.setattr(LocalLambdaClient, "get_durable_execution", failing)
    assert main(["gate", "flow", "--release", "--json", "--endpoint-url", deployed.url]) == 3
    document = json.loads(capsys.readouterr().out)
    gate = document["gate"]
    assert (document["exit_code"], gate["acted"]) == (3, False)
    problems = {one["arn"]: one["problem"] for one in gate["released"]}
    assert set(problems) == {deployed.arns[number] for number in ODD}
    assert problems.pop(deployed.arns[3]).startswith("cannot read it: ")
    assert set(problems.values()) == {None}


class Denying:
    """A client whose role may not pause."""

    def pause_durable_execution(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PauseDurableExecution")


def test_a_missing_permission_is_named() -> None:
    held = hold(Denying(), "arn", "reason")
    assert (held.problem or "").startswith("grant lambda:PauseDurableExecution: AccessDeniedException: ")


@pytest.mark.timeout(180)
def test_killed_servers_and_gates_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`durable-debug serve` is killed after the executions have started, and each gate after its first action."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("deployed", "broken"):
        first = "first" if name == "deployed" else "renamed"
        text = FLOW.format(first=first, odd="odd", end="end")
        (tmp_path / f"killed_{name}.py").write_text(text, encoding="utf-8")

    function = f"flow={tmp_path}/killed_deployed.py:flow"
    with Serving(tmp_path, "--function", function) as serving:
        client = serving.client()
        for number in range(4):
            payload = json.dumps({"n": number}).encode()
            client.invoke(FunctionName="flow", Qualifier="$LATEST", InvocationType="Event", Payload=payload)
        serving.wait_for_callbacks(4)
        client.close()
    with Serving(tmp_path, "--function", function) as serving:
        broken, same = f"{tmp_path}/killed_broken.py:flow", f"{tmp_path}/killed_deployed.py:flow"
        assert serving.run("gate", "flow", broken, "--no-cause", "--hold", "--yes", kill_after="held: ") < 0
        assert 1 <= serving.count("PAUSED") <= 4
        assert serving.run("gate", "flow", broken, "--no-cause", "--hold", "--yes") == 0
        assert serving.count("PAUSED") == 4
        assert serving.run("gate", "flow", same, "--no-cause", "--release", "--yes", kill_after="released: ") < 0
        assert serving.run("gate", "flow", same, "--no-cause", "--release", "--yes") == 0
        assert serving.count("RUNNING") == 4


PAUSING = """\
from durable_execution import durable_execution


def body(_):
    open("{folder}/started", "w").close()  # a pipe: until the test opens its other end
    with open("{folder}/go") as go:
        return go.read()


@durable_execution
async def flow(event, ctx):
    await ctx.step(lambda _: 1, name="{first}")
    await ctx.step(body, name="slow")
    await (await ctx.create_callback("approval")).result()
"""


@pytest.mark.timeout(180)
def test_an_execution_that_is_still_pausing_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It pauses when its invocation ends, also when the server is killed before that."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for pipe in ("started", "go"):
        os.mkfifo(tmp_path / pipe)
    for name, first in (("deployed", "first"), ("broken", "renamed")):
        (tmp_path / f"pausing_{name}.py").write_text(PAUSING.format(folder=tmp_path, first=first), encoding="utf-8")
    broken, same = f"{tmp_path}/pausing_broken.py:flow", f"{tmp_path}/pausing_deployed.py:flow"
    function = f"flow={same}"
    with Serving(tmp_path, "--function", function) as serving:
        client = serving.client()
        client.invoke(FunctionName="flow", Qualifier="$LATEST", InvocationType="Event", Payload=b"{}")
        client.close()
        (tmp_path / "started").open().close()
        assert serving.run("gate", "flow", broken, "--no-cause", "--hold", "--yes") == 0, serving.said
        assert (serving.count("PAUSING"), serving.count("PAUSED")) == (1, 0)
        assert serving.run("gate", "flow", broken, "--no-cause") == 1
        assert "1 open execution: 1 at risk (on $LATEST); 1 of them paused" in serving.said
    with Serving(tmp_path, "--function", function) as serving:
        assert serving.count("PAUSING") + serving.count("PAUSED") == 1
        assert serving.run("gate", "flow", broken, "--no-cause") == 1
        assert "1 of them paused" in serving.said
        assert serving.run("gate", "flow", same, "--no-cause", "--release", "--yes") == 0, serving.said
        assert serving.count("RUNNING") == 1
        (tmp_path / "started").open().close()
        with (tmp_path / "go").open("w") as go:
            go.write("done")
        serving.wait_for_callbacks(1)
        assert serving.run("gate", "flow", broken, "--no-cause", "--hold", "--yes") == 0
        assert serving.count("PAUSING") + serving.count("PAUSED") == 1, serving.said
