"""The observer that writes the replay trace while an invocation runs, and the choice of its sink from the environment."""

import inspect
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from durable_execution.errors import ConfigurationError
from durable_execution.notes import CallNotes, Noting
from durable_execution.observers import (
    AttemptEnded,
    CheckpointSent,
    Diverged,
    InvocationEnded,
    InvocationStarted,
    Observer,
    OperationCompleted,
    OperationReplayed,
    OperationStarted,
)
from durable_execution.redaction import Redaction, secret_fields
from durable_execution.serdes.annotations import annotation_of, annotations_of
from durable_execution.trace.call_text import Statics
from durable_execution.trace.lines import TraceSession
from durable_execution.trace.repeats import Identities
from durable_execution.trace.sinks import DirectorySink, S3Sink, TraceSink, TraceWriter, in_one_line

logger = logging.getLogger("durable_execution")


class TraceRecorder(Observer, Noting):
    """Writes one replay trace per invocation.

    It never fails an execution: if the sink fails, the recorder logs that once and stops recording the invocation.
    By default it writes sizes and digests of payloads, not the payloads. One recorder can serve invocations in several
    threads.

    Args:
        sink: Where to write.
        payloads: Whether to write inputs and results, redacted.
        locals: Whether to write the local variables at each call, shortened and redacted.
        sources: Whether the first invocation also writes the source of the user's files, once, compressed and redacted.
        redaction: Rules that hide values.
    """

    def __init__(
        self,
        sink: TraceSink,
        *,
        payloads: bool = False,
        locals: bool = False,  # noqa: A002  # the debugger's term
        sources: bool = False,
        redaction: Redaction | None = None,
    ) -> None:
        self.sink = sink
        self.payloads = payloads
        self.locals = locals
        self.sources = sources
        self.redaction = redaction or Redaction()
        if sources:  # while the environment starts, and not in the thread of an invocation that Ctrl+C may interrupt
            from durable_execution.trace.sources import prepare

            prepare()
        self._statics = Statics()
        self._identities = Identities()
        self._thread = _ThreadSession()

    def prepare(self, function: Any) -> None:
        """Do what takes time in an invocation while the environment starts: make the sink's client, and pack the sources.

        Args:
            function: The handler's function. Not all of its module may be loaded yet.
        """
        getattr(self.sink, "prepare", _nothing)()
        code = getattr(inspect.unwrap(function), "__code__", None)
        if self.sources and code is not None:
            from durable_execution.trace.sources import pack

            pack(code.co_filename, self._redaction_for(secrets_of(function)))

    def on_invocation_started(self, notification: InvocationStarted) -> None:
        """Write the header."""
        redaction = self.redaction
        if self.payloads or (self.sources and notification.is_first):
            redaction = self._redaction_for(_known_secrets_of(notification.handler_function))
        session = TraceSession(
            self._open(notification),
            notification.at,
            payloads=self.payloads,
            has_locals=self.locals,
            has_sources=self.sources,
            redaction=redaction,
            statics=self._statics,
            identities=self._identities,
        )
        session.header(notification)
        self._thread.session = session

    def notes(self) -> CallNotes | None:
        """Return the session, which takes calls as the runtime has them."""
        return self._thread.session

    def on_operation_started(self, notification: OperationStarted) -> None:
        """Write a call that has not ended."""
        session = self._thread.session
        if session is not None:
            session.note_started(notification.call, notification.at, notification.status, notification.is_replayed)

    def on_operation_replayed(self, notification: OperationReplayed) -> None:
        """Write a call that was answered from the record."""
        session = self._thread.session
        if session is not None:
            session.note_replayed(notification.call, notification.recorded.wire, notification.at)

    def on_operation_completed(self, notification: OperationCompleted) -> None:
        """Write the end of a call."""
        session = self._thread.session
        if session is not None:
            session.note_completed(
                notification.call,
                notification.at,
                notification.status,
                notification.result,
                notification.error,
                notification.attempt,
                notification.is_replayed,
            )

    def on_attempt_ended(self, notification: AttemptEnded) -> None:
        """Write one attempt of a step."""
        session = self._thread.session
        if session is not None:
            session.note_attempt_ended(
                notification.call,
                notification.attempt,
                notification.started_at,
                notification.at,
                notification.outcome,
                notification.error,
                notification.next_attempt_delay_seconds,
            )

    def on_checkpoint_sent(self, notification: CheckpointSent) -> None:
        """Pass lines to the sink if enough have collected."""
        session = self._thread.session
        if session is not None:
            session.note_checkpoint()

    def on_diverged(self, notification: Diverged) -> None:
        """Write a divergence and flush it immediately."""
        session = self._thread.session
        if session is not None:
            session.diverged(notification)

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        """Write the end and close the sink's writer."""
        session, self._thread.session = self._thread.session, None
        if session is not None:
            session.end(notification)

    def _redaction_for(self, names: frozenset[str]) -> Redaction:
        return self.redaction.with_keys(names) if names else self.redaction

    def _open(self, notification: InvocationStarted) -> TraceWriter | None:
        moment = notification.at.strftime("%Y%m%dT%H%M%S.%fZ")
        try:
            return self.sink.open(notification.execution_arn, f"{moment}-{notification.request_id or 'local'}")
        except Exception as error:  # noqa: BLE001  # a trace must never harm an execution
            logger.warning(
                "cannot write the replay trace, so the execution continues without one: %s. Traces go where "
                "DURABLE_REPLAY_TRACE says: on Lambda, use s3://, because only /tmp can be written to there",
                in_one_line(error),
            )
            return None


class _ThreadSession(threading.local):
    session: TraceSession | None = None


def _nothing() -> None:
    """For a sink that needs no preparation."""


def secrets_of(function: Any) -> frozenset[str]:
    """The names of the secret fields of a handler's parameters."""
    names: frozenset[str] = frozenset()
    for name in annotations_of(function):
        with suppress(Exception):  # a type that cannot be resolved at run time was never used to parse a value
            names |= secret_fields(annotation_of(function, name))
    return names


_known_secrets_of = lru_cache(maxsize=64)(secrets_of)
"""For functions whose module is loaded: until then, a type in the annotations may not exist."""


VARIABLE = "DURABLE_REPLAY_TRACE"
PAYLOADS_VARIABLE = "DURABLE_REPLAY_TRACE_PAYLOADS"
LOCALS_VARIABLE = "DURABLE_REPLAY_TRACE_LOCALS"
SOURCE_VARIABLE = "DURABLE_REPLAY_TRACE_SOURCE"
VARIABLES = (VARIABLE, PAYLOADS_VARIABLE, LOCALS_VARIABLE, SOURCE_VARIABLE)
OFF = frozenset({"", "off", "none", "0", "false"})
ON = frozenset({"1", "on", "true", "yes"})


def recorder_from_environment(
    environment: Mapping[str, str], *, default: TraceSink | None = None
) -> TraceRecorder | None:
    """Make the recorder that the environment configures; None when replay traces are off.

    `DURABLE_REPLAY_TRACE` is `dir:PATH`, `s3://BUCKET/PREFIX` or `off`. `DURABLE_REPLAY_TRACE_PAYLOADS=1` adds inputs
    and results, `DURABLE_REPLAY_TRACE_LOCALS=1` adds local variables at each call; both are redacted.
    `DURABLE_REPLAY_TRACE_SOURCE=0` leaves out the source of the user's files.

    Args:
        environment: Usually `os.environ`.
        default: Where to write when the variable is not set; None writes nothing.

    Raises:
        ConfigurationError: The variable's value is not a directory, an S3 prefix or `off`.
    """
    setting = environment.get(VARIABLE)
    sink = default if setting is None else sink_for(setting)
    return recorder_for(sink, environment) if sink is not None else None


def environment_recorder() -> TraceRecorder | None:
    """The recorder of this process: one, with one sink and one client, for all invocations. None when traces are off.

    A wrong value of the variable is logged once, and turns traces off.
    """
    return _recorder_of(*(os.environ.get(name) for name in VARIABLES))


@lru_cache(maxsize=4)
def _recorder_of(*settings: str | None) -> TraceRecorder | None:
    values = dict(zip(VARIABLES, settings, strict=True))
    try:
        return recorder_from_environment({name: value for name, value in values.items() if value is not None})
    except ConfigurationError as error:
        logger.error("replay traces are off: %s", error)  # noqa: TRY400  # one line
        return None


def recorder_for(sink: TraceSink, environment: Mapping[str, str]) -> TraceRecorder:
    """Make a recorder for a sink, with the detail set by `DURABLE_REPLAY_TRACE_PAYLOADS`, `..._LOCALS` and `..._SOURCE`."""
    return TraceRecorder(
        sink,
        payloads=environment.get(PAYLOADS_VARIABLE, "").lower() in ON,
        locals=environment.get(LOCALS_VARIABLE, "").lower() in ON,
        sources=environment.get(SOURCE_VARIABLE, "1").lower() not in OFF,
    )


def sink_for(setting: str) -> TraceSink | None:
    """Return the sink that a setting names; None for `off`.

    Raises:
        ConfigurationError: The setting is not a directory, an S3 prefix or `off`.
    """
    if setting.strip().lower() in OFF:
        return None
    if setting.startswith("s3://"):
        bucket, _, prefix = setting.removeprefix("s3://").partition("/")
        if bucket:
            return S3Sink(bucket, prefix)
    if setting.startswith("dir:") and setting.removeprefix("dir:"):
        return DirectorySink(setting.removeprefix("dir:"))
    raise ConfigurationError(
        f"{VARIABLE}={setting!r} is not a valid place for replay traces: use dir:/some/directory, s3://bucket/prefix, or off"
    )
