"""Replay traces in a folder or in S3: whole, or one execution at a time.

A folder holds a file for each execution, as the local engine writes them, or a folder for each with a file for each invocation, as
Lambda functions write them to `s3://bucket/prefix` (and `aws s3 sync` copies them).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from durable_debugger.sources import aws
from durable_debugger.sources.api import listed
from durable_debugger.sources.files import last_moment
from durable_debugger.sources.found import (
    AmbiguousError,
    Listed,
    Loaded,
    LookedIn,
    UnreadableError,
    matching,
)
from durable_execution.counts import counted
from durable_execution.errors import DurableError
from durable_execution.history.reading import execution_of_traces
from durable_execution.trace import read_traces
from durable_execution.trace.schema import InvocationTrace
from durable_execution.trace.sinks import SUFFIX, trace_file_name

S3 = "s3://"
READERS = 8
"""How many objects are read at the same time."""

STATUS = {"SUCCEEDED": "SUCCEEDED", "FAILED": "FAILED"}
"""Status of an execution by the outcome of its last invocation; it is running after any other."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stored piece of an execution's trace.

    Attributes:
        key: Where it is stored.
        at: When it was last written.
        size: Its size, in bytes.
    """

    key: str
    at: datetime
    size: int


class Storage(Protocol):
    """Where traces are stored."""

    @property
    def words(self) -> str:
        """Description of the place."""
        ...

    def parts(self, folder: str | None) -> dict[str, list[Part]]:
        """The pieces of each execution, by the name of its file or folder.

        Args:
            folder: Only those of the execution with this name; None for all.
        """
        ...

    def read(self, part: Part) -> bytes:
        """Read a piece."""
        ...


class FolderStorage:
    """Traces in a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def words(self) -> str:
        """Description of the place."""
        return f"replay traces in {self._path}"

    def parts(self, folder: str | None) -> dict[str, list[Part]]:
        """The pieces of each execution."""
        found: dict[str, list[Part]] = {}
        try:
            for path in sorted(_trace_files(self._path)):
                name = path.name.removesuffix(SUFFIX) if path.parent == self._path else path.parent.name
                if folder in (None, name):
                    about = path.stat()
                    part = Part(str(path), datetime.fromtimestamp(about.st_mtime, UTC), about.st_size)
                    found.setdefault(name, []).append(part)
        except OSError as error:
            raise UnreadableError(f"cannot read {self._path}: {error.strerror or error}") from error
        if folder is None and _is_one_execution(found, self._path):
            return {self._path.name: [part for parts in found.values() for part in parts]}
        return found

    def read(self, part: Part) -> bytes:
        """Read a file."""
        try:
            return Path(part.key).read_bytes()
        except OSError as error:
            raise UnreadableError(f"cannot read {part.key}: {error.strerror or error}") from error


class BucketStorage:
    """Traces in S3. Needs `s3:ListBucket` and `s3:GetObject`.

    Args:
        url: `s3://bucket/prefix`, or `s3://bucket/prefix/execution`.
        client: Makes the S3 client on first use.
    """

    def __init__(self, url: str, client: Callable[[], Any]) -> None:
        self._bucket, _, prefix = url.removeprefix(S3).partition("/")
        self._prefix = prefix.strip("/")
        self._make, self._client = client, None

    @property
    def words(self) -> str:
        """Description of the place."""
        return f"replay traces in {S3}{self._bucket}/{self._prefix}".rstrip("/")

    def parts(self, folder: str | None) -> dict[str, list[Part]]:
        """The pieces of each execution."""
        start = "/".join(part for part in (self._prefix, folder) if part)
        found: dict[str, list[Part]] = {}
        try:
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{start}/" if start else ""
            )
            for page in pages:
                for each in page.get("Contents") or ():
                    key: str = each["Key"]
                    inner = key.removeprefix(self._prefix).lstrip("/")
                    if key.endswith(SUFFIX):
                        name = inner.rpartition("/")[0] or self._prefix.rpartition("/")[2]
                        found.setdefault(name, []).append(Part(key, each["LastModified"], each["Size"]))
        except Exception as error:  # noqa: BLE001  # explained, or raised again unchanged
            aws.explain_s3(error, self._bucket, "s3:ListBucket")
        return found

    def read(self, part: Part) -> bytes:
        """Read an object."""
        try:
            body: bytes = self._s3.get_object(Bucket=self._bucket, Key=part.key)["Body"].read()
        except Exception as error:  # noqa: BLE001  # explained, or raised again unchanged
            aws.explain_s3(error, self._bucket, "s3:GetObject")
        return body

    @property
    def _s3(self) -> Any:
        if self._client is None:
            self._client = self._make()
        return self._client


@dataclass(frozen=True, slots=True)
class StoredTraces:
    """The executions whose traces a place holds.

    Attributes:
        storage: The place.
        progress: Called with the number of pieces read so far.
    """

    storage: Storage
    progress: Callable[[int], None] | None = None

    @property
    def words(self) -> str:
        """Description of the place."""
        return self.storage.words

    def only(self, reference: str) -> Loaded:
        """Load the only execution that the place holds.

        Raises:
            AmbiguousError: It holds several.
            UnreadableError: It holds none.
        """
        found = self.storage.parts(None)
        if not found:
            raise UnreadableError(f"{self.words}: no file ends with {SUFFIX}")
        if len(found) > 1:
            raise AmbiguousError(reference, list(self.executions()))
        return self._load(next(iter(found.values())))

    def find(self, reference: str, arn: str | None) -> Loaded | LookedIn:
        """Find an execution by ARN, ID, name, or unique prefix of an ID or name."""
        if arn is not None:
            name = trace_file_name(arn).removesuffix(SUFFIX)
            parts = self.storage.parts(name).get(name)
            return self._load(parts) if parts else LookedIn(self.words, "no trace of this execution")
        stored = self.storage.parts(None)
        known = [self._brief(name, parts) for name, parts in stored.items()]
        found = matching(reference, known)
        if len(found) > 1:
            raise AmbiguousError(reference, found)
        if not found:
            return LookedIn(self.words, f"{counted(len(known), 'execution')}, none match")
        return self._load(stored[found[0].arn])

    def executions(self) -> Iterator[Listed]:
        """Yield the executions, the one written last first."""
        stored = self.storage.parts(None)
        for name in sorted(stored, key=lambda each: max(part.at for part in stored[each]), reverse=True):
            yield self._described(name, stored[name])

    def traces(self, arn: str) -> Sequence[InvocationTrace]:
        """The traces of an execution; empty if there are none."""
        name = trace_file_name(arn).removesuffix(SUFFIX)
        parts = self.storage.parts(name).get(name)
        return self._read(parts) if parts else ()

    def _load(self, parts: Sequence[Part]) -> Loaded:
        try:
            execution = execution_of_traces(self._read(parts))
        except DurableError as error:
            raise UnreadableError(f"{parts[0].key} holds no replay trace: {error}") from error
        return Loaded(execution, self.words, last_moment(execution), title=Path(parts[0].key).name.removesuffix(SUFFIX))

    def _read(self, parts: Sequence[Part]) -> tuple[InvocationTrace, ...]:
        """Read the pieces in the order of their names, which is the order of the invocations."""
        texts: list[str] = []
        ordered = sorted(parts, key=lambda part: part.key)
        with ThreadPoolExecutor(max_workers=READERS) as readers:
            for text in readers.map(self.storage.read, ordered):
                texts.append(text.decode("utf-8", "replace").rstrip("\n"))
                if self.progress is not None:
                    self.progress(len(texts))
        return read_traces("\n".join(texts))

    def _brief(self, name: str, parts: Sequence[Part]) -> Listed:
        """An execution as far as the name of its file or folder tells: `<name>-<id>`."""
        split = len(name) - 36
        has_id = split > 1 and name[split - 1] == "-"
        return Listed(
            arn=name,
            name=name[: split - 1] if has_id else name,
            id=name[split:] if has_id else name,
            function="",
            status="",
            started_at=min(part.at for part in parts),
            ended_at=None,
            place=self.words,
        )

    def _described(self, name: str, parts: Sequence[Part]) -> Listed:
        """An execution as its first and last lines tell."""
        ordered = sorted(parts, key=lambda part: part.key)
        try:
            first = _lines(self.storage.read(ordered[0]))
            last = first if len(ordered) == 1 else _lines(self.storage.read(ordered[-1]))
            header, end = json.loads(first[0]), json.loads(last[-1])
            wire = {
                "DurableExecutionArn": header["execution_arn"],
                "Status": STATUS.get(str(end.get("outcome")), "RUNNING"),
                "StartTimestamp": header.get("started_at"),
                "EndTimestamp": end.get("ended_at") if end.get("outcome") in STATUS else None,
            }
            return listed(wire, self.words)
        except (ValueError, LookupError, TypeError, AttributeError):  # not a trace: shown by its name
            return self._brief(name, parts)


def _lines(text: bytes) -> list[bytes]:
    return text.strip().splitlines()


def _is_one_execution(found: dict[str, list[Part]], path: Path) -> bool:
    """Whether the files of a folder are the invocations of one execution: they all have its ARN."""
    if len(found) < 2 or any(len(parts) != 1 for parts in found.values()):
        return False
    arns = set()
    for parts in found.values():
        try:
            with Path(parts[0].key).open("rb") as file:
                arns.add(json.loads(file.readline()).get("execution_arn"))
        except (OSError, ValueError, AttributeError):
            return False
        if len(arns) > 1 or trace_file_name(str(next(iter(arns)))) != path.name + SUFFIX:
            return False
    return True


def stored_traces(
    reference: str,
    *,
    region: str | None = None,
    profile: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> StoredTraces:
    """The traces at a place.

    Args:
        reference: A folder, or `s3://bucket/prefix`.
        region: Region of the bucket; None for the environment's.
        profile: AWS profile; None for the environment's.
        progress: Called with the number of pieces read so far.

    Raises:
        UnreadableError: The folder does not exist, or the URL has no bucket.
    """
    if not reference.startswith(S3):
        if not Path(reference).is_dir():
            raise UnreadableError(
                f"{reference} is not a folder: name a folder with replay traces, or s3://bucket/prefix"
            )
        return StoredTraces(FolderStorage(Path(reference)), progress)
    if not reference.removeprefix(S3).strip("/"):
        raise UnreadableError(f"{reference} has no bucket: write s3://bucket/prefix")

    return StoredTraces(BucketStorage(reference, lambda: aws.s3_client(region, profile)), progress)


def _trace_files(folder: Path) -> Iterator[Path]:
    """The replay traces in a folder and in the folders in it."""
    yield from folder.glob(f"*{SUFFIX}")
    yield from folder.glob(f"*/*{SUFFIX}")


def is_trace_place(reference: str) -> bool:
    """Whether a reference names a place with traces: a folder that has any, or an address in S3."""
    if reference.startswith(S3):
        return True
    try:
        return any(_trace_files(Path(reference)))
    except (OSError, ValueError):
        return False
