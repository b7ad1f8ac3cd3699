"""Every kind of span with its attributes and events: the code takes its names from here, the documentation its tables.

`durable.*` is exactly AWS's vocabulary; `replay.*` is this SDK's own; the rest are OpenTelemetry's semantic conventions.
"""

from typing import NamedTuple


class SpanKind(NamedTuple):
    """A kind of span.

    Attributes:
        title: Its name, with `{operation}` and `{number}` as placeholders.
        meaning: What it represents.
        parent: Its parent.
        status: Its status, and when it has which.
    """

    title: str
    meaning: str
    parent: str
    status: str

    def name(self, operation: str = "", number: int = 0) -> str:
        """Return the name of an operation's span of this kind."""
        return self.title.format(operation=operation, number=number)


class SpanEventKind(NamedTuple):
    """An event on a span.

    Attributes:
        title: Its name.
        meaning: What it reports.
        on: The spans that have it.
    """

    title: str
    meaning: str
    on: tuple[SpanKind, ...]


Place = SpanKind | SpanEventKind


class Attribute(NamedTuple):
    """An attribute of spans or of their events.

    Attributes:
        name: Its name.
        meaning: Its value.
        on: The spans and events that can have it.
    """

    name: str
    meaning: str
    on: tuple[Place, ...]


OUTCOME_STATUS = "`OK` when it succeeded, `ERROR` when it failed, unset otherwise"

ROOT = SpanKind(
    "DurableExecutionRoot",
    "Root of the trace when there is no incoming trace, under the name of the function, or as `DURABLE_TRACE_NAME` and "
    "`DURABLE_TRACE_ROOT` say. It has no length until the execution ends.",
    "none",
    "that of `Workflow`; until the execution ends, unset",
)
WORKFLOW = SpanKind(
    "Workflow",
    "The execution, from its start; sent by its last invocation.",
    "the root or the caller",
    "`OK` or `ERROR`",
)
INVOCATION = SpanKind(
    "Invocation",
    "One run of the handler.",
    "the root or the caller; a span of the same trace that is current when the handler is called",
    "`OK` when the execution succeeded or was suspended, `ERROR` when it failed, unset when Lambda tries again",
)
OPERATION = SpanKind(
    "{operation}",
    "An operation, under its own name. Execution view: once, when it ended. Invocation view: a segment for each "
    "invocation in which it was open.",
    "its context, else `Workflow` (execution view) or `Invocation` (invocation view)",
    "`OK` when it succeeded, `ERROR` when it ended with an error, unset while it is open",
)
ATTEMPT = SpanKind(
    "{operation} attempt {number}",
    "One attempt of a step or of a condition's check.",
    "the operation",
    OUTCOME_STATUS,
)
WAIT = SpanKind(
    "{operation} wait",
    "Time in which nothing ran, from the operation's start to its end. Invocation view only.",
    "the root or the caller",
    "unset",
)
RESUMPTION = SpanKind(
    "{operation} resume latency",
    "From the end of an operation, or the due time of its next attempt, to the invocation that continued it. An "
    "environment started in the meantime does not know when an attempt was due: only backfill then has the span.",
    "the operation's parent; in the invocation view the root or the caller",
    "unset",
)
SPANS = (ROOT, WORKFLOW, INVOCATION, OPERATION, ATTEMPT, WAIT, RESUMPTION)

EXCEPTION = SpanEventKind(
    "exception",
    "The original exception, with its stack, on the span where it was raised; the spans around it have `error.type`.",
    (WORKFLOW, INVOCATION, OPERATION, ATTEMPT),
)
REPLAY_COMPLETED = SpanEventKind(
    "replay.completed", "A summary of the operations that the invocation replayed.", (INVOCATION,)
)
NONDETERMINISM = SpanEventKind(
    "replay.nondeterminism",
    "The code diverged from the recording. The span's status is `ERROR`, unless the divergence is a warning.",
    (INVOCATION,),
)
EVENTS = (EXCEPTION, REPLAY_COMPLETED, NONDETERMINISM)

_OPERATIONS = (OPERATION, ATTEMPT)
_WAITING = (WAIT, RESUMPTION)
_ENDS = (WORKFLOW, INVOCATION, OPERATION, ATTEMPT)

_declared: list[Attribute] = []


def _declare(name: str, meaning: str, *on: Place) -> str:
    _declared.append(Attribute(name, meaning, on))
    return name


EXECUTION_ARN = _declare("durable.execution.arn", "The execution.", ROOT, WORKFLOW, INVOCATION, *_OPERATIONS)
EXECUTION_STATUS = _declare("durable.execution.status", "`SUCCEEDED`, `FAILED`, `STOPPED` or `TIMED_OUT`.", WORKFLOW)
SYNTHETIC_ROOT = _declare("durable.execution.synthetic_root", "Always true.", ROOT)
INVOCATION_FIRST = _declare("durable.invocation.first", "Whether it is the execution's first invocation.", INVOCATION)
INVOCATION_STATUS = _declare(
    "durable.invocation.status", "`SUCCEEDED`, `FAILED`, `PENDING` (suspended) or `RETRYING` (raised).", INVOCATION
)
OPERATION_ID = _declare("durable.operation.id", "Its recorded id.", *_OPERATIONS)
OPERATION_TYPE = _declare(
    "durable.operation.type", "`STEP`, `WAIT`, `CALLBACK`, `CHAINED_INVOKE` or `CONTEXT`.", *_OPERATIONS
)
OPERATION_SUBTYPE = _declare("durable.operation.subtype", "`Step`, `Map`, `WaitForCondition` …", *_OPERATIONS)
OPERATION_NAME = _declare("durable.operation.name", "Its name, if it has one.", *_OPERATIONS)
OPERATION_STATUS = _declare("durable.operation.status", "`STARTED` while it is open, else how it ended.", OPERATION)
ATTEMPT_NUMBER = _declare(
    "durable.attempt.number", "Counted from 1. On an operation: its last attempt, once it has ended.", *_OPERATIONS
)
ATTEMPT_OUTCOME = _declare(
    "durable.attempt.outcome", "`SUCCEEDED`, `FAILED`, or `INCOMPLETE` when the invocation ended first.", ATTEMPT
)

PATH = _declare(
    "replay.path",
    "Its path in the workflow, for example `process_order/notify#3/email`.",
    OPERATION,
    *_WAITING,
    NONDETERMINISM,
)
HANDLER = _declare("replay.handler", "`module:function` of the handler.", ROOT, WORKFLOW, INVOCATION)
DUE = _declare(
    "replay.due_time", "When a wait ends; when the operation ended or its next attempt was due.", OPERATION, *_WAITING
)
NEXT_ATTEMPT_DELAY = _declare("replay.next_attempt.delay_seconds", "Seconds until the next attempt.", ATTEMPT)
LINKS = _declare(
    "replay.links",
    "The span's links as `trace:span`, separated by commas: X-Ray's exporter drops links but keeps attributes.",
    ROOT,
    *_OPERATIONS,
)
GENERATION = _declare(
    "replay.trace.generation", "After a roll-over, the number of earlier traces of the execution.", ROOT
)
WAITING_ARN = _declare("replay.execution.arn", "The execution.", *_WAITING)
WAITING_OPERATION = _declare("replay.operation.id", "The operation.", *_WAITING)
WAITING_FOR = _declare("replay.waiting_for", "Its subtype.", *_WAITING)

REPLAYED_COUNT = _declare("replay.operations", "Calls answered from the record.", REPLAY_COMPLETED)
REPLAYED_BYTES = _declare("replay.bytes", "Characters in their recorded results.", REPLAY_COMPLETED)
REPLAYED_MILLISECONDS = _declare(
    "replay.duration_ms", "Milliseconds from the invocation's start to the last answer.", REPLAY_COMPLETED
)

DIVERGENCE_KIND = _declare("replay.nondeterminism.kind", "The kind of divergence.", NONDETERMINISM)
DIVERGENCE_SEVERITY = _declare("replay.nondeterminism.severity", "`error`, `warning` or `info`.", NONDETERMINISM)
DIVERGENCE_LINES = {
    word: _declare(f"replay.nondeterminism.{word}", meaning, NONDETERMINISM)
    for word, meaning in (
        ("recorded", "The recorded side."),
        ("replayed", "The replayed side."),
        ("likely", "The likely cause."),
        ("effect", "The effect."),
        ("fix", "The fix."),
    )
}

FUNCTION_NAME = _declare(
    "code.function.name",
    "Module and qualified name of the function that called the operation.",
    OPERATION,
    NONDETERMINISM,
)
FILE_PATH = _declare("code.file.path", "File of the call site.", OPERATION, NONDETERMINISM)
LINE_NUMBER = _declare("code.line.number", "Line of the call site.", OPERATION, NONDETERMINISM)
ERROR_TYPE = _declare("error.type", "Type of the original exception, when it failed.", *_ENDS)
EXCEPTION_TYPE = _declare("exception.type", "Type of the exception.", EXCEPTION)
EXCEPTION_MESSAGE = _declare("exception.message", "Its message.", EXCEPTION)
EXCEPTION_STACK = _declare("exception.stacktrace", "Its stack, if known.", EXCEPTION)
FAAS_INVOCATION = _declare("faas.invocation_id", "Lambda's request id.", INVOCATION)
TRIGGER = "other"
"""Durable invocations have none of the triggers that the conventions name."""
FAAS_TRIGGER = _declare("faas.trigger", f"Always `{TRIGGER}`.", INVOCATION)
FAAS_COLD_START = _declare("faas.coldstart", "Whether it was the first of its environment.", INVOCATION)
CLOUD_RESOURCE = _declare("cloud.resource_id", "ARN of the function version that runs the execution.", INVOCATION)
CLOUD_ACCOUNT = _declare("cloud.account.id", "Account of the execution.", INVOCATION)
CLOUD_REGION = _declare("cloud.region", "Its region.", INVOCATION)
XRAY_ANNOTATIONS = _declare(
    "aws.xray.annotations",
    "Attributes for X-Ray to index, within its budget of 50 per trace: the execution's ARN and status.",
    WORKFLOW,
    INVOCATION,
)

ATTRIBUTES = tuple(_declared)
