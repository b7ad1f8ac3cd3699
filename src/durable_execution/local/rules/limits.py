"""The service's limits and time-outs, in one value that tests can change."""

from dataclasses import dataclass
from datetime import timedelta

from durable_execution.protocol import enums


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """The limits of the local engine. The defaults are AWS's, see `durable_execution.protocol.enums`.

    Attributes:
        operations: Maximum number of operations in an execution; one more fails it.
        execution_bytes: Maximum payload bytes an execution may write; more fails it.
        error_bytes: Maximum size of an error object in a checkpoint, as JSON.
        payload_bytes: Maximum size of the payload of any other update.
        callback_result_bytes: Maximum size of a callback's result.
        invoke_bytes: Maximum size of a chained invoke's input and of a chained execution's result.
        async_payload_bytes: Maximum payload of an asynchronous Invoke, and maximum result of an execution started by it.
        sync_payload_bytes: Maximum payload of a synchronous Invoke.
        response_bytes: Maximum result of any other execution, and maximum size of a handler's answer.
        page_bytes: Maximum size of a page of operations or events. A page always has at least one item.
        page_items: Default number of items in a page.
        max_page_items: Maximum number of items in a page.
        execution_timeout: Default maximum duration of an execution.
        retention: Default time to keep an ended execution.
        function_timeout: Default maximum duration of one invocation.
        invoke_wait: How long a synchronous Invoke waits for a durable execution.
        retry_delay: Delay before a failed invocation is retried.
        failed_invocations: Consecutive failed invocations that fail the execution.
        idle_answers: Consecutive PENDING answers without pending operations or changes that fail the execution.
        client_token_window: How long a repeated ClientToken returns the earlier answer.
    """

    operations: int = enums.MAX_OPERATIONS
    execution_bytes: int = enums.MAX_EXECUTION_BYTES
    error_bytes: int = enums.MAX_ERROR_BYTES
    payload_bytes: int = enums.MAX_PAYLOAD_BYTES
    callback_result_bytes: int = enums.MAX_CALLBACK_RESULT_BYTES
    invoke_bytes: int = enums.MAX_INVOKE_PAYLOAD_BYTES
    async_payload_bytes: int = 1024 * 1024
    sync_payload_bytes: int = 6 * 1024 * 1024
    response_bytes: int = 6 * 1024 * 1024
    page_bytes: int = 5 * 1024 * 1024
    page_items: int = 100
    max_page_items: int = 1000
    execution_timeout: timedelta = timedelta(seconds=enums.MAX_DELAY_SECONDS)
    retention: timedelta = timedelta(days=14)
    function_timeout: timedelta = timedelta(minutes=15)
    invoke_wait: timedelta = timedelta(minutes=15)
    retry_delay: timedelta = timedelta(seconds=5)
    failed_invocations: int = 5
    idle_answers: int = 3
    client_token_window: timedelta = timedelta(minutes=15)
