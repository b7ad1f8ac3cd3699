"""Builds the attributes of each kind of span from notifications."""

import sys
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import PurePath

from durable_execution.call_site import CallSite
from durable_execution.observers import InvocationStarted, OperationCall
from durable_execution.protocol import ExecutionArn, InvocationStatus
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.bounded import bounded
from durable_execution.telemetry.span_ids import hex_span, hex_trace
from durable_execution.telemetry.spans import AttributeValue

PACKAGE = PurePath("/var/task")
"""Where Lambda puts the function's code."""

Built = dict[str, AttributeValue]

INVOCATION_WORDS = {InvocationStatus.RETRY: "RETRYING"}
"""AWS's plugin calls a retried invocation RETRYING; the other names are those of the API."""


def root_attributes(arn: str) -> Built:
    """Return the attributes of `DurableExecutionRoot`."""
    return {names.EXECUTION_ARN: arn, names.SYNTHETIC_ROOT: True}


def invocation_attributes(started: InvocationStarted, *, is_cold: bool | None, is_xray: bool) -> Built:
    """Return the attributes of an Invocation when it starts."""
    built: Built = {
        names.EXECUTION_ARN: started.execution_arn,
        names.INVOCATION_FIRST: started.is_first,
        **_cloud(started.execution_arn),
    }
    if started.handler:
        built[names.HANDLER] = bounded(started.handler)
    built[names.FAAS_TRIGGER] = names.TRIGGER
    if started.request_id:
        built[names.FAAS_INVOCATION] = bounded(started.request_id)
    if is_cold is not None:
        built[names.FAAS_COLD_START] = is_cold
    if is_xray and started.is_first:
        built[names.XRAY_ANNOTATIONS] = (names.EXECUTION_ARN,)
    return built


def invocation_word(status: InvocationStatus) -> str:
    """Return the value of `durable.invocation.status`."""
    return INVOCATION_WORDS.get(status, status.value)


def workflow_attributes(arn: str, *, handler: str | None, is_xray: bool) -> Built:
    """Return the attributes of Workflow, except its status.

    X-Ray indexes 50 annotations per trace, so only the two that people search by are requested, once.
    """
    built: Built = {names.EXECUTION_ARN: arn}
    if handler:
        built[names.HANDLER] = bounded(handler)
    if is_xray:
        built[names.XRAY_ANNOTATIONS] = (names.EXECUTION_ARN, names.EXECUTION_STATUS)
    return built


def call_attributes(arn: str, call: OperationCall) -> Built:
    """Return the attributes that an operation's span shares with its attempts' spans."""
    built: Built = {names.EXECUTION_ARN: arn, names.OPERATION_ID: call.id, names.OPERATION_TYPE: str(call.type)}
    if call.subtype is not None:
        built[names.OPERATION_SUBTYPE] = bounded(call.subtype)
    if call.name is not None:
        built[names.OPERATION_NAME] = bounded(call.name)
    return built


def place_attributes(call: OperationCall) -> Built:
    """Return the call's position in the workflow and its call site in the code."""
    built: Built = {names.PATH: bounded(call.path)}
    if call.call_site is not None:
        built.update(code_attributes(call.call_site))
    return built


@lru_cache(maxsize=256)
def code_attributes(site: CallSite) -> Mapping[str, AttributeValue]:
    """Return the call site by OpenTelemetry's stable conventions. Calls in a loop share one call site."""
    return {
        names.FUNCTION_NAME: bounded(f"{module_of(site.file)}.{site.function}"),
        names.FILE_PATH: bounded(site.file),
        names.LINE_NUMBER: site.line,
    }


@lru_cache(maxsize=256)
def module_of(file: str) -> str:
    """Return the name of the module in a file: of the loaded module, else of the file's place in the function's package."""
    for name, module in list(sys.modules.items()):
        if name != "__main__" and vars(module).get("__file__") == file:
            return name
    within = PurePath(file)
    if within.is_relative_to(PACKAGE):
        return ".".join(within.relative_to(PACKAGE).with_suffix("").parts)
    return within.stem


@lru_cache(maxsize=64)
def mirrored(links: tuple[tuple[int, int], ...]) -> str:
    """Render links as an attribute value: X-Ray's exporter drops links but keeps attributes."""
    return ",".join(f"{hex_trace(trace_id)}:{hex_span(span_id)}" for trace_id, span_id in links)


def iso(moment: datetime) -> str:
    """Render a time as an attribute value."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=64)
def _cloud(arn: str) -> Mapping[str, AttributeValue]:
    try:
        parts = ExecutionArn.parse(arn)
    except ValueError:
        return {}
    return {
        names.CLOUD_RESOURCE: bounded(parts.function_arn),
        names.CLOUD_ACCOUNT: parts.account,
        names.CLOUD_REGION: parts.region,
    }
