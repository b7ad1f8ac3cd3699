"""Checks that several configurations share."""

from __future__ import annotations

import re

from durable_execution.errors import ConfigurationError
from durable_execution.protocol.enums import OperationSubType
from durable_execution.protocol.limits import MAX_SUBTYPE_LENGTH

SUBTYPE_PATTERN = rf"[A-Za-z0-9_-]{{1,{MAX_SUBTYPE_LENGTH}}}"


def check_sub_type(sub_type: str | None) -> None:
    """Refuse a word that the service would not take, or that is one of the SDK's own.

    Raises:
        ConfigurationError: It is such a word.
    """
    if sub_type is None:
        return
    if re.fullmatch(SUBTYPE_PATTERN, sub_type) is None:
        raise ConfigurationError(f"sub_type {sub_type!r} must be 1 to 32 characters of A-Z a-z 0-9 _ -")
    if sub_type in OperationSubType.__members__.values():
        raise ConfigurationError(f"sub_type {sub_type!r} is one of the SDK's own words: choose another")
