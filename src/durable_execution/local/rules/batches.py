"""Validation of a batch of updates, in the service's order of checks. Pure: it changes nothing."""

from collections.abc import Callable, Sequence

from durable_execution.local.rules.api_errors import invalid
from durable_execution.local.rules.limits import EngineLimits
from durable_execution.local.rules.updates import Update
from durable_execution.local.store.rows import OperationRow

ACTIONS = {
    "STEP": frozenset({"START", "SUCCEED", "FAIL", "RETRY"}),
    "CONTEXT": frozenset({"START", "SUCCEED", "FAIL"}),
    "WAIT": frozenset({"START", "CANCEL"}),
    "CALLBACK": frozenset({"START"}),
    "CHAINED_INVOKE": frozenset({"START"}),
    "EXECUTION": frozenset({"SUCCEED", "FAIL"}),
}
"""The actions a client may use with each operation type."""

Lookup = Callable[[str], OperationRow | None]


def require_batch(updates: Sequence[Update], lookup: Lookup) -> None:
    """Check the rules for the whole batch: the EXECUTION update, repeated ids, and parents.

    Args:
        updates: The batch.
        lookup: Returns a recorded operation by id.

    Raises:
        ServiceError: The batch is invalid.
    """
    _require_execution_last(updates)
    seen: dict[str, Update] = {}
    contexts: set[str] = set()
    for update in updates:
        earlier = seen.get(update.id)
        if earlier is not None and not _may_follow(earlier, update):
            raise invalid(f"Cannot checkpoint multiple operations with the same ID ({update.id}) in one request.")
        if update.parent_id is not None:
            _require_parent(update, update.parent_id, contexts, lookup)
        if update.type == "CONTEXT" and update.action == "START":
            contexts.add(update.id)
        seen[update.id] = update


def require_update(update: Update, current: OperationRow | None, limits: EngineLimits) -> None:
    """Check one update against the recorded state of its operation.

    Args:
        update: The update.
        current: Its operation, including earlier updates of the batch; None for a new operation.
        limits: Size limits.

    Raises:
        ServiceError: The update is invalid.
    """
    if current is not None and update.type != "EXECUTION":
        _require_same_operation(update, current)
    if update.error is not None and len(update.error) > limits.error_bytes:
        raise invalid(f"Error object size must be less than {limits.error_bytes} bytes.")
    if update.type == "CHAINED_INVOKE" and update.payload and len(update.payload.encode()) > limits.invoke_bytes:
        raise invalid(f"The input of a CHAINED_INVOKE must be at most {limits.invoke_bytes} bytes.")
    if update.action not in ACTIONS[update.type]:
        raise invalid(f"Invalid action {update.action} for an operation of type {update.type}.")
    _TRANSITIONS[update.type](update, current)


def _require_execution_last(updates: Sequence[Update]) -> None:
    places = [place for place, update in enumerate(updates) if update.type == "EXECUTION"]
    if len(places) > 1:
        raise invalid("Cannot checkpoint multiple EXECUTION updates.")
    if places and places[0] != len(updates) - 1:
        raise invalid("The EXECUTION update must be the last one of the request.")


def _may_follow(earlier: Update, update: Update) -> bool:
    return earlier.type in ("STEP", "CONTEXT") and earlier.action == "START" and update.action != "START"


def _require_parent(update: Update, parent_id: str, contexts: set[str], lookup: Lookup) -> None:
    if parent_id in contexts:
        return
    parent = lookup(parent_id)
    if parent is None or parent.type != "CONTEXT":
        raise invalid(
            f"Invalid parent operation id {parent_id} of operation {update.id}: a parent must be a CONTEXT that "
            "exists or is started earlier in the same request."
        )


def _require_same_operation(update: Update, current: OperationRow) -> None:
    if update.type != current.type:
        raise invalid(f"Inconsistent operation type: {update.id} is recorded as {current.type}, not {update.type}.")
    if update.subtype is not None and update.subtype != current.subtype:
        raise invalid(
            f"Inconsistent operation subtype: {update.id} is recorded as {current.subtype}, not {update.subtype}."
        )
    if update.name is not None and update.name != current.name:
        raise invalid(f"Inconsistent operation name: {update.id} is recorded as {current.name!r}, not {update.name!r}.")
    if update.parent_id is not None and update.parent_id != current.parent_id:
        raise invalid(f"Inconsistent parent operation id: {update.id} is recorded below {current.parent_id}.")


def _step(update: Update, current: OperationRow | None) -> None:
    status = current.status if current else None
    if update.action == "START":
        if status not in (None, "READY"):
            raise invalid(f"Invalid current STEP state to start: {update.id} is {status}.")
        return
    if status not in (None, "STARTED", "READY"):
        verb = "re-attempt" if update.action == "RETRY" else "close"
        raise invalid(f"Invalid current STEP state to {verb}: {update.id} is {status}.")
    if update.action != "RETRY":
        _require_close_members(update)
        return
    if update.delay_seconds is None:
        raise invalid("A RETRY of a STEP needs StepOptions.NextAttemptDelaySeconds.")
    if update.error is not None and update.payload is not None:
        raise invalid("Cannot provide both Error and Payload to RETRY a STEP.")


def _context(update: Update, current: OperationRow | None) -> None:
    if update.action == "START":
        _require_new(update, current)
        return
    if current is not None and current.status != "STARTED":
        raise invalid(f"Invalid current CONTEXT state to close: {update.id} is {current.status}.")
    _require_close_members(update)


def _wait(update: Update, current: OperationRow | None) -> None:
    if update.action == "CANCEL":
        if current is None or current.status != "STARTED":
            raise invalid(f"Cannot cancel a WAIT that does not exist or has ended: {update.id}.")
        return
    _require_new(update, current)
    if update.wait_seconds is None:
        raise invalid("The START of a WAIT needs WaitOptions.WaitSeconds.")


def _callback(update: Update, current: OperationRow | None) -> None:
    _require_new(update, current)


def _chained_invoke(update: Update, current: OperationRow | None) -> None:
    _require_new(update, current)
    if update.function is None:
        raise invalid("The START of a CHAINED_INVOKE needs ChainedInvokeOptions.FunctionName.")


def _execution(update: Update, _current: OperationRow | None) -> None:
    _require_close_members(update)


_TRANSITIONS = {
    "STEP": _step,
    "CONTEXT": _context,
    "WAIT": _wait,
    "CALLBACK": _callback,
    "CHAINED_INVOKE": _chained_invoke,
    "EXECUTION": _execution,
}


def _require_new(update: Update, current: OperationRow | None) -> None:
    if current is not None:
        raise invalid(f"Cannot start a {update.type} that already exists: {update.id} is {current.status}.")


def _require_close_members(update: Update) -> None:
    if update.action == "FAIL" and update.payload is not None:
        raise invalid("Cannot provide a Payload for a FAIL action.")
    if update.action == "SUCCEED" and update.error is not None:
        raise invalid("Cannot provide an Error for a SUCCEED action.")
