"""A serializer that stores large text outside the execution and checkpoints a reference to it.

Stores for large text: a directory or a bucket. boto3 is imported with the first call.
"""

from __future__ import annotations

import os
import tempfile
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from durable_execution.errors import InvocationError, SerializationError
from durable_execution.private_files import make_private_directory
from durable_execution.protocol import ExecutionArn
from durable_execution.serdes.error_texts import UnavailableError, reason, stored
from durable_execution.serdes.tagged import TaggedSerDes
from durable_execution.serdes.wrappers import Wrapping, to_bytes, to_text

if TYPE_CHECKING:
    from durable_execution.serdes.interface import SerDes, SerDesContext

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
            raise SerializationError(f"{stored(data)} is damaged: {type(error).__name__}: {reason(error)}") from None
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
            raise UnavailableError(
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


MISSING_CODES = frozenset({"NoSuchKey", "NoSuchBucket", "404", "NotFound"})
WRONG_REGION_CODES = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}
)
TRANSIENT_CODES = frozenset(
    {
        "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired",  # credentials that are being replaced
        "RequestTimeTooSkewed", "RequestExpired",  # a clock that is being set after the environment was frozen
        "OperationAborted", "ConditionalRequestConflict",  # a conflict with a different request
        "RequestTimeout", "RequestTimeoutException", "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded",
        "TooManyRequestsException", "BandwidthLimitExceeded",
    }
)  # fmt: skip
"""Answers with a status from 400 to 499 after which a later attempt may succeed."""

REDIRECTIONS = range(300, 400)
REFUSED_STATUSES = frozenset(range(400, 500)) - {408, 429}
INCOMPLETE_CONFIGURATION = frozenset(
    {"NoCredentialsError", "NoRegionError", "PartialCredentialsError", "ParamValidationError"}
)


class PayloadStore(Protocol):
    """Stores bytes by key. `put` is only ever called with the same bytes for the same key.

    Raise `InvocationError` for a transient error and `SerializationError` for one that a retry cannot fix.
    """

    def put(self, key: str, data: bytes) -> None:
        """Store bytes. Keys consist of letters, digits, `-` and `_`, in parts separated by `/`."""
        ...

    def get(self, key: str) -> bytes:
        """The bytes stored under a key."""
        ...


class DirectoryStore:
    """Stores each text in a file. Use it for development, or with a file system that all environments share (Amazon EFS).

    Files and new directories can be read by their owner only.

    Args:
        path: The directory; it is created on demand.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self._path)!r})"

    def put(self, key: str, data: bytes) -> None:
        """Store bytes atomically."""
        file = self._file(key)
        try:
            if file.exists():
                return
            make_private_directory(file.parent)
            descriptor, unfinished = tempfile.mkstemp(dir=file.parent)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(data)
                Path(unfinished).replace(file)
            finally:
                Path(unfinished).unlink(missing_ok=True)
        except OSError as error:
            _fail("written", file, error)

    def get(self, key: str) -> bytes:
        """The bytes stored under a key."""
        file = self._file(key)
        try:
            return file.read_bytes()
        except OSError as error:
            _fail("read", file, error)

    def _file(self, key: str) -> Path:
        file = self._path / key
        if ".." in Path(key).parts or not file.is_relative_to(self._path):
            raise SerializationError(f"the key {key!r} points outside {self._path}")
        return file


class S3Store:
    """Stores each text as an object in Amazon S3. Needs `s3:PutObject` and `s3:GetObject`.

    Args:
        bucket: Name of the bucket.
        prefix: Prefix of all keys, for example `durable/`.
        client: A boto3 S3 client; by default one is created from the environment on first use.
        put_options: Additional arguments of `put_object`: `ServerSideEncryption`, `SSEKMSKeyId`, `StorageClass` …
    """

    def __init__(
        self, bucket: str, *, prefix: str = "", client: Any = None, put_options: dict[str, Any] | None = None
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._client = client
        self._put_options = put_options or {}

    def __repr__(self) -> str:
        return f"S3Store({self._bucket!r}, prefix={self._prefix!r})"

    def put(self, key: str, data: bytes) -> None:
        """Store bytes."""
        try:
            self._s3().put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data, **self._put_options)
        except Exception as error:  # noqa: BLE001  # errors of botocore, classified by code and status
            self._fail("write", key, error)

    def get(self, key: str) -> bytes:
        """The bytes stored under a key."""
        try:
            data: bytes = self._s3().get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
        except Exception as error:  # noqa: BLE001  # errors of botocore, classified by code and status
            self._fail("read", key, error)
        return data

    def _s3(self) -> Any:
        if self._client is None:
            import boto3

            self._client = boto3.client("s3")
        return self._client

    def _fail(self, verb: str, key: str, error: Exception) -> NoReturn:
        place = f"s3://{self._bucket}/{self._prefix}{key}"
        code, status = _answer_of(error)
        if code in MISSING_CODES:
            raise UnavailableError(
                f"{place} does not exist: it was deleted although the execution still needs it, or the bucket name is wrong. "
                "Set the lifecycle rule of the bucket to keep objects longer than executions are retained"
            ) from error
        if code in WRONG_REGION_CODES or status in REDIRECTIONS:
            raise UnavailableError(
                f"S3 refuses to {verb} {place}: {error}. The bucket is in a different region. Pass S3Store a client of that region: "
                "boto3.client('s3', region_name=...)"
            ) from error
        if code not in TRANSIENT_CODES and (
            status in REFUSED_STATUSES or type(error).__name__ in INCOMPLETE_CONFIGURATION
        ):
            raise UnavailableError(
                f"S3 refuses to {verb} {place}: {error}. Grant the function's role s3:PutObject and s3:GetObject"
            ) from error
        raise InvocationError(f"S3 cannot {verb} {place} at the moment: {error}") from error


def _answer_of(error: Exception) -> tuple[str, int | None]:
    """The code and the HTTP status in an error of botocore; without an answer, an empty code and None."""
    response = getattr(error, "response", None) or {}
    code = str((response.get("Error") or {}).get("Code", ""))
    return code, (response.get("ResponseMetadata") or {}).get("HTTPStatusCode")


def _fail(verb: str, file: Path, error: OSError) -> NoReturn:
    if isinstance(error, FileNotFoundError):
        raise UnavailableError(
            f"{file} does not exist: it was deleted although the execution still needs it, or the environments of the function "
            "do not share the directory"
        ) from error
    if isinstance(error, (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError)):
        raise UnavailableError(f"{file} cannot be {verb}: {error.strerror}") from error
    raise InvocationError(f"{file} cannot be {verb} at the moment: {error}") from error
