"""Collects what handlers log and print as JSON records, in order, as a log service would."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import TextIOBase
from typing import Any

FIELDS = ("executionArn", "operationId", "parentId", "operationName", "attempt")
USER_LOGGER = "durable_execution.user"


class Records(TextIOBase):
    """A stdout whose lines become records."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []
        self._line = ""

    def write(self, text: str) -> int:
        """Take text; every full line is a record."""
        *lines, self._line = (self._line + text).split("\n")
        self.all += [record_of(line) for line in lines if line]
        return len(text)


class JsonHandler(logging.Handler):
    """Writes records of loggers as JSON lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        extra = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        line = {"level": record.levelname, "logger": record.name, "message": record.getMessage(), **extra}
        sys.stdout.write(json.dumps(line) + "\n")


@contextmanager
def captured() -> Iterator[list[dict[str, Any]]]:
    """Everything that is printed or logged meanwhile."""
    records = Records()
    handler, logger = JsonHandler(), logging.getLogger(USER_LOGGER)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with redirect_stdout(records):
            yield records.all
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def record_of(line: str) -> dict[str, Any]:
    """A line of output as a record: a JSON object, or the line as a message."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": line}
