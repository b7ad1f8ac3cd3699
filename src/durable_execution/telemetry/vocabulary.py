"""Every kind of span, what stands on it and what happens on it: the code takes its names from here, the documentation its tables.

`durable.*` is AWS's vocabulary, exactly; everything of our own is `replay.*`; the rest are OpenTelemetry's semantic
conventions.
"""

from typing import NamedTuple


class SpanKind(NamedTuple):
    """A kind of span.

    Attributes:
        title: Its name, with `{operation}` and `{number}` where it has them.
        meaning: What it stands for.
        parent: What it is under.
        status: When its status is what.
    """

    title: str
    meaning: str
    parent: str
    status: str

    def name(self, operation: str = "", number: int = 0) -> str:
        """What such a span of an operation is called."""
        return self.title.format(operation=operation, number=number)


class SpanEventKind(NamedTuple):
    """Something that happens on a span.

    Attributes:
        title: Its name.
        meaning: What happened.
        on: Where it stands.
    """

    title: str
    meaning: str
    on: tuple[SpanKind, ...]


Place = SpanKind | SpanEventKind


class Attribute(NamedTuple):
    """An attribute of spans or of their events.

    Attributes:
        name: What it is called.
        meaning: What it says.
        on: The spans and events that can have it.
    """

    name: str
    meaning: str
    on: tuple[Place, ...]


OUTCOME_STATUS = "`OK` when it succeeded, `ERROR` when it failed, unset otherwise"

ROOT = SpanKind(
    "DurableExecutionRoot",
    "Zero-length root that holds the others together where no incoming trace does.",
    "none",
    "unset",
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
    "`OK` when the execution ended well or was suspended, `ERROR` when it failed, unset when Lambda tries again",
)
OPERATION = SpanKind(
    "{operation}",
    "An operation, under its own name. Execution view: once, when it ended. Invocation view: a segment for each "
    "invocation in which it was open.",
    "its context, else `Workflow` (execution view) or `Invocation` (invocation view)",
    "`OK` when it succeeded, `ERROR` when it ended otherwise with an error, unset while it is open",
)
ATTEMPT = SpanKind(
    "{operation} attempt {number}",
    "One run of a step's body, or of a condition's check.",
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
    "From the moment an operation was done, or due for its next attempt, to the invocation that went on with it. In an "
    "environment that has begun meanwhile nobody knows when an attempt was due: there it comes from the history only.",
    "what the operation is under; in the invocation view the root or the caller",
    "unset",
)
SPANS = (ROOT, WORKFLOW, INVOCATION, OPERATION, ATTEMPT, WAIT, RESUMPTION)

EXCEPTION = SpanEventKind(
    "exception", "What was really raised, with its stack.", (WORKFLOW, INVOCATION, OPERATION, ATTEMPT)
)
REPLAY_COMPLETED = SpanEventKind(
    "replay.completed", "What the invocation took from the record, in one event instead of a span each.", (INVOCATION,)
)
NONDETERMINISM = SpanEventKind(
    "replay.nondeterminism",
    "The code left the recorded path. The span is an `ERROR`, unless it is a warning.",
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
INVOCATION_FIRST = _declare("durable.invocation.first", "Whether nothing was recorded before it.", INVOCATION)
INVOCATION_STATUS = _declare(
    "durable.invocation.status", "`SUCCEEDED`, `FAILED`, `PENDING` (suspended) or `RETRYING` (raised).", INVOCATION
)
OPERATION_ID = _declare("durable.operation.id", "Its id in the record.", *_OPERATIONS)
OPERATION_TYPE = _declare(
    "durable.operation.type", "`STEP`, `WAIT`, `CALLBACK`, `CHAINED_INVOKE` or `CONTEXT`.", *_OPERATIONS
)
OPERATION_SUBTYPE = _declare("durable.operation.subtype", "`Step`, `Map`, `WaitForCondition` …", *_OPERATIONS)
OPERATION_NAME = _declare("durable.operation.name", "Its name, where it has one.", *_OPERATIONS)
OPERATION_STATUS = _declare("durable.operation.status", "`STARTED` while it is open, else how it ended.", OPERATION)
ATTEMPT_NUMBER = _declare(
    "durable.attempt.number", "From 1. On an operation: its last attempt, once it has ended.", *_OPERATIONS
)
ATTEMPT_OUTCOME = _declare(
    "durable.attempt.outcome", "`SUCCEEDED`, `FAILED`, or `INCOMPLETE` when the invocation ended first.", ATTEMPT
)

PATH = _declare(
    "replay.path",
    "Its place in the workflow, for example `process_order/notify#3/email`.",
    OPERATION,
    *_WAITING,
    NONDETERMINISM,
)
HANDLER = _declare("replay.handler", "`module:function` of the handler.", WORKFLOW, INVOCATION)
DUE = _declare("replay.due_time", "When a wait is over; when the operation was done or due.", OPERATION, *_WAITING)
NEXT_ATTEMPT_DELAY = _declare("replay.next_attempt.delay_seconds", "How long until the next attempt.", ATTEMPT)
LINKS = _declare(
    "replay.links",
    "The span's links as `trace:span`, separated by commas: X-Ray's exporter drops links, but keeps attributes.",
    ROOT,
    *_OPERATIONS,
)
GENERATION = _declare(
    "replay.trace.generation", "How many traces of the execution came before, after a roll-over.", ROOT
)
WAITING_ARN = _declare("replay.execution.arn", "The execution.", *_WAITING)
WAITING_OPERATION = _declare("replay.operation.id", "The operation.", *_WAITING)
WAITING_FOR = _declare("replay.waiting_for", "Its subtype.", *_WAITING)

REPLAYED_COUNT = _declare("replay.operations", "How many calls were answered from the record.", REPLAY_COMPLETED)
REPLAYED_BYTES = _declare("replay.bytes", "Characters of their recorded results.", REPLAY_COMPLETED)
REPLAYED_MILLISECONDS = _declare(
    "replay.duration_ms", "From the invocation's start to the last answer.", REPLAY_COMPLETED
)

DIVERGENCE_KIND = _declare("replay.nondeterminism.kind", "What kind of difference.", NONDETERMINISM)
DIVERGENCE_SEVERITY = _declare("replay.nondeterminism.severity", "`error`, `warning` or `info`.", NONDETERMINISM)
DIVERGENCE_LINES = {
    word: _declare(f"replay.nondeterminism.{word}", meaning, NONDETERMINISM)
    for word, meaning in (
        ("recorded", "What is recorded."),
        ("replayed", "What the code did."),
        ("likely", "The likely cause."),
        ("effect", "What it leads to."),
        ("fix", "What to do."),
    )
}

FUNCTION_NAME = _declare("code.function.name", "Where the operation was called.", OPERATION, NONDETERMINISM)
FILE_PATH = _declare("code.file.path", "The file of that.", OPERATION, NONDETERMINISM)
LINE_NUMBER = _declare("code.line.number", "The line of that.", OPERATION, NONDETERMINISM)
ERROR_TYPE = _declare("error.type", "Type of what was really raised, when it failed.", *_ENDS)
EXCEPTION_TYPE = _declare("exception.type", "Type of what was raised.", EXCEPTION)
EXCEPTION_MESSAGE = _declare("exception.message", "Its message.", EXCEPTION)
EXCEPTION_STACK = _declare("exception.stacktrace", "Its stack, where it is known.", EXCEPTION)
FAAS_INVOCATION = _declare("faas.invocation_id", "Lambda's request id.", INVOCATION)
FAAS_COLD_START = _declare("faas.coldstart", "Whether it was the first one of its environment.", INVOCATION)
CLOUD_RESOURCE = _declare("cloud.resource_id", "ARN of the invoked function.", INVOCATION)
CLOUD_ACCOUNT = _declare("cloud.account.id", "Account of the execution.", INVOCATION)
CLOUD_REGION = _declare("cloud.region", "Its region.", INVOCATION)
XRAY_ANNOTATIONS = _declare(
    "aws.xray.annotations",
    "What X-Ray is to index, within its budget of 50 a trace: the execution's ARN and status.",
    WORKFLOW,
    INVOCATION,
)

ATTRIBUTES = tuple(_declared)
