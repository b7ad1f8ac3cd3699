"""Stores for large text: a directory or a bucket. boto3 is imported with the first call."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, NoReturn, Protocol

from durable_execution.errors import InvocationError, SerializationError

MISSING_CODES = frozenset({"NoSuchKey", "NoSuchBucket", "404", "NotFound"})
REFUSED_STATUSES = range(400, 500)
THROTTLED_STATUSES = frozenset({408, 429})


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
            file.parent.mkdir(parents=True, exist_ok=True)
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
        response = getattr(error, "response", None) or {}
        code = str((response.get("Error") or {}).get("Code", ""))
        status = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode")
        if code in MISSING_CODES:
            raise SerializationError(
                f"{place} does not exist: it was deleted although the execution still needs it, or the bucket name is wrong. "
                "Set the lifecycle rule of the bucket to keep objects longer than executions are retained"
            ) from error
        if status in REFUSED_STATUSES and status not in THROTTLED_STATUSES:
            raise SerializationError(
                f"S3 refuses to {verb} {place}: {error}. Grant the function's role s3:PutObject and s3:GetObject"
            ) from error
        raise InvocationError(f"S3 cannot {verb} {place} at the moment: {error}") from error


def _fail(verb: str, file: Path, error: OSError) -> NoReturn:
    if isinstance(error, FileNotFoundError):
        raise SerializationError(
            f"{file} does not exist: it was deleted although the execution still needs it, or the environments of the function "
            "do not share the directory"
        ) from error
    if isinstance(error, (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError)):
        raise SerializationError(f"{file} cannot be {verb}: {error.strerror}") from error
    raise InvocationError(f"{file} cannot be {verb} at the moment: {error}") from error
