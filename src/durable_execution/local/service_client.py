"""The engine as the runtime's service client: direct calls on the event loop's thread."""

from durable_execution.local.checkpoints import Checkpoints
from durable_execution.protocol import Wire
from durable_execution.runtime.service import CheckpointAnswer, StatePage


class LocalServiceClient:
    """A `ServiceClient` for handlers in this process. Calls commit before they return."""

    answers_immediately = True

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Apply updates atomically. An empty list only returns what changed."""
        answer = self._checkpoints.checkpoint(execution_arn, token, updates)
        state = answer["NewExecutionState"]
        return CheckpointAnswer(answer.get("CheckpointToken"), state["Operations"], state.get("NextMarker"))

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Read the page of operations that starts at `marker`."""
        page = self._checkpoints.get_state(execution_arn, token, marker, self._checkpoints.max_page_items)
        return StatePage(page["Operations"], page.get("NextMarker"))
