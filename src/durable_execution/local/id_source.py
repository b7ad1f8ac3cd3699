"""Sources of the ids of executions, invocations and callbacks."""

import itertools
import uuid
from typing import Protocol


class IdSource(Protocol):
    """Makes ids that are unique within a store."""

    def new(self) -> str:
        """A new id in the form of a UUID."""
        ...


class RandomIds:
    """Random UUIDs."""

    def new(self) -> str:
        """A new id in the form of a UUID."""
        return str(uuid.uuid4())


class CountingIds:
    """Sequential ids, for tests that compare whole histories."""

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def new(self) -> str:
        """A new id in the form of a UUID."""
        return str(uuid.UUID(int=next(self._count)))
