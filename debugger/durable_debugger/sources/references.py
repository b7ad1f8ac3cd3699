"""References to an execution: an ARN, a console URL, an id, a name, or a prefix of either."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from urllib.parse import unquote

from durable_debugger.sources.found import Listed
from durable_execution.protocol.arn import PATTERN

MAX_NEAREST = 3
NEAR_ENOUGH = 0.55
ARN_LIKE = re.compile(r"arn:[^\s?#&]+")


def arn_in(text: str) -> str | None:
    """Return the execution ARN in a reference or console URL; None when there is none."""
    if PATTERN.fullmatch(text):
        return text
    decoded = unquote(unquote(text)) if "://" in text else text
    return next((found for found in ARN_LIKE.findall(decoded) if PATTERN.fullmatch(found)), None)


def matching(reference: str, executions: Sequence[Listed]) -> list[Listed]:
    """Return the executions a reference names: by ARN, id or name, or by prefix of an id or name."""
    exact = [each for each in executions if reference in (each.arn, each.id, each.name)]
    if exact:
        return exact
    return [each for each in executions if each.id.startswith(reference) or each.name.startswith(reference)]


def nearest(reference: str, executions: Sequence[Listed]) -> list[Listed]:
    """Return the executions whose id or name is similar to a reference, nearest first."""
    scored = [(max(_likeness(reference, each.name), _likeness(reference, each.id)), each) for each in executions]
    close = [pair for pair in scored if pair[0] >= NEAR_ENOUGH]
    return [each for _, each in sorted(close, key=lambda pair: -pair[0])[:MAX_NEAREST]]


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.casefold(), other.casefold()[: len(one) + 8]).ratio()
