"""A serializer that stores large text outside the execution and checkpoints a reference to it."""

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
    """Stores the text of an inner serializer in a directory or a bucket, and checkpoints only a reference.

    Stored text is never overwritten with different text, and its digest is checked when it is read. It is never deleted: give
    the bucket a lifecycle rule that keeps objects longer than executions are retained.

    Args:
        inner: The inner serializer; None for tagged JSON, the SDK's default.
        store: A `DirectoryStore`, an `S3Store`, or your own `PayloadStore`.
        above_bytes: Text up to this size in bytes is checkpointed directly.

    Attributes:
        is_blocking: Always True: the serializer waits for its store, so it is called in a worker thread.
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
        """The text, or a reference to it.

        Raises:
            InvocationError: The store does not respond; Lambda should retry the invocation.
            SerializationError: The store refuses the text.
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
        self._recent.add(digest, data)  # read back at once: a first run receives the same value as a replay
        return WRAPPING.wrap({"key": key, "bytes": len(data), "sha256": digest})

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        """The value of a text or of a reference.

        Raises:
            InvocationError: The store does not respond; Lambda should retry the invocation.
            SerializationError: The stored text is missing, or differs from what was stored.
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
        """Remember a stored key. A map item is serialized twice, for itself and for the map, but is stored once."""
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
                f"{self._store!r} returned different content for {key} than was stored. The object was overwritten. Restore "
                "the stored version"
            )
        return found


class Recent:
    """The most recently stored texts, up to a total size.

    Args:
        max_bytes: Maximum total size in bytes.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lock = Lock()
        self._found: dict[str, bytes] = {}

    def add(self, digest: str, data: bytes) -> None:
        """Add a text, and drop the oldest ones if the total size exceeds the maximum."""
        with self._lock:
            self._bytes += len(data) - len(self._found.pop(digest, b""))
            self._found[digest] = data
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._found.pop(next(iter(self._found))))

    def get(self, digest: str) -> bytes | None:
        """The text with a digest; None when it was dropped."""
        return self._found.get(digest)


def _key(context: SerDesContext, digest: str) -> str:
    """The key of a text: grouped by execution, and equal for equal text of an operation."""
    try:
        execution = ExecutionArn.parse(context.execution_arn).id
    except ValueError:
        execution = sha256(context.execution_arn.encode()).hexdigest()[:DIGEST_LENGTH]
    is_plain = context.operation_id.isascii() and context.operation_id.isalnum()
    operation = context.operation_id if is_plain else "value"
    return f"{execution}/{operation[:DIGEST_LENGTH]}-{digest[:DIGEST_LENGTH]}"
