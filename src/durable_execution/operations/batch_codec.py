"""Store a `BatchResult` in the tagged format of AWS's SDK for Python, or as a summary when it is large.

Also groups items into batches, for a map with an `item_batcher`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from durable_execution.batch_result import BatchItem, BatchResult, CompletionReason, EncodedResult
from durable_execution.config import ItemBatcherConfig
from durable_execution.config.completion import BatchItemStatus
from durable_execution.errors import ConfigurationError, SerializationError
from durable_execution.protocol import ErrorObject
from durable_execution.serdes import tagged
from durable_execution.serdes.codec import TAGGED
from durable_execution.serdes.error_texts import reason, stored
from durable_execution.serdes.interface import Codec


def batch_codec(item_codec: Callable[[int], Codec], *, is_blocking: bool = False) -> Codec:
    """Create the codec of a batch whose item i has codec `item_codec(i)`.

    A result that the tagged format restores exactly is stored as is, like in AWS's SDK for Python. Any other result is
    stored as its own codec writes it.

    Args:
        item_codec: Returns the codec of the item at an index.
        is_blocking: Whether these codecs block.
    """

    def encode(batch: BatchResult[Any]) -> str:
        items = [_encoded(item, item_codec(item.index)) for item in batch.all]
        return tagged.dumps(BatchResult(items, batch.completion_reason))

    def decode(text: str) -> BatchResult[Any]:
        try:
            batch = tagged.loads(text)
        except SerializationError as error:
            raise SerializationError(f"{stored(text)} is not a batch result: {reason(error)}") from None
        if not isinstance(batch, BatchResult):
            batch = _from_plain(batch, item_codec)
            if batch is None:
                raise SerializationError(f"{stored(text)} is not a batch result")
            return batch
        items = [_decoded(item, item_codec(item.index)) for item in batch.all]
        return BatchResult(items, batch.completion_reason)

    return Codec(encode, decode, is_blocking=is_blocking)


def _from_plain(found: Any, item_codec: Callable[[int], Codec]) -> BatchResult[Any] | None:
    """Read a batch that an SDK for a different language stored as plain JSON; return None if it is not one.

    AWS's SDK for JavaScript: `{"all": [{"index": 0, "status": "SUCCEEDED", "result": 1}], "completionReason": …}`. The Rust
    SDK uses different names for the same members, and writes errors in their wire form.
    """
    if not isinstance(found, dict):
        return None
    entries, reason = (
        found.get("all", found.get("items")),
        found.get("completionReason", found.get("completion_reason")),
    )
    try:
        items = [
            BatchItem(
                int(entry["index"]),
                BatchItemStatus(_word(entry["status"])),
                _plain_result(entry.get("result"), item_codec, int(entry["index"])),
                _plain_error(entry.get("error") or entry.get("err")),
            )
            for entry in entries or ()
        ]
        return BatchResult(items, CompletionReason(_word(str(reason))))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _plain_result(value: Any, item_codec: Callable[[int], Codec], index: int) -> Any:
    return item_codec(index).decode(json.dumps(value)) if value is not None else None


def _plain_error(error: Any) -> ErrorObject | None:
    if not isinstance(error, dict):
        return ErrorObject(str(error)) if error is not None else None
    found = ErrorObject.from_wire(error)
    if found is not None and (found.type or found.message):
        return found
    return ErrorObject(error.get("message"), error.get("errorType", error.get("name")))


def _word(word: str) -> str:
    """Convert `AllCompleted` to `ALL_COMPLETED`."""
    return word if word.isupper() else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).upper()


class Decision(NamedTuple):
    """The part of a too-large batch result that is stored: enough to rebuild it from its branches.

    Attributes:
        reason: Why the batch completed.
        started_total: Number of branches that started. Their indexes are 0 to `started_total - 1`.
        unfinished: Indexes of the branches that had not ended.
    """

    reason: CompletionReason
    started_total: int
    unfinished: frozenset[int]


def summarize(kind: str, batch: BatchResult[Any], custom: Callable[[Any], str] | None) -> str:
    """Create the text that is stored in place of a batch above 256 KiB.

    Args:
        kind: `MapResult` or `ParallelResult`.
        batch: The batch.
        custom: The user's own summary, if any.
    """
    unfinished = [item.index for item in batch.all if item.status is BatchItemStatus.STARTED]
    finished = [item.index for item in batch.all if item.status is not BatchItemStatus.STARTED]
    indexes = {"startedIndexes": unfinished} if len(unfinished) <= len(finished) else {"completedIndexes": finished}
    fields: dict[str, Any] = {
        "type": kind,
        "totalCount": batch.total_count,
        "completionReason": batch.completion_reason.value,
        **indexes,
        "startedCount": batch.started_count,
        "successCount": batch.success_count,
        "failureCount": batch.failure_count,
        "status": batch.status.value,
    }
    if custom is not None:
        fields["summary"] = str(custom(batch))
    return json.dumps(fields)


def read_decision(summary: str | None) -> Decision | None:
    """Read the decision from a stored summary; return None if it contains none."""
    try:
        fields = json.loads(summary or "")
        total = int(fields["totalCount"])
        if "startedIndexes" in fields:
            unfinished = frozenset(map(int, fields["startedIndexes"]))
        else:
            unfinished = frozenset(range(total)) - frozenset(map(int, fields["completedIndexes"]))
        return Decision(CompletionReason(fields["completionReason"]), total, unfinished)
    except (KeyError, TypeError, ValueError):
        return None


def _encoded(item: BatchItem[Any], codec: Codec) -> BatchItem[Any]:
    if codec is TAGGED or item.status is not BatchItemStatus.SUCCEEDED:
        return item
    if tagged.can_hold(item.result):
        return item
    return replace(item, result=EncodedResult(codec.encode(item.result)))


def _decoded(item: BatchItem[Any], codec: Codec) -> BatchItem[Any]:
    return replace(item, result=codec.decode(str(item.result))) if type(item.result) is EncodedResult else item


def grouped(items: Sequence[Any], config: ItemBatcherConfig) -> list[list[Any]]:
    """Group items in order. The groups depend on the items alone, so that a replay makes the same ones.

    An item above `max_bytes` is a group of its own.

    Raises:
        ConfigurationError: An item has no size in bytes, because it cannot be written as JSON.
    """
    groups: list[list[Any]] = []
    size = 0
    for index, item in enumerate(items):
        item_size = _size(item, index) if config.max_bytes is not None else 0
        is_full = not groups or (config.max_items is not None and len(groups[-1]) >= config.max_items)
        if is_full or (config.max_bytes is not None and size + item_size > config.max_bytes):
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += item_size
    return groups


def _size(item: Any, index: int) -> int:
    from durable_execution.serdes.sizes import size_in_bytes
    from durable_execution.serdes.typed import to_json  # pydantic, which other maps do not load

    try:
        return size_in_bytes(to_json(item))
    except SerializationError as error:
        raise ConfigurationError(
            f"ItemBatcherConfig(max_bytes=...) cannot measure item {index}: {error}. Use items that can be written as JSON, or "
            "max_items"
        ) from error
