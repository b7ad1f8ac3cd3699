"""The output of functions, as lines of JSON that name their execution."""

import json
import sys
import threading
from pathlib import Path
from typing import IO, Any

from durable_execution.clock import Clock, SystemClock
from durable_execution.errors import EngineError


class JsonLog:
    """Writes one JSON object per line.

    Args:
        path: File to append to; None for standard error.
        clock: Provides the timestamp of records without one.

    Raises:
        EngineError: The file is not writable.
    """

    def __init__(self, path: Path | None = None, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._is_own = path is not None
        self._file: IO[str] = sys.stderr if path is None else _opened(path)

    def write(self, record: dict[str, Any]) -> None:
        """Append a record, and add `timestamp` if it is missing."""
        line = json.dumps({"timestamp": self._clock.now().isoformat(), **record}, default=str)
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")
                self._file.flush()

    def write_line(self, text: str, about: dict[str, Any]) -> None:
        """Append a line that a function printed: the members of a JSON object, or other text as `message`.

        Args:
            text: The line.
            about: Members that identify the source. The line's own members take precedence.
        """
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None
        self.write({**about, **(parsed if isinstance(parsed, dict) else {"message": text})})

    def close(self) -> None:
        """Close the file, unless it is standard error."""
        with self._lock:
            if self._is_own:
                self._file.close()


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise EngineError(
            f"cannot write the log file {path}: {error.strerror}. Name a different file with --log-file."
        ) from error
