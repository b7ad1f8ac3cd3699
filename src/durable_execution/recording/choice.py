"""Chooses a sink from `DURABLE_REPLAY_TRACE`."""

from collections.abc import Mapping

from durable_execution.errors import ConfigurationError
from durable_execution.recording.recorder import TraceRecorder
from durable_execution.recording.sinks import DirectorySink, S3Sink, TraceSink

VARIABLE = "DURABLE_REPLAY_TRACE"
PAYLOADS_VARIABLE = "DURABLE_REPLAY_TRACE_PAYLOADS"
LOCALS_VARIABLE = "DURABLE_REPLAY_TRACE_LOCALS"
OFF = frozenset({"", "off", "none", "0", "false"})
ON = frozenset({"1", "on", "true", "yes"})


def recorder_from_environment(
    environment: Mapping[str, str], *, default: TraceSink | None = None
) -> TraceRecorder | None:
    """Make the recorder that the environment configures; None when replay traces are off.

    `DURABLE_REPLAY_TRACE` is `dir:PATH`, `s3://BUCKET/PREFIX` or `off`. `DURABLE_REPLAY_TRACE_PAYLOADS=1` adds inputs
    and results, `DURABLE_REPLAY_TRACE_LOCALS=1` adds local variables at each call; both are redacted.

    Args:
        environment: Usually `os.environ`.
        default: Where to write when the variable is not set; None writes nothing.

    Raises:
        ConfigurationError: The variable's value is not a directory, an S3 prefix or `off`.
    """
    setting = environment.get(VARIABLE)
    sink = default if setting is None else sink_for(setting)
    return recorder_for(sink, environment) if sink is not None else None


def recorder_for(sink: TraceSink, environment: Mapping[str, str]) -> TraceRecorder:
    """Make a recorder for a sink, with the detail set by `DURABLE_REPLAY_TRACE_PAYLOADS` and `..._LOCALS`."""
    return TraceRecorder(
        sink,
        payloads=environment.get(PAYLOADS_VARIABLE, "").lower() in ON,
        locals=environment.get(LOCALS_VARIABLE, "").lower() in ON,
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
