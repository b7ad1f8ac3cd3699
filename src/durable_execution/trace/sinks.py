"""Sinks: the places that replay traces are written to."""

import hashlib
import os
import re
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from durable_execution.clock import SystemClock
from durable_execution.private_files import make_private_directory, open_private_descriptor
from durable_execution.protocol import ExecutionArn

BUDGET_SECONDS = 1.0
"""How long an invocation waits for its trace."""

LEAST_PATIENCE = 0.1
monotonic = SystemClock().monotonic
SUFFIX = ".trace.jsonl"
MAX_NAME = 180
TIMEOUT_SECONDS = 2
"""How long S3 may take to connect and to answer, in the background."""


class TraceDelayedError(Exception):
    """A trace was not stored within the budget. Its upload may still end later."""


class Uploader:
    """Runs one upload at a time.

    Args:
        budget_seconds: How long `run` waits. It is halved after each upload that takes longer, and restored by one that does not.
    """

    def __init__(self, budget_seconds: float = BUDGET_SECONDS) -> None:
        self._budget_seconds = budget_seconds
        self._patience = 1.0
        self._pending: threading.Thread | None = None

    def run(self, upload: Callable[[], object]) -> None:
        """Run an upload.

        Raises:
            TraceDelayedError: It did not end in time, or an earlier one still runs.
            Exception: The upload failed.
        """
        deadline = monotonic() + self._budget_seconds * self._patience
        if self._is_pending(deadline):
            self._give_up("an earlier trace is still being stored, so this one is dropped")
        failures: list[Exception] = []
        self._pending = threading.Thread(target=_attempt, args=(upload, failures), name="durable-trace", daemon=True)
        self._pending.start()
        if self._is_pending(deadline):
            self._give_up("it was not stored in time, and may be missing")
        self._patience = 1.0
        if failures:
            raise failures[0]

    def _is_pending(self, deadline: float) -> bool:
        if self._pending is None:
            return False
        self._pending.join(max(0.0, deadline - monotonic()))
        return self._pending.is_alive()

    def _give_up(self, what: str) -> None:
        self._patience = max(self._patience / 2, LEAST_PATIENCE)
        raise TraceDelayedError(f"{what}; an invocation waits {self._budget_seconds:g} s at most")


def _attempt(upload: Callable[[], object], failures: list[Exception]) -> None:
    try:
        upload()
    except Exception as error:  # noqa: BLE001  # raised again in the thread of the invocation
        failures.append(error)


class TraceWriter(Protocol):
    """Receives the lines of one invocation, in order."""

    def append(self, lines: str) -> None:
        """Write complete lines so that they survive the end of the process."""
        ...

    def close(self) -> None:
        """Close: the invocation has ended."""
        ...


class TraceSink(Protocol):
    """A place for replay traces. Several threads may write invocations of different executions at once."""

    def open(self, execution_arn: str, invocation: str) -> TraceWriter:
        """Open a writer for an invocation.

        Args:
            execution_arn: The execution.
            invocation: A unique name of the invocation; names sort by time.
        """
        ...


class DirectorySink:
    """Appends to one file per execution.

    Appended lines are in the operating system's hands: they survive the end of the process, but not a power failure.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def open(self, execution_arn: str, invocation: str) -> TraceWriter:
        """Open the execution's file. If a crash left an unfinished line, end that line first."""
        path = self.path_of(execution_arn)
        try:
            writer = _FileWriter(open_private_descriptor(path))
        except FileNotFoundError:
            make_private_directory(self.directory)
            writer = _FileWriter(open_private_descriptor(path))
        writer.end_line()
        return writer

    def path_of(self, execution_arn: str) -> Path:
        """Return the path of an execution's trace file."""
        return self.directory / trace_file_name(execution_arn)


class _FileWriter:
    """Writes through a descriptor: the garbage collector may end a file object before its writer, and warns that it was open."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def end_line(self) -> None:
        """End the last line, if a crash left it unfinished."""
        if os.lseek(self._descriptor, 0, os.SEEK_END):
            os.lseek(self._descriptor, -1, os.SEEK_END)
            if os.read(self._descriptor, 1) != b"\n":
                os.write(self._descriptor, b"\n")

    def append(self, lines: str) -> None:
        os.write(self._descriptor, lines.encode())

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        """Close the file of an invocation that was abandoned, such as one whose thread never ended."""
        self.close()


class MemorySink:
    """Keeps the lines of every execution in memory, for tests and for an in-memory engine.

    Attributes:
        texts: The lines written so far, by execution ARN.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def open(self, execution_arn: str, invocation: str) -> TraceWriter:
        """Start to keep lines."""
        self.texts.setdefault(execution_arn, "")
        return _MemoryWriter(self.texts, execution_arn)


class _MemoryWriter:
    def __init__(self, texts: dict[str, str], arn: str) -> None:
        self._texts, self._arn = texts, arn

    def append(self, lines: str) -> None:
        self._texts[self._arn] += lines

    def close(self) -> None:
        pass


class S3Sink:
    """Puts one object per invocation under `s3://bucket/prefix/<execution>/` when the invocation ends.

    S3 objects cannot be appended to, so a killed invocation leaves no trace here. An invocation waits for its object for a
    second at most. Needs `s3:PutObject`.

    Args:
        bucket: Name of the bucket.
        prefix: The prefix of the keys.
        client: A boto3 S3 client; by default one with short time-outs is created on first use.
        budget_seconds: How long an invocation waits.
    """

    def __init__(
        self, bucket: str, prefix: str = "", *, client: Any = None, budget_seconds: float = BUDGET_SECONDS
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        self._client = client
        self._uploader = Uploader(budget_seconds)

    def prepare(self) -> None:
        """Create the client, ahead of the first invocation."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            config = Config(
                connect_timeout=TIMEOUT_SECONDS,
                read_timeout=TIMEOUT_SECONDS,
                retries={"mode": "standard", "total_max_attempts": 2},
            )
            self._client = boto3.client("s3", config=config)

    def open(self, execution_arn: str, invocation: str) -> TraceWriter:
        """Start an object."""
        folder = trace_file_name(execution_arn).removesuffix(SUFFIX)
        return _ObjectWriter(self, "/".join(part for part in (self.prefix, folder, _safe(invocation)) if part) + SUFFIX)

    def put(self, key: str, body: bytes) -> None:
        """Put one object.

        Raises:
            TraceDelayedError: S3 does not take it within the budget.
        """
        self._uploader.run(lambda: self._put(key, body))

    def _put(self, key: str, body: bytes) -> None:
        self.prepare()
        self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/x-ndjson")


class _ObjectWriter:
    def __init__(self, sink: S3Sink, key: str) -> None:
        self._sink, self._key = sink, key
        self._lines: list[str] = []

    def append(self, lines: str) -> None:
        self._lines.append(lines)

    def close(self) -> None:
        if self._lines:
            self._sink.put(self._key, "".join(self._lines).encode())


@lru_cache(maxsize=256)
def trace_file_name(execution_arn: str) -> str:
    """Return the name of an execution's trace file: its name and id, made safe for any file system."""
    try:
        arn = ExecutionArn.parse(execution_arn)
    except ValueError:
        digest = hashlib.blake2b(execution_arn.encode("utf-8", "replace"), digest_size=8).hexdigest()
        return f"{_safe(execution_arn)[-80:]}-{digest}{SUFFIX}"
    return f"{_safe(arn.name)}-{_safe(arn.id)}{SUFFIX}"


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:MAX_NAME] or "execution"


def in_one_line(error: Exception) -> str:
    """An error's type and text, for a log."""
    return " ".join(f"{type(error).__name__}: {error}".split())
