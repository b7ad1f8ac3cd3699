"""Versions and aliases of functions, through the client."""

import base64
from pathlib import Path
from typing import Any

import pytest

from durable_execution import durable_execution
from durable_execution.errors import EngineError, ServiceError
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.local.hosts import Failure, Invocation, Outcome
from durable_execution.protocol import ErrorObject


@durable_execution
async def new(event: Any, ctx: Any) -> str:
    callback = await ctx.create_callback("approval")
    await callback.result()
    return "new"


@durable_execution
async def old(event: Any, ctx: Any) -> str:
    callback = await ctx.create_callback("approval")
    await callback.result()
    return "old"


def engine(store: Path | None = None) -> LocalEngine:
    return LocalEngine(store, time="skip", ids=CountingIds() if store is None else None, trace_sink=False)


def test_a_function_without_versions_accepts_any_qualifier() -> None:
    with engine() as made:
        made.register("f", new)
        for qualifier, version in (("$LATEST", "$LATEST"), ("7", "7"), ("live", "$LATEST")):
            answer = made.client.invoke(FunctionName="f", Qualifier=qualifier, InvocationType="Event")
            assert answer["ExecutedVersion"] == version


def test_an_execution_runs_the_version_it_started_on() -> None:
    with engine() as made:
        made.register("f", new, versions={"1": old}, aliases={"live": "1"})
        for qualifier, expected in (("live", "old"), ("1", "old"), ("$LATEST", "new")):
            arn = made.client.invoke(FunctionName=f"f:{qualifier}", InvocationType="Event")["DurableExecutionArn"]
            callback = made.wait_for_callback_id(arn)
            made.client.send_durable_execution_callback_success(CallbackId=callback)
            assert made.wait(arn).result == expected
        listed = made.client.list_durable_executions_by_function(FunctionName="f", Qualifier="live")
        assert len(listed["DurableExecutions"]) == 2
        with pytest.raises(ServiceError, match=r"Function not found: .*:f:2"):
            made.client.invoke(FunctionName="f:2", InvocationType="Event")
        with pytest.raises(ServiceError, match=r"Function not found: .*:f:beta"):
            made.client.invoke(FunctionName="f:beta", InvocationType="Event")


def test_an_invoke_of_an_unknown_version_fails() -> None:
    @durable_execution
    async def parent(event: Any, ctx: Any) -> Any:
        return await ctx.invoke(event, {})

    with engine() as made:
        made.register("f", new, versions={"1": old})
        made.register("parent", parent)
        assert made.run("parent", "f:9").error is not None


def test_published_versions_and_aliases_outlive_the_engine(tmp_path: Path) -> None:
    with engine(tmp_path / "store.db") as made:
        made.register("f", new)
        assert made.client.list_versions_by_function(FunctionName="f")["Versions"][0]["Version"] == "$LATEST"
        first = made.client.publish_version(FunctionName="f", Description="the first")
        assert (first["Version"], first["Description"]) == ("1", "the first")
        assert made.client.publish_version(FunctionName="f")["Version"] == "1"
        made.register("f", old)
        second = made.client.publish_version(FunctionName="f", CodeSha256=made.client.get_function_configuration(
            FunctionName="f"
        )["CodeSha256"])  # fmt: skip
        assert second["Version"] == "2"
        made.client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
        made.client.create_alias(FunctionName="f", Name="gone", FunctionVersion="1")
        made.client.update_alias(FunctionName="f", Name="live", FunctionVersion="2", Description="moved")
        made.client.delete_alias(FunctionName="f", Name="gone")
    with engine(tmp_path / "store.db") as made:
        made.register("f", old)
        alias = made.client.get_alias(FunctionName="f", Name="live")
        assert (alias["FunctionVersion"], alias["Description"]) == ("2", "moved")
        assert [one["Name"] for one in made.client.list_aliases(FunctionName="f", FunctionVersion="2")["Aliases"]] == [
            "live"
        ]
        assert made.client.invoke(FunctionName="f:live", InvocationType="Event")["ExecutedVersion"] == "2"
        versions = made.client.list_versions_by_function(FunctionName="f")["Versions"]
        assert [one["Version"] for one in versions] == ["$LATEST", "1", "2"]
        assert versions[2]["CodeSha256"] != versions[1]["CodeSha256"]


def test_functions_are_listed_by_pages() -> None:
    with engine() as made:
        for name in ("a", "b", "c"):
            made.register(name, new, versions={"1": old})
        made.register("plain", lambda event, _: event)
        page = made.client.list_functions(MaxItems=3)
        rest = made.client.list_functions(MaxItems=3, Marker=page["NextMarker"])
        assert [one["FunctionName"] for one in page["Functions"] + rest["Functions"]] == ["a", "b", "c", "plain"]
        assert "NextMarker" not in rest
        assert "DurableConfig" not in rest["Functions"][0]
        every = made.client.list_functions(FunctionVersion="ALL")["Functions"]
        assert len(every) == 7
        assert every[1]["FunctionArn"] == "arn:aws:lambda:us-east-1:123456789012:function:a:1"


@pytest.mark.parametrize(("operation", "options", "code"), [
    ("get_function", {"FunctionName": "nope"}, "ResourceNotFoundException"),
    ("get_function", {"FunctionName": "f", "Qualifier": "9"}, "ResourceNotFoundException"),
    ("get_alias", {"FunctionName": "f", "Name": "nope"}, "ResourceNotFoundException"),
    ("create_alias", {"FunctionName": "f", "Name": "7", "FunctionVersion": "1"}, "InvalidParameterValueException"),
    ("create_alias", {"FunctionName": "f", "Name": "new", "FunctionVersion": "9"}, "ResourceNotFoundException"),
    ("create_alias", {"FunctionName": "f", "Name": "live", "FunctionVersion": "1"}, "ResourceConflictException"),
    ("update_alias", {"FunctionName": "f", "Name": "new", "FunctionVersion": "1"}, "ResourceNotFoundException"),
    ("delete_alias", {"FunctionName": "f", "Name": "live"}, "ResourceConflictException"),
    ("publish_version", {"FunctionName": "f", "CodeSha256": "other"}, "PreconditionFailedException"),
    ("list_functions", {"FunctionVersion": "1"}, "InvalidParameterValueException"),
    ("list_functions", {"Marker": "nonsense"}, "InvalidParameterValueException"),
])  # fmt: skip
def test_wrong_requests_are_refused(operation: str, options: dict[str, Any], code: str) -> None:
    with engine() as made:
        made.register("f", new, versions={"1": old}, aliases={"live": "1"})
        with pytest.raises(ServiceError) as refused:
            getattr(made.client, operation)(**options)
    assert refused.value.code == code


@pytest.mark.parametrize(("versions", "aliases"), [({"x": old}, {}), ({}, {"live": "1"}), ({"1": old}, {"7": "1"})])
def test_versions_and_aliases_are_checked(versions: dict[str, Any], aliases: dict[str, str]) -> None:
    with engine() as made, pytest.raises(EngineError):
        made.register("f", new, versions=versions, aliases=aliases)


def test_the_end_of_the_log_names_the_invocations() -> None:
    with engine() as made:
        made.register("plain", lambda event, _: event)
        answer = made.client.invoke(FunctionName="plain", Payload="1", LogType="Tail")
        lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
        assert [line.partition(" ")[0] for line in lines] == ["START", "END", "REPORT"]
        members = [member.partition(":")[0] for member in lines[-1].split("\t")]
        assert members == ["REPORT RequestId", "Duration", "Billed Duration", "Memory Size", "Max Memory Used"]
        assert "LogResult" not in made.client.invoke(FunctionName="plain", Payload="1")
        with pytest.raises(ServiceError, match="LogType"):
            made.client.invoke(FunctionName="plain", LogType="All")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ErrorObject("no", "ValueError"), []),
        (ErrorObject("late", "Sandbox.Timedout"), ["Status: timeout"]),
        (ErrorObject("gone", "Runtime.ExitError"), ["Status: error", "Error Type: Runtime.ExitError"]),
    ],
)
def test_the_report_says_how_an_invocation_failed(error: ErrorObject, status: list[str]) -> None:
    class Failing:
        """A host whose function fails, and that knows how much memory it used."""

        def invoke(self, invocation: Invocation) -> Outcome:
            return Failure(error, peak_memory_mb=77)

        def close(self) -> None: ...

    with engine() as made:
        made.register("plain", Failing(), durable=False)
        answer = made.client.invoke(FunctionName="plain", Payload="1", LogType="Tail")
        report = base64.b64decode(answer["LogResult"]).decode().splitlines()[-1]
        assert report.split("\t")[3:] == ["Memory Size: 128 MB", "Max Memory Used: 77 MB", *status]


def test_a_function_without_tenant_isolation_takes_no_tenant() -> None:
    with engine() as made:
        made.register("plain", lambda event, _: event)
        with pytest.raises(ServiceError, match="not enabled with tenancy configuration") as refused:
            made.client.invoke(FunctionName="plain", Payload="1", TenantId="acme")
        assert refused.value.code == "InvalidParameterValueException"
        with pytest.raises(ServiceError, match="not enabled with tenancy configuration"):
            made.start("plain", 1, tenant_id="acme")


def test_the_log_of_a_deleted_execution_is_not_that_of_the_next_one() -> None:
    @durable_execution
    async def nothing(event: Any, ctx: Any) -> None:
        """Only a log."""

    with engine() as made:
        made.register("f", nothing)
        for _ in range(2):
            answer = made.client.invoke(FunctionName="f", Qualifier="$LATEST", Payload="1", LogType="Tail")
            assert base64.b64decode(answer["LogResult"]).decode().count("START RequestId") == 1
            made.client.delete_durable_execution(DurableExecutionArn=answer["DurableExecutionArn"])


def test_a_version_with_code_of_its_own_is_described_by_that_code() -> None:
    with engine() as made:
        made.register("f", new, versions={"1": old}, aliases={"live": "1"})
        shown = {
            qualifier: made.client.get_function_configuration(FunctionName="f", Qualifier=qualifier)
            for qualifier in ("$LATEST", "live", "1")
        }
        assert [each["Handler"].rpartition(".")[2] for each in shown.values()] == ["new", "old", "old"]
        assert shown["live"]["CodeSha256"] == shown["1"]["CodeSha256"] != shown["$LATEST"]["CodeSha256"]
