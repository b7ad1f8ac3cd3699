"""`ctx.invoke`: call a Lambda function, durable or not, and wait for its result."""

from __future__ import annotations

import json
from typing import Any

from durable_execution.config import InvokeConfig
from durable_execution.errors import (
    ConfigurationError,
    InvokeError,
    InvokeStoppedError,
    InvokeTimeoutError,
    SerializationError,
)
from durable_execution.operations.lifecycle import (
    announce_replayed,
    announce_settled,
    announce_started,
    decode,
    failure,
    recorded_state,
    store,
)
from durable_execution.protocol import ErrorObject, Operation, OperationStatus, Wire
from durable_execution.runtime.call import Call
from durable_execution.runtime.guard import check_configuration
from durable_execution.serdes.codec import PLAIN_TYPES, codec_for
from durable_execution.serdes.interface import Codec

DEFAULT_CONFIG = InvokeConfig()
FAILURE_CLASSES: dict[OperationStatus, type[InvokeError]] = {
    OperationStatus.TIMED_OUT: InvokeTimeoutError,
    OperationStatus.STOPPED: InvokeStoppedError,
}


async def run_invoke(call: Call, function_name: str, config: InvokeConfig) -> Any:
    """Return the recorded result, or have the service call the function."""
    if not isinstance(function_name, str):
        raise ConfigurationError(
            f"ctx.invoke takes the name of a function, then the payload, not a {type(function_name).__name__} first: write "
            "ctx.invoke(name, payload)"
        )
    state = call.scope.state
    recorded = await recorded_state(call)
    is_replayed = recorded is not None
    if recorded is None:
        announce_started(call)
        await store(call, _start(call, function_name, config))
        recorded = state.operations.get(call.id)
    else:
        if state.announcer is not None:
            check_configuration(call, recorded)
        if recorded["Status"] != "STARTED":
            announce_replayed(call, recorded)
            return _answer(call, recorded, config)
        announce_started(call, recorded)
    if recorded is None or recorded["Status"] == "STARTED":
        recorded = await state.until_changed(call)
    announce_settled(call, recorded, is_replayed=is_replayed)
    return _answer(call, recorded, config)


run_invoke.__qualname__ = "ctx.invoke"  # Python's warning of a forgotten await names it


def write_payload(call: Call, payload: Any, config: InvokeConfig) -> str:
    """Write the payload as the function receives it: JSON, unless a serializer is configured."""
    if config.payload_serdes is not None:
        arn = call.scope.state.execution_arn
        return codec_for(config.payload_serdes, None, operation_id=call.id, execution_arn=arn).encode(payload)
    try:
        return json.dumps(payload, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError):
        pass  # not plain JSON: pydantic writes more types
    from durable_execution.serdes.typed import to_json

    try:
        return to_json(payload)
    except SerializationError as error:
        raise SerializationError(
            f"the payload of {call.path} cannot be serialized: {error}", operation=call.path
        ) from error


def _start(call: Call, function_name: str, config: InvokeConfig) -> Wire:
    update = call.update("START")
    options: dict[str, str] = {"FunctionName": function_name}
    if config.tenant_id is not None:
        options["TenantId"] = config.tenant_id
    announcer = call.scope.state.announcer
    header = announcer.trace_header(call.info()) if announcer is not None else None
    if header is not None:
        options["XAmznTraceId"] = header
    update["ChainedInvokeOptions"] = options
    update["Payload"] = call.input
    return update


def _answer(call: Call, recorded: Wire, config: InvokeConfig) -> Any:
    view = Operation(recorded)
    if view.status is OperationStatus.SUCCEEDED:
        return decode(call, _codec(call, config), view.result) if view.result is not None else None
    raise failure(call, FAILURE_CLASSES.get(view.status, InvokeError), view.error or ErrorObject())


def _codec(call: Call, config: InvokeConfig) -> Codec:
    if config.result_serdes is None and config.result_type in PLAIN_TYPES:
        return Codec(json.dumps, json.loads)
    arn = call.scope.state.execution_arn
    return codec_for(config.result_serdes, config.result_type, operation_id=call.id, execution_arn=arn)
