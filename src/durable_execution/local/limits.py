"""The service's limits and time-outs, as one value that tests may change."""

from dataclasses import dataclass
from datetime import timedelta

from durable_execution.protocol import limits


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What the local engine allows. The defaults are AWS's, see `durable_execution.protocol.limits`.

    Attributes:
        operations: Operations one execution may have; one more fails it.
        execution_bytes: Payload bytes one execution may write; more fails it.
        error_bytes: An error object in a checkpoint, as JSON.
        payload_characters: Any other payload member.
        callback_result_bytes: A callback's result.
        invoke_bytes: Input of a chained invoke, and result of a chained execution.
        async_payload_bytes: Payload of an asynchronous Invoke.
        sync_payload_bytes: Payload of a synchronous Invoke.
        response_bytes: A handler's answer.
        page_bytes: One page of operations or events; the first item of a page is always delivered.
        page_items: Items of a page when the caller does not say.
        max_page_items: Items of a page at most.
        execution_timeout: How long an execution may run when neither function nor caller says.
        retention: How long an ended execution is kept when the function does not say.
        function_timeout: How long one invocation may run.
        invoke_wait: How long a synchronous Invoke waits for a durable execution.
        retry_delay: Pause before a failed invocation is tried again.
        failed_invocations: Failed invocations in a row that fail the execution.
        idle_answers: PENDING answers in a row, with nothing pending and nothing changed, that fail the execution.
        client_token_window: How long a repeated ClientToken gets the earlier answer.
    """

    operations: int = limits.MAX_OPERATIONS
    execution_bytes: int = limits.MAX_EXECUTION_BYTES
    error_bytes: int = limits.MAX_ERROR_BYTES
    payload_characters: int = limits.MAX_PAYLOAD_CHARACTERS
    callback_result_bytes: int = limits.MAX_CALLBACK_RESULT_BYTES
    invoke_bytes: int = limits.MAX_INVOKE_PAYLOAD_BYTES
    async_payload_bytes: int = 1024 * 1024
    sync_payload_bytes: int = 6 * 1024 * 1024
    response_bytes: int = 6 * 1024 * 1024
    page_bytes: int = 5 * 1024 * 1024
    page_items: int = 100
    max_page_items: int = 1000
    execution_timeout: timedelta = timedelta(seconds=limits.MAX_DELAY_SECONDS)
    retention: timedelta = timedelta(days=14)
    function_timeout: timedelta = timedelta(minutes=15)
    invoke_wait: timedelta = timedelta(minutes=15)
    retry_delay: timedelta = timedelta(seconds=5)
    failed_invocations: int = 5
    idle_answers: int = 3
    client_token_window: timedelta = timedelta(minutes=15)
