"""Incidents: one for every kind of failure."""

import hashlib
import traceback
from dataclasses import dataclass

from tests.replay.causes.common.timing import note, timed

SEVERE = ("KeyError", "ZeroDivisionError")


@dataclass(frozen=True)
class Incident:
    kind: str
    fingerprint: str

    @property
    def name(self) -> str:
        return f"incident_{self.kind.lower()}_{self.fingerprint}"

    @property
    def is_severe(self) -> bool:
        return self.kind in SEVERE


def fingerprint() -> str:
    """The same for the same failure in the same place."""
    text = traceback.format_exc()  # CAUSE
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def incident_of(error: Exception) -> Incident:
    """The incident of the exception that is being handled."""
    with timed("incident"):
        found = Incident(type(error).__name__, fingerprint())
    note("incident", name=found.name)
    return found
