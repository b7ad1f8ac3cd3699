"""Settings of the service, from the environment."""

import os
from dataclasses import dataclass
from enum import Enum

from tests.replay.causes.common.timing import note

PREFIX = "SHOP_"


class Mode(Enum):
    STANDARD = "standard"
    STRICT = "strict"


@dataclass(frozen=True)
class Settings:
    mode: Mode
    region: str = "eu-central-1"
    retries: int = 3

    @property
    def is_strict(self) -> bool:
        return self.mode is Mode.STRICT


def read(name: str, default: str) -> str:
    """One variable."""
    return os.environ.get(PREFIX + name, default)  # CAUSE


def load() -> Settings:
    """The settings as they are now."""
    mode = Mode(read("MODE", "standard"))
    settings = Settings(mode, retries=3)
    note("settings", mode=settings.mode.value, retries=settings.retries)
    return settings
