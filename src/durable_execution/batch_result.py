"""The result of a map or parallel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar, cast

from durable_execution.config.completion import BatchItemStatus
from durable_execution.errors import BatchError, ChildContextError
from durable_execution.protocol.operation import ErrorObject
from durable_execution.serdes import tagged
from durable_execution.value_classes import value_class

R = TypeVar("R")


class CompletionReason(StrEnum):
    """Why a map or parallel was complete."""

    ALL_COMPLETED = "ALL_COMPLETED"
    MIN_SUCCESSFUL_REACHED = "MIN_SUCCESSFUL_REACHED"
    FAILURE_TOLERANCE_EXCEEDED = "FAILURE_TOLERANCE_EXCEEDED"
    CUSTOM_COMPLETION_SUCCEEDED = "CUSTOM_COMPLETION_SUCCEEDED"
    CUSTOM_COMPLETION_FAILED = "CUSTOM_COMPLETION_FAILED"


@dataclass(frozen=True, slots=True)
class BatchItem(Generic[R]):
    """One branch that was started.

    Attributes:
        index: Index among all branches, from 0.
        status: Status when the batch completed; STARTED when the batch did not wait for it.
        result: Its return value, if it succeeded.
        error: Its error, if it failed.
    """

    index: int
    status: BatchItemStatus
    result: R | None = None
    error: ErrorObject | None = None


@value_class(frozen=True, slots=True)
class BatchResult(Generic[R]):
    """The result of a map or parallel, in the order of its branches. It does not raise unless you ask it to.

    Attributes:
        all: The branches that were started, in index order.
        completion_reason: Why the batch was complete.
    """

    all: list[BatchItem[R]]
    completion_reason: CompletionReason

    def __iter__(self) -> Iterator[BatchItem[R]]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def succeeded(self) -> list[BatchItem[R]]:
        """Return the branches that succeeded."""
        return self._with(BatchItemStatus.SUCCEEDED)

    def failed(self) -> list[BatchItem[R]]:
        """Return the branches that failed."""
        return self._with(BatchItemStatus.FAILED)

    def started(self) -> list[BatchItem[R]]:
        """Return the branches that had not ended when the batch was complete."""
        return self._with(BatchItemStatus.STARTED)

    def get_results(self) -> list[R]:
        """Return the results of the branches that succeeded, in index order."""
        return cast("list[R]", [item.result for item in self.succeeded()])

    def get_errors(self) -> list[ErrorObject]:
        """Return the errors of the branches that failed, in index order."""
        return [item.error or ErrorObject() for item in self.failed()]

    def throw_if_error(self) -> None:
        """Raise if the batch failed.

        Raises:
            ChildContextError: A branch failed. This is the first failure, and also an instance of the original class if
                that is imported.
            BatchError: The completion rule failed the batch, although no branch failed.
        """
        for item in self.failed():
            raise _raised(item)
        if self.completion_reason is CompletionReason.CUSTOM_COMPLETION_FAILED:
            raise BatchError(
                f"the completion rule failed the batch ({self.completion_reason}), although no branch failed"
            )

    @property
    def status(self) -> BatchItemStatus:
        """FAILED if the completion rule says so, or if any branch failed and the rule does not decide; else SUCCEEDED."""
        if self.completion_reason is CompletionReason.CUSTOM_COMPLETION_FAILED:
            return BatchItemStatus.FAILED
        if self.completion_reason is CompletionReason.CUSTOM_COMPLETION_SUCCEEDED:
            return BatchItemStatus.SUCCEEDED
        return BatchItemStatus.FAILED if self.has_failure else BatchItemStatus.SUCCEEDED

    @property
    def has_failure(self) -> bool:
        """Whether a branch failed."""
        return any(item.status is BatchItemStatus.FAILED for item in self.all)

    @property
    def total_count(self) -> int:
        """Number of branches that were started."""
        return len(self.all)

    @property
    def success_count(self) -> int:
        """Number of branches that succeeded."""
        return len(self.succeeded())

    @property
    def failure_count(self) -> int:
        """Number of branches that failed."""
        return len(self.failed())

    @property
    def started_count(self) -> int:
        """Number of branches that had not ended."""
        return len(self.started())

    def _with(self, status: BatchItemStatus) -> list[BatchItem[R]]:
        return [item for item in self.all if item.status is status]


def _raised(item: BatchItem[Any]) -> ChildContextError:
    from durable_execution.errors import make_failure

    return make_failure(ChildContextError, item.error, operation=f"branch {item.index}")


class EncodedResult(str):
    """A result that an item serializer converted to text, because the tagged format cannot represent it."""

    __slots__ = ()


def _to_fields(batch: BatchResult[Any]) -> dict[str, Any]:
    return {"all": [_item_to_fields(item) for item in batch.all], "completionReason": batch.completion_reason.value}


def _from_fields(fields: dict[str, Any]) -> BatchResult[Any]:
    return BatchResult(
        [_item_from_fields(item) for item in fields["all"]], CompletionReason(fields["completionReason"])
    )


def _item_to_fields(item: BatchItem[Any]) -> dict[str, Any]:
    fields = {
        "index": item.index,
        "status": item.status.value,
        "result": item.result,
        "error": item.error.to_wire() if item.error is not None else None,
    }
    if type(item.result) is EncodedResult:
        fields |= {"result": str(item.result), "isEncoded": True}
    return fields


def _item_from_fields(fields: dict[str, Any]) -> BatchItem[Any]:
    result = fields.get("result")
    if fields.get("isEncoded"):
        result = EncodedResult(result)
    error = ErrorObject.from_wire(fields.get("error"))
    return BatchItem(fields["index"], BatchItemStatus(fields["status"]), result, error)


tagged.register_batch(BatchResult, _to_fields, _from_fields)
