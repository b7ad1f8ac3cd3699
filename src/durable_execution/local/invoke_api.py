"""Invoke: how callers start executions and run plain functions."""

import io
import json
import re
from base64 import b64decode
from dataclasses import replace
from datetime import timedelta
from typing import Any

from durable_execution.errors import EngineError
from durable_execution.local.function_registry import Function, Target
from durable_execution.local.recovery import Recovery
from durable_execution.local.rules.api_errors import fault, invalid
from durable_execution.local.rules.control import Control
from durable_execution.local.rules.executions import Start
from durable_execution.local.scheduler import Scheduler
from durable_execution.local.store.rows import ExecutionRow
from durable_execution.local.transaction import Backend
from durable_execution.local.versions import Versions
from durable_execution.protocol import Wire

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TENANT = re.compile(r"[a-zA-Z0-9._:/=+\-@ ]{1,256}")
KINDS = {"RequestResponse": 200, "Event": 202, "DryRun": 204}
UNHANDLED = "Unhandled"


class Invoking:
    """Starts executions, and waits for their end if the caller wants it."""

    def __init__(
        self, backend: Backend, control: Control, scheduler: Scheduler, recovery: Recovery, versions: Versions
    ) -> None:
        self._backend = backend
        self._versions = versions
        self._control = control
        self._scheduler = scheduler
        self._recovery = recovery

    def require_known(self, target: Target) -> None:
        """Check that a function is registered, or has executions in the store.

        Raises:
            ServiceError: The function is not registered and has no executions.
        """
        if self._backend.functions.get(target.name) is not None:
            return
        store = self._backend.store
        with store.snapshot():
            known = store.executions.listed(["function = ?"], (target.name,), newest_first=True, limit=1)
        if not known:
            raise fault("ResourceNotFoundException", f"Function not found: {target.name}")

    def invoke(
        self,
        target: Target,
        payload: bytes,
        *,
        kind: Any,
        name: Any,
        tenant_id: Any,
        client_context: Any = None,
        trace_header: str | None = None,
        wants_log: bool = False,
    ) -> Wire:
        """Invoke a function on behalf of an API caller.

        Returns:
            `StatusCode`, and depending on the kind, `Payload`, `FunctionError`, `ExecutedVersion`, `LogResult` and
            `DurableExecutionArn`.

        Raises:
            ServiceError: The request is invalid. Errors of user code are in the response; the method does not raise them.
        """
        if not isinstance(kind, str) or kind not in KINDS:
            raise invalid(f"InvocationType must be one of {', '.join(KINDS)}, not {kind!r:.80}.")
        function = self._function(target, name, tenant_id, client_context)
        text = self._payload(payload, kind)
        if kind == "DryRun":
            return {"StatusCode": KINDS[kind], "Payload": io.BytesIO(b"")}
        start = Start(
            function,
            self._versions.resolve(target),
            text,
            name=name,
            tenant_id=tenant_id,
            trace_header=trace_header,
            client_context=client_context,
            is_asynchronous=kind == "Event",
        )
        row = self.start(start)
        answer: Wire = {"StatusCode": KINDS[kind], "ExecutedVersion": row.version, "Payload": io.BytesIO(b"")}
        if function.is_durable:
            answer["DurableExecutionArn"] = row.arn
        if kind != "RequestResponse":
            return answer
        answer = self._wait(row, answer)
        return {**answer, "LogResult": self._scheduler.log_tails.encoded(row.key)} if wants_log else answer

    def start(self, start: Start) -> ExecutionRow:
        """Start an execution, or return the existing execution with the same name.

        Raises:
            ServiceError: The name is not allowed, or the function takes no tenant id.
        """
        if start.name is not None:
            _check_name(start.name)
        if start.tenant_id is not None and not start.function.is_tenant_isolated:
            raise invalid(
                f"The invoked function is not enabled with tenancy configuration: {start.function.name} takes no TenantId. "
                "Leave it out, or register the function with tenant isolation."
            )
        self._scheduler.require_open()
        self._recovery.hold_lease()
        # If the function must be loaded to know whether it is durable, then here, and not in the transaction.
        row, is_new = self._control.start(replace(start, function=start.function.resolved()))
        if not is_new:
            self._recovery.adopt(row)
        if not self._backend.clock.is_skipping:
            self._scheduler.drive()
        return row

    def wait(self, key: int, timeout: timedelta | None) -> bool:
        """Wait until an execution ends.

        Returns:
            Whether it has ended or was deleted.
        """
        seconds = None if timeout is None else timeout / timedelta(seconds=1)
        return self._scheduler.run_until(lambda: self._has_ended(key), timeout=seconds)

    def _has_ended(self, key: int) -> bool:
        store = self._backend.store
        with store.snapshot():
            row = store.executions.by_key(key)
        return row is None or row.ended_ms is not None

    def _function(self, target: Target, name: Any, tenant_id: Any, client_context: Any) -> Function:
        function = self._backend.functions.get(target.name)
        if function is None:
            raise fault("ResourceNotFoundException", f"Function not found: {target.name}")
        function = function.resolved()
        if function.is_durable and target.qualifier is None:
            raise invalid(
                f"Invoke a durable function with a qualified identifier: {target.name}:$LATEST, or a version or alias."
            )
        if name is not None:
            _check_name(name)
        is_broken = getattr(function.host, "problem", None) is not None  # the invocation says why
        if name is not None and not function.is_durable and not is_broken:
            raise invalid(f"DurableExecutionName cannot be used with {target.name}, which is not a durable function.")
        if tenant_id is not None and (not isinstance(tenant_id, str) or not _TENANT.fullmatch(tenant_id)):
            raise invalid(f"TenantId must match {_TENANT.pattern}.")
        _require_client_context(client_context)
        return function

    def _payload(self, payload: bytes, kind: str) -> str:
        limits = self._backend.limits
        most = limits.async_payload_bytes if kind == "Event" else limits.sync_payload_bytes
        if len(payload) > most:
            raise fault(
                "RequestTooLargeException", f"The payload has {len(payload)} bytes; at most {most} are allowed."
            )
        try:
            text = payload.decode()
            if text:
                json.loads(text)
        except (ValueError, RecursionError) as error:
            raise fault("InvalidRequestContentException", f"Could not parse request body into json: {error}") from None
        return text

    def _wait(self, row: ExecutionRow, answer: Wire) -> Wire:
        limits = self._backend.limits
        outside_may_help = self._scheduler.has_driver or not self._backend.clock.is_skipping
        has_ended = self.wait(row.key, limits.invoke_wait if outside_may_help else None)
        store = self._backend.store
        with store.snapshot():
            root = store.operations.at(row.key, 0)
            ended = store.executions.by_key(row.key)
        if not has_ended or root is None or ended is None:
            raise fault("ServiceException", f"The execution did not end in time: {row.arn}")
        if ended.status == "SUCCEEDED":
            return {**answer, "Payload": io.BytesIO((root.result or "").encode())}
        body = function_error(json.loads(root.error) if root.error else {})
        return {**answer, "FunctionError": UNHANDLED, "Payload": io.BytesIO(json.dumps(body).encode())}


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid(f"DurableExecutionName must match {_NAME.pattern}, but is {name!r:.100}.")


def _require_client_context(client_context: Any) -> None:
    if client_context is None:
        return
    try:
        json.loads(b64decode(client_context, validate=True))
    except (TypeError, ValueError, RecursionError):
        raise fault("InvalidRequestContentException", "ClientContext must be JSON, encoded as Base64.") from None


def encode_payload(payload: Any) -> str:
    """Serialize a payload as JSON.

    Raises:
        EngineError: The payload cannot be serialized as JSON.
    """
    try:
        return json.dumps(payload)
    except (TypeError, ValueError) as error:
        raise EngineError(
            f"the payload cannot be serialized as JSON: {error}. Pass dictionaries, lists, strings, numbers, booleans and "
            "None; for a pydantic model, pass model.model_dump(mode='json')."
        ) from None


def function_error(error: Wire) -> Wire:
    """An error object in the form of Lambda's response body."""
    names = {
        "ErrorMessage": "errorMessage",
        "ErrorType": "errorType",
        "ErrorData": "errorData",
        "StackTrace": "stackTrace",
    }
    return {ours: error[theirs] for theirs, ours in names.items() if theirs in error}
