"""The enumerations of the protocol that an invocation reads (service model of botocore 1.44.5).

Sizes and ranges of the protocol, with the source of each.
"""

from enum import StrEnum


class OperationType(StrEnum):
    """The type of an operation."""

    EXECUTION = "EXECUTION"
    CONTEXT = "CONTEXT"
    STEP = "STEP"
    WAIT = "WAIT"
    CALLBACK = "CALLBACK"
    CHAINED_INVOKE = "CHAINED_INVOKE"


class OperationSubType(StrEnum):
    """The subtype an SDK gives an operation. Steps, callbacks and contexts may carry a user's own subtype."""

    STEP = "Step"
    WAIT = "Wait"
    CALLBACK = "Callback"
    CHAINED_INVOKE = "ChainedInvoke"
    RUN_IN_CHILD_CONTEXT = "RunInChildContext"
    MAP = "Map"
    MAP_ITERATION = "MapIteration"
    PARALLEL = "Parallel"
    PARALLEL_BRANCH = "ParallelBranch"
    WAIT_FOR_CALLBACK = "WaitForCallback"
    WAIT_FOR_CONDITION = "WaitForCondition"


BATCHES = frozenset({OperationSubType.MAP, OperationSubType.PARALLEL})
"""Contexts that hold branches; a member equals its text on the wire, so that text can be looked up too."""

PATCH = "Patch"
"""Subtype of the markers that `ctx.patched` records. Their ids do not follow the numbering of calls."""

COMBINATORS = frozenset({"All", "Any", "Race"})
"""Subtypes of steps that run several awaitables and record which one decided."""

BRANCHES = frozenset({OperationSubType.MAP_ITERATION, OperationSubType.PARALLEL_BRANCH})
"""Contexts of one item of a map, or of one branch of a parallel."""


class OperationStatus(StrEnum):
    """The status of an operation."""

    STARTED = "STARTED"
    PENDING = "PENDING"
    READY = "READY"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"

    @property
    def is_terminal(self) -> bool:
        """Whether an operation in this status never changes again."""
        return self in TERMINAL_OPERATION_STATUSES


TERMINAL_OPERATION_STATUSES = frozenset(
    {
        OperationStatus.SUCCEEDED,
        OperationStatus.FAILED,
        OperationStatus.CANCELLED,
        OperationStatus.TIMED_OUT,
        OperationStatus.STOPPED,
    }
)


class InvocationStatus(StrEnum):
    """The status a handler returns. RETRY is never on the wire: it marks an invocation that raised, so Lambda retries it."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PENDING = "PENDING"
    RETRY = "RETRY"


MIN_DELAY_SECONDS = 1
MAX_DELAY_SECONDS = 31_622_400
"""Waits and retry delays: 1 second to 366 days (service model)."""
MAX_CALLBACK_TIMEOUT_SECONDS = 99_999_999
"""Callback timeouts, 0 meaning none (service model)."""
MAX_CONTEXT_RESULT_BYTES = 256 * 1024
"""A larger result of a context is not stored: its children are replayed instead (AWS's SDKs)."""
LOOK_FROM_CHARACTERS = MAX_CONTEXT_RESULT_BYTES * 8 // 10 // 4
"""Text of this length may come close to that limit: a character takes at most four bytes, and 80 % is close."""
MAX_RESPONSE_BYTES = 6 * 1024 * 1024 - 50
"""A larger result of a handler is checkpointed instead of returned (Lambda's 6 MiB, less the envelope)."""
MAX_BATCH_UPDATES = 250
MAX_BATCH_BYTES = 750 * 1024
"""Limits of one checkpoint call (AWS's SDKs; set by the client)."""
MAX_ERROR_BYTES = 32_768
"""Largest error object in a checkpoint, as JSON (AWS's emulator)."""
MAX_NAME_LENGTH = 256
MAX_EXECUTION_NAME_LENGTH = 64
MAX_SUBTYPE_LENGTH = 32
MAX_OPERATION_ID_LENGTH = 64
"""Characters (service model)."""
MAX_CALLBACK_RESULT_BYTES = 1_048_576
MAX_INVOKE_PAYLOAD_BYTES = 1_048_576
"""Largest result of a callback, and input and result of a chained invoke (service model)."""
MAX_PAYLOAD_BYTES = 1_048_576
"""Largest payload of a STEP, CONTEXT, WAIT, CALLBACK or CHAINED_INVOKE update (documentation of the service model)."""
MAX_OPERATIONS = 3_000
MAX_EXECUTION_BYTES = 100 * 1024 * 1024
"""Quotas of one execution (AWS's quotas page)."""
