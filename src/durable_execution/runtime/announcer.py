"""Tells observers what happens, and keeps their trouble away from the execution."""

import logging
from collections.abc import Sequence
from typing import Any

from durable_execution.observers import Observer, OperationCall

logger = logging.getLogger("durable_execution")


class Announcer:
    """Calls every observer in turn; one that raises is logged once and goes on being told."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)
        self._logged: set[int] = set()

    def announce(self, hook: str, happening: Any) -> None:
        """Call the hook of every observer."""
        for observer in self._observers:
            try:
                getattr(observer, hook)(happening)
            except Exception:
                self._log_once(observer, hook)

    def trace_header(self, call: OperationCall) -> str | None:
        """The first trace header an observer offers for a chained invoke."""
        for observer in self._observers:
            try:
                header = observer.trace_header(call)
            except Exception:
                self._log_once(observer, "trace_header")
            else:
                if header is not None:
                    return header
        return None

    def _log_once(self, observer: Observer, hook: str) -> None:
        if id(observer) in self._logged:
            return
        self._logged.add(id(observer))
        logger.exception(
            "observer %s raised in %s: the execution goes on as if it had not; further errors of this observer are "
            "not logged in this invocation",
            type(observer).__name__,
            hook,
        )
