"""Stands in for the Lambda service in a replay: accepts every update and completes nothing itself."""

from durable_execution.protocol import OperationType, Wire
from durable_execution.protocol.operation import DETAILS_MEMBER
from durable_execution.runtime.service import CheckpointAnswer, StatePage

TERMINAL = {"SUCCEED": "SUCCEEDED", "FAIL": "FAILED", "CANCEL": "CANCELLED"}
SETTLED_FROM_OUTSIDE = frozenset({OperationType.WAIT, OperationType.CALLBACK, OperationType.CHAINED_INVOKE})


class ReplayService:
    """Answers checkpoints from memory. Operations that the code starts anew stay open.

    Attributes:
        updates: Every update that was sent.
        rooms: Ids of inserted calls, which are answered at once with no result, to see which call follows; the ids of
            calls made inside them are added.
    """

    def __init__(self, rooms: set[str]) -> None:
        self.updates: list[Wire] = []
        self.rooms = rooms
        self._operations: dict[str, Wire] = {}
        self._count = 0

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Accept updates."""
        self._count += 1
        self.updates.extend(updates)
        return CheckpointAnswer(f"replay-{self._count}", [self._apply(update) for update in updates])

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Return an empty page: the state has only one page."""
        return StatePage([])

    def is_in_room(self, *ids: str | None) -> bool:
        """Whether a call, or a context around it, is answered at once."""
        return any(id_ in self.rooms for id_ in ids if id_ is not None)

    def _apply(self, update: Wire) -> Wire:
        id_, action, type_ = update["Id"], update["Action"], OperationType(update["Type"])
        wire = dict(self._operations.get(id_) or _started(update))
        if self.is_in_room(update.get("ParentId")):
            self.rooms.add(id_)
        details = dict(wire.get(DETAILS_MEMBER[type_]) or {})
        if type_ is OperationType.CALLBACK:
            details.setdefault("CallbackId", f"replay-{len(self.updates)}")
        if type_ is OperationType.STEP and action == "RETRY":
            wire["Status"] = "PENDING"
            details["Attempt"] = int(details.get("Attempt", 0)) + 1
        elif action in TERMINAL:
            wire["Status"] = TERMINAL[action]
        elif type_ in SETTLED_FROM_OUTSIDE and self.is_in_room(id_):
            wire["Status"] = "SUCCEEDED"
        for member, word in (("Payload", "Result"), ("Error", "Error")):
            if action in TERMINAL and update.get(member) is not None:
                details[word] = update[member]
        if "ContextOptions" in update:
            details |= update["ContextOptions"]
        wire[DETAILS_MEMBER[type_]] = details
        self._operations[id_] = wire
        return wire


def _started(update: Wire) -> Wire:
    members = ("Id", "ParentId", "Name", "Type", "SubType")
    return {**{member: update[member] for member in members if member in update}, "Status": "STARTED"}
