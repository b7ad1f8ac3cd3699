"""Where the handler raised in a replay: the contexts it ended by it, and the line of the raise."""

import os
from types import TracebackType

from durable_execution.call_site import CallSite
from durable_execution.divergence import Side, readable
from durable_execution.errors import OperationError
from durable_execution.protocol import OperationType
from durable_execution.replay.stand_ins import Collected, Collector
from durable_execution.runtime.call import user_frame

MAX_MESSAGE = 120
LIBRARIES = f"{os.sep}site-packages{os.sep}"


def raised_side(error: BaseException, *, path: str | None, name: str | None = None) -> Side:
    """Return an error that ended a context as the replayed side of a difference.

    Args:
        error: The error.
        path: Path of the context.
        name: Name of the context.
    """
    text = f"raised {type(error).__name__}: {error}" if str(error) else f"raised {type(error).__name__}"
    return Side(
        OperationType.CONTEXT.value,
        name=name,
        call_site=raise_site(error),
        detail=readable(text, limit=MAX_MESSAGE),
        path=path,
    )


def raise_site(error: BaseException) -> CallSite | None:
    """Return the innermost line of the user's code in the traceback of an error; of a library if there is no other."""
    site: CallSite | None = None
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if user_frame(frame) is frame and (site is None or LIBRARIES not in frame.f_code.co_filename):
            site = CallSite(frame.f_code.co_filename, traceback.tb_lineno, frame.f_code.co_qualname)
        traceback = traceback.tb_next
    return site


def raising_context(collector: Collector) -> Collected | None:
    """Return the innermost context whose error ended the handler; None when the handler's own code raised it."""
    error = collector.exception
    found: Collected | None = None
    while isinstance(error, OperationError):
        context = next((one for one in collector.calls.values() if one.call.id == error.operation_id), None)
        if context is None or context.exception is None:
            return found
        found, error = context, context.exception
    return found
