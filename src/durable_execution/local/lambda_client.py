# ruff: noqa: N803  # arguments have the API's names
"""The engine with the methods of `boto3.client("lambda")`: the same names, keyword arguments and responses.

Code written for boto3 runs against it unchanged. Timestamps are `datetime`, the payload of `invoke` is a stream, and other
payloads are strings. Errors are `durable_execution.errors.ServiceError` with the API's codes and the `response` attribute
of botocore's `ClientError`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from durable_execution.errors import ServiceError
from durable_execution.local.clocks import millis, moment
from durable_execution.local.function_registry import read_target
from durable_execution.local.invoke_api import Invoking
from durable_execution.local.queries import Queries
from durable_execution.local.rules.api_errors import ApiError, invalid
from durable_execution.local.rules.callbacks import Callbacks
from durable_execution.local.rules.checkpoints import Checkpoints
from durable_execution.local.rules.control import Control
from durable_execution.local.rules.updates import MAX_TRACE_ID
from durable_execution.local.versions import Versions
from durable_execution.protocol import Wire
from durable_execution.protocol.operation import to_datetime

_CLIENT_TOKEN = re.compile(r"[\x21-\x7E]{1,64}")
_TIMESTAMPS = frozenset(
    {
        "StartTimestamp",
        "EndTimestamp",
        "EventTimestamp",
        "NextAttemptTimestamp",
        "ScheduledEndTimestamp",
        "PauseRequestTimestamp",
        "ResumeRequestTimestamp",
        "ExpectedExecutionTimeoutTimestamp",
    }
)
_NESTED_TIMESTAMPS = frozenset(
    {
        "StepDetails",
        "WaitDetails",
        "PauseDetails",
        "WaitStartedDetails",
        "InvocationCompletedDetails",
        "ExecutionPausedDetails",
        "ExecutionResumedDetails",
    }
)


class LocalLambdaClient:
    """The durable execution operations of the Lambda API, on the local engine."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        callbacks: Callbacks,
        control: Control,
        queries: Queries,
        invoking: Invoking,
        versions: Versions,
    ) -> None:
        self._checkpoints = checkpoints
        self._callbacks = callbacks
        self._control = control
        self._queries = queries
        self._invoking = invoking
        self._versions = versions

    def checkpoint_durable_execution(
        self,
        *,
        DurableExecutionArn: str,
        CheckpointToken: str,
        Updates: Sequence[Mapping[str, Any]] | None = None,
        ClientToken: str | None = None,
    ) -> Wire:
        """CheckpointDurableExecution: apply updates atomically, and return what changed."""
        _require_text(CheckpointToken, "CheckpointToken")
        answer = self._checkpoints.checkpoint(
            _arn(DurableExecutionArn), CheckpointToken, Updates, _client_token(ClientToken)
        )
        state = answer["NewExecutionState"]
        return {
            **answer,
            "NewExecutionState": {**state, "Operations": [dated(found) for found in state["Operations"]]},
        }

    def get_durable_execution_state(
        self, *, DurableExecutionArn: str, CheckpointToken: str, Marker: str | None = None, MaxItems: int | None = None
    ) -> Wire:
        """GetDurableExecutionState: a page of the operations a replay needs."""
        _require_text(CheckpointToken, "CheckpointToken")
        page = self._checkpoints.get_state(_arn(DurableExecutionArn), CheckpointToken, Marker, MaxItems)
        return {**page, "Operations": [dated(found) for found in page["Operations"]]}

    def get_durable_execution(self, *, DurableExecutionArn: str, IncludeExecutionData: bool | None = None) -> Wire:
        """GetDurableExecution: one execution, by default with its payloads."""
        arn, with_data = _arn(DurableExecutionArn), _flag(IncludeExecutionData, True)
        with self._queries.intact():
            return dated(self._queries.execution(arn, with_data=with_data))

    def get_durable_execution_history(
        self,
        *,
        DurableExecutionArn: str,
        IncludeExecutionData: bool | None = None,
        MaxItems: int | None = None,
        Marker: str | None = None,
        ReverseOrder: bool | None = None,
    ) -> Wire:
        """GetDurableExecutionHistory: a page of events, by default with their payloads."""
        with self._queries.intact():
            page = self._queries.history(
                _arn(DurableExecutionArn),
                with_data=_flag(IncludeExecutionData, True),
                newest_first=_flag(ReverseOrder, False),
                marker=Marker,
                max_items=MaxItems,
            )
            return {**page, "Events": [dated(event) for event in page["Events"]]}

    def list_durable_executions_by_function(
        self,
        *,
        FunctionName: str | None = None,
        Qualifier: str | None = None,
        DurableExecutionName: str | None = None,
        Statuses: Sequence[str] | None = None,
        StartedAfter: datetime | None = None,
        StartedBefore: datetime | None = None,
        ReverseOrder: bool | None = None,
        Marker: str | None = None,
        MaxItems: int | None = None,
    ) -> Wire:
        """ListDurableExecutionsByFunction: a page of executions, by default the newest first.

        Without a function name (the API requires one), it lists the executions of all functions in the store.
        """
        target = None if FunctionName is None else read_target(FunctionName, Qualifier)
        if target is not None:
            self._invoking.require_known(target)
        with self._queries.intact():
            page = self._queries.executions(
                self._versions.resolve(target) if target is not None else None,
                name=DurableExecutionName,
                statuses=Statuses,
                started_after_ms=_millis(StartedAfter, "StartedAfter"),
                started_before_ms=_millis(StartedBefore, "StartedBefore"),
                oldest_first=_flag(ReverseOrder, False),
                marker=Marker,
                max_items=MaxItems,
            )
            return {**page, "DurableExecutions": [dated(found) for found in page["DurableExecutions"]]}

    def stop_durable_execution(self, *, DurableExecutionArn: str, Error: Mapping[str, Any] | None = None) -> Wire:
        """StopDurableExecution: end an execution as STOPPED."""
        return {"StopTimestamp": moment(self._control.stop(_arn(DurableExecutionArn), Error))}

    def send_durable_execution_callback_success(self, *, CallbackId: str, Result: bytes | str | None = None) -> Wire:
        """SendDurableExecutionCallbackSuccess: complete a callback with a result."""
        self._callbacks.succeed(CallbackId, _blob(Result, "Result"))
        return {}

    def send_durable_execution_callback_failure(
        self, *, CallbackId: str, Error: Mapping[str, Any] | None = None
    ) -> Wire:
        """SendDurableExecutionCallbackFailure: complete a callback with an error."""
        self._callbacks.fail(CallbackId, Error)
        return {}

    def send_durable_execution_callback_heartbeat(self, *, CallbackId: str) -> Wire:
        """SendDurableExecutionCallbackHeartbeat: restart a callback's heartbeat time-out."""
        self._callbacks.heartbeat(CallbackId)
        return {}

    def pause_durable_execution(
        self,
        *,
        DurableExecutionArn: str,
        ClientToken: str | None = None,
        Reason: str | None = None,
        ExecutionTimeoutPaused: bool | None = None,
    ) -> Wire:
        """PauseDurableExecution: stop invoking the handler until the execution is resumed."""
        self._control.pause(_arn(DurableExecutionArn), Reason, ExecutionTimeoutPaused, _client_token(ClientToken))
        return {}

    def resume_durable_execution(
        self, *, DurableExecutionArn: str, ClientToken: str | None = None, Reason: str | None = None
    ) -> Wire:
        """ResumeDurableExecution: continue a paused execution."""
        self._control.resume(_arn(DurableExecutionArn), Reason, _client_token(ClientToken))
        return {}

    def delete_durable_execution(self, *, DurableExecutionArn: str) -> Wire:
        """DeleteDurableExecution: remove an ended execution and its history."""
        return {"DeletionRequestTimestamp": moment(self._control.delete(_arn(DurableExecutionArn)))}

    def invoke(
        self,
        *,
        FunctionName: str,
        InvocationType: str = "RequestResponse",
        LogType: str = "None",
        ClientContext: str | None = None,
        DurableExecutionName: str | None = None,
        Payload: bytes | str | None = None,
        Qualifier: str | None = None,
        TenantId: str | None = None,
        TraceHeader: str | None = None,
    ) -> Wire:
        """Invoke: start a durable execution, or run a plain function.

        `TraceHeader` is the request's `X-Amzn-Trace-Id`, which boto3 sends by itself.
        """
        if LogType not in ("None", "Tail"):
            raise invalid(f"LogType must be None or Tail, not {LogType!r:.80}.")
        return self._invoking.invoke(
            read_target(FunctionName, Qualifier),
            _blob(Payload, "Payload"),
            kind=InvocationType,
            name=DurableExecutionName,
            tenant_id=TenantId,
            client_context=ClientContext,
            trace_header=TraceHeader[:MAX_TRACE_ID] if TraceHeader else None,
            wants_log=LogType == "Tail",
        )

    def get_function(self, *, FunctionName: str, Qualifier: str | None = None) -> Wire:
        """GetFunction: the configuration of a function or of one of its versions."""
        return self._versions.function(read_target(FunctionName, Qualifier))

    def get_function_configuration(self, *, FunctionName: str, Qualifier: str | None = None) -> Wire:
        """GetFunctionConfiguration: the configuration of a function or of one of its versions."""
        return self._versions.configuration(read_target(FunctionName, Qualifier))

    def list_functions(
        self,
        *,
        MasterRegion: str | None = None,
        FunctionVersion: str | None = None,
        Marker: str | None = None,
        MaxItems: int | None = None,
    ) -> Wire:
        """ListFunctions: a page of functions, or of all their versions (`FunctionVersion="ALL"`)."""
        del MasterRegion  # this engine is in one region
        if FunctionVersion not in (None, "ALL"):
            raise invalid(f"FunctionVersion must be ALL, not {FunctionVersion!r:.80}.")
        return self._versions.functions(every_version=FunctionVersion is not None, marker=Marker, max_items=MaxItems)

    def list_versions_by_function(
        self, *, FunctionName: str, Marker: str | None = None, MaxItems: int | None = None
    ) -> Wire:
        """ListVersionsByFunction: `$LATEST`, then the published versions."""
        return self._versions.versions(read_target(FunctionName), marker=Marker, max_items=MaxItems)

    def publish_version(
        self,
        *,
        FunctionName: str,
        CodeSha256: str | None = None,
        Description: str | None = None,
        RevisionId: str | None = None,
    ) -> Wire:
        """PublishVersion: give the current code a number. It stays the last one while the code does not change."""
        del RevisionId  # a request cannot change the function's code
        return self._versions.publish(read_target(FunctionName), digest=CodeSha256, description=Description)

    def create_alias(
        self, *, FunctionName: str, Name: str, FunctionVersion: str, Description: str | None = None, **_: Any
    ) -> Wire:
        """CreateAlias: a name for a version."""
        target = read_target(FunctionName)
        return self._versions.put_alias(target, Name, FunctionVersion, description=Description, is_new=True)

    def update_alias(
        self,
        *,
        FunctionName: str,
        Name: str,
        FunctionVersion: str | None = None,
        Description: str | None = None,
        **_: Any,
    ) -> Wire:
        """UpdateAlias: point an alias to a different version. Running executions keep theirs."""
        target = read_target(FunctionName)
        return self._versions.put_alias(target, Name, FunctionVersion, description=Description, is_new=False)

    def get_alias(self, *, FunctionName: str, Name: str) -> Wire:
        """GetAlias: the version that an alias points to."""
        return self._versions.alias(read_target(FunctionName), Name)

    def delete_alias(self, *, FunctionName: str, Name: str) -> Wire:
        """DeleteAlias: remove an alias."""
        self._versions.remove_alias(read_target(FunctionName), Name)
        return {}

    def list_aliases(
        self,
        *,
        FunctionName: str,
        FunctionVersion: str | None = None,
        Marker: str | None = None,
        MaxItems: int | None = None,
    ) -> Wire:
        """ListAliases: a page of a function's aliases."""
        return self._versions.aliases(
            read_target(FunctionName), version=FunctionVersion, marker=Marker, max_items=MaxItems
        )

    @property
    def exceptions(self) -> "ExceptionClasses":
        """Exception classes by code, as boto3 clients have them."""
        return ExceptionClasses()


class ExceptionClasses:
    """Exception classes by name, such as `client.exceptions.ResourceNotFoundException`."""

    ClientError = ServiceError

    def __getattr__(self, code: str) -> type[ServiceError]:
        return ApiError.of(code)


def dated(wire: Wire) -> Wire:
    """Convert milliseconds to datetimes in the members that are timestamps in the API."""
    found: Wire = {}
    for name, value in wire.items():
        if name in _TIMESTAMPS and isinstance(value, int):
            found[name] = moment(value)
        elif name in _NESTED_TIMESTAMPS:
            found[name] = dated(value)
        else:
            found[name] = value
    return found


def _arn(value: Any) -> str:
    _require_text(value, "DurableExecutionArn")
    if len(value) > 1024:
        raise invalid("DurableExecutionArn must have at most 1024 characters.")
    return str(value)


def _require_text(value: Any, name: str) -> None:
    if not isinstance(value, str) or not value:
        raise invalid(f"{name} must be a non-empty string.")


def _client_token(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not _CLIENT_TOKEN.fullmatch(value)):
        raise invalid(f"ClientToken must match {_CLIENT_TOKEN.pattern}.")
    return value


def _flag(value: Any, default: bool) -> bool:
    if value is not None and not isinstance(value, bool):
        raise invalid(f"{value!r:.80} is not a boolean.")
    return default if value is None else value


def _blob(value: Any, name: str) -> bytes:
    if value is None:
        return b""
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, (bytes, bytearray)):
        raise invalid(f"{name} must be bytes, not {type(value).__name__}.")
    return bytes(value)


def _millis(value: Any, name: str) -> int | None:
    try:
        found = to_datetime(value)
    except (ValueError, OverflowError):
        raise invalid(f"{name} must be a timestamp, not {value!r:.80}.") from None
    return millis(found) if found else None
