"""Prepares a Lambda environment during its init phase.

Lambda gives init a full CPU, and an invocation a share that follows the function's memory. Lazy imports serve command lines and
tests. In a Lambda environment they would move the work to the slow phase, so the decorator loads here what the first invocation
needs. Nothing made here must be unique: a SnapStart snapshot is restored into many environments.
"""

from __future__ import annotations

import inspect
import os
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from durable_execution.invocation import payload_annotation
from durable_execution.serdes.codec import is_plain_annotation

if TYPE_CHECKING:
    from durable_execution.handler import DurableHandler

MODULES = (
    "durable_execution.batch_result",
    "durable_execution.operations.batch",
    "durable_execution.operations.callback",
    "durable_execution.operations.child",
    "durable_execution.operations.combinators",
    "durable_execution.operations.condition",
    "durable_execution.operations.described_error",
    "durable_execution.operations.invoke",
    "durable_execution.operations.logger",
    "durable_execution.operations.replay_safe",
    "durable_execution.operations.wait_for_callback",
    "durable_execution.operations.with_retry",
    "durable_execution.serdes.sizes",
    "encodings.idna",  # the socket module loads it with the first connection
)
"""Modules that the runtime loads on first use."""

OBSERVING_MODULES = ("durable_execution.observers", "durable_execution.runtime.announcer")
TRACE_VARIABLE = "DURABLE_REPLAY_TRACE"


def prepare(handler: DurableHandler[Any]) -> None:
    """Load what the first invocation of a handler needs, and resolve the configuration of its service.

    An error is not reported here: the invocation meets it again, and can answer it.
    """
    for module in (*MODULES, *_observing(handler)):
        import_module(module)
    if not inspect.iscoroutinefunction(handler.function):
        import_module("durable_execution.context.blocking_context")
    if TRACE_VARIABLE in os.environ:
        with suppress(Exception):
            _prepare_trace()
    with suppress(Exception):
        getattr(handler.service, "prepare", _nothing)()
    with suppress(Exception):
        _prepare_payload(handler)


def _nothing() -> None:
    """For a service of yours that needs no preparation."""


def _observing(handler: DurableHandler[Any]) -> tuple[str, ...]:
    return OBSERVING_MODULES if handler.observers or TRACE_VARIABLE in os.environ else ()


def _prepare_trace() -> None:
    """Create the S3 client of the replay trace, if that is where it goes."""
    from durable_execution.trace import environment_recorder

    recorder = environment_recorder()
    getattr(getattr(recorder, "sink", None), "prepare", _nothing)()


def _prepare_payload(handler: DurableHandler[Any]) -> None:
    """Create pydantic's schema for the payload, which takes longer than an invocation."""
    annotation = payload_annotation(handler.function)
    if annotation is not None and not is_plain_annotation(annotation):
        from durable_execution.serdes.typed import pydantic_codec

        pydantic_codec(annotation)
