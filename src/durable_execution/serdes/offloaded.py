"""A serializer that keeps large text elsewhere and stores where it is."""

from __future__ import annotations

from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any

from durable_execution.errors import SerializationError
from durable_execution.protocol import ExecutionArn
from durable_execution.serdes.tagged import TaggedSerDes
from durable_execution.serdes.wrapping import Wrapping, to_bytes, to_text

if TYPE_CHECKING:
    from durable_execution.serdes.interface import SerDes, SerDesContext
    from durable_execution.serdes.stores import PayloadStore

WRAPPING = Wrapping("offloaded")
DEFAULT_ABOVE_BYTES = 200 * 1024
DIGEST_LENGTH = 16
MAX_REMEMBERED = 10_000
MAX_RECENT_BYTES = 16 * 1024 * 1024


class OffloadedSerDes:
    """Keeps what another serializer writes in a directory or a bucket, and checkpoints only where it is.

    What is kept is never overwritten with something else, and is checked when it is read. It is not deleted: give the bucket a
    lifecycle rule that keeps objects longer than executions are retained.

    Args:
        inner: The serializer; None for the tagged JSON that is the default without it.
        store: A `DirectoryStore`, an `S3Store`, or a `PayloadStore` of yours.
        above_bytes: Text up to this size is checkpointed as it is.

    Attributes:
        is_blocking: That it waits for its store, so that it is called in a worker thread.
    """

    is_blocking = True

    def __init__(
        self, inner: SerDes[Any] | None, *, store: PayloadStore, above_bytes: int = DEFAULT_ABOVE_BYTES
    ) -> None:
        self._inner: SerDes[Any] = inner if inner is not None else TaggedSerDes()
        self._store = store
        self._above_bytes = above_bytes
        self._recent = Recent(MAX_RECENT_BYTES)
        self._kept: dict[str, None] = {}

    def serialize(self, value: Any, context: SerDesContext) -> str:
        """The text, or where it is kept.

        Raises:
            InvocationError: The store does not answer.
            SerializationError: The store refuses it.
        """
        text = self._inner.serialize(value, context)
        data = to_bytes(text)
        if len(data) <= self._above_bytes and not WRAPPING.is_wrapped(text):
            return text
        digest = sha256(data).hexdigest()
        key = _key(context, digest)
        if key not in self._kept:
            self._store.put(key, data)
            self._remember(key)
        self._recent.add(digest, data)  # it is read right away: a first run gets what a replay gets
        return WRAPPING.wrap({"key": key, "bytes": len(data), "sha256": digest})

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        """The value of a text, wherever it is kept.

        Raises:
            InvocationError: The store does not answer.
            SerializationError: It is not there any more, or is not what was kept.
        """
        if not WRAPPING.is_wrapped(data):
            return self._inner.deserialize(data, context)
        place = WRAPPING.unwrap(data)
        try:
            key, digest = str(place["key"]), str(place["sha256"])
        except (KeyError, TypeError) as error:
            raise SerializationError(f"stored text {data[:60]!r} is damaged: {error!r}") from None
        return self._inner.deserialize(to_text(self._fetch(key, digest)), context)

    def _remember(self, key: str) -> None:
        """An item of a map is written twice, for itself and for the map: it need not be kept twice."""
        self._kept[key] = None
        if len(self._kept) > MAX_REMEMBERED:
            self._kept.pop(next(iter(self._kept)), None)

    def _fetch(self, key: str, digest: str) -> bytes:
        recent = self._recent.get(digest)
        if recent is not None:
            return recent
        found = self._store.get(key)
        if sha256(found).hexdigest() != digest:
            raise SerializationError(
                f"what {self._store!r} keeps as {key} is not what was kept there: it was overwritten from outside"
            )
        return found


class Recent:
    """What was kept lately, up to a size.

    Args:
        max_bytes: How much of it.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lock = Lock()
        self._found: dict[str, bytes] = {}

    def add(self, digest: str, data: bytes) -> None:
        """Remember one, and forget the oldest ones for it."""
        with self._lock:
            self._bytes += len(data) - len(self._found.pop(digest, b""))
            self._found[digest] = data
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._found.pop(next(iter(self._found))))

    def get(self, digest: str) -> bytes | None:
        """One of them, if it is not forgotten."""
        return self._found.get(digest)


def _key(context: SerDesContext, digest: str) -> str:
    """Where a text is kept: beside the others of its execution, and the same text at the same place."""
    try:
        execution = ExecutionArn.parse(context.execution_arn).id
    except ValueError:
        execution = sha256(context.execution_arn.encode()).hexdigest()[:DIGEST_LENGTH]
    is_plain = context.operation_id.isascii() and context.operation_id.isalnum()
    operation = context.operation_id if is_plain else "value"
    return f"{execution}/{operation[:DIGEST_LENGTH]}-{digest[:DIGEST_LENGTH]}"
