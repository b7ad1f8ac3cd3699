"""The calls a runner makes to the service, through any object with the methods of `boto3.client("lambda")`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from durable_execution.errors import ServiceError
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.paging import pages
from durable_execution.protocol import ErrorObject, ExecutionStatus, Wire
from durable_execution.runtime.endpoint import is_unreadable_answer, unreadable_answer

PAGE_ITEMS = 1000


class ServiceCalls:
    """The service operations that tests use. Every method raises `ServiceError` when the service refuses the call.

    Args:
        client: A boto3 Lambda client, or the client of a `LocalEngine`.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def start(self, function: str, qualifier: str | None, payload: Any, name: str | None) -> str | None:
        """Start an execution. Returns its ARN; None when the function is not durable."""
        options: Wire = {"FunctionName": function, "InvocationType": "Event", "Payload": json.dumps(payload).encode()}
        if qualifier is not None:
            options["Qualifier"] = qualifier
        if name is not None:
            options["DurableExecutionName"] = name
        with service_errors():
            answer = self._client.invoke(**options)
        return answer.get("DurableExecutionArn") or None

    def status(self, arn: str) -> ExecutionStatus:
        """The status of an execution."""
        with service_errors():
            answer = self._client.get_durable_execution(DurableExecutionArn=arn)
        return ExecutionStatus(answer["Status"])

    def read(self, arn: str) -> RecordedExecution:
        """The recorded history of an execution."""
        with service_errors():
            execution = self._client.get_durable_execution(DurableExecutionArn=arn)
            events = list(self.events(arn))
        return read_history(events, arn=arn, execution=execution)

    def events(self, arn: str) -> Iterator[Wire]:
        """The events of an execution, with their payloads, from all pages."""
        options = {"DurableExecutionArn": arn, "IncludeExecutionData": True, "MaxItems": PAGE_ITEMS}
        with service_errors():
            for page in pages(self._client.get_durable_execution_history, "Events", **options):
                yield from page

    def last_event(self, arn: str) -> Wire:
        """The last event, without payloads; `{}` when there is none."""
        with service_errors():
            page = self._client.get_durable_execution_history(DurableExecutionArn=arn, ReverseOrder=True, MaxItems=1)
        return dict(next(iter(page["Events"]), {}))

    def succeed_callback(self, callback_id: str, result: Any) -> None:
        """Complete a callback with a result."""
        with service_errors():
            self._client.send_durable_execution_callback_success(CallbackId=callback_id, Result=_blob(result))

    def fail_callback(self, callback_id: str, error: ErrorObject) -> None:
        """Complete a callback with an error."""
        with service_errors():
            self._client.send_durable_execution_callback_failure(CallbackId=callback_id, Error=error.to_wire())

    def heartbeat(self, callback_id: str) -> None:
        """Report that the work behind a callback is still running."""
        with service_errors():
            self._client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)

    def pause(self, arn: str, reason: str | None) -> None:
        """Stop invoking the handler until the execution is resumed."""
        with service_errors():
            self._client.pause_durable_execution(DurableExecutionArn=arn, **_given(Reason=reason))

    def resume(self, arn: str, reason: str | None) -> None:
        """Resume a paused execution."""
        with service_errors():
            self._client.resume_durable_execution(DurableExecutionArn=arn, **_given(Reason=reason))

    def stop(self, arn: str, error: ErrorObject | None) -> None:
        """End an execution as STOPPED."""
        wire = error.to_wire() if error is not None else None
        with service_errors():
            self._client.stop_durable_execution(DurableExecutionArn=arn, **_given(Error=wire))


@contextmanager
def service_errors() -> Iterator[None]:
    """Turn errors of botocore and of other clients into this SDK's `ServiceError`."""
    try:
        yield
    except ServiceError:
        raise
    except Exception as error:
        if is_unreadable_answer(error):
            raise unreadable_answer(error) from error
        response = getattr(error, "response", None)
        if not isinstance(response, Mapping):
            raise
        details = response.get("Error") or {}
        status = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode")
        code, message = details.get("Code") or type(error).__name__, details.get("Message") or str(error)
        raise ServiceError(code, message, status=status) from error


def _blob(result: Any) -> bytes:
    if result is None:
        return b""
    if isinstance(result, bytes):
        return result
    return (result if isinstance(result, str) else json.dumps(result)).encode()


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
