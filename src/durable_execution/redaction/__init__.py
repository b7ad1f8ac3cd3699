"""Hides secrets in everything that leaves a process or reaches a screen: one implementation for every outlet.

The rules load when the first text is redacted: most invocations never need them.
"""

from functools import cache
from typing import TYPE_CHECKING

from durable_execution.lazy_names import lazy_names
from durable_execution.redaction.marker import HIDDEN

if TYPE_CHECKING:
    from durable_execution.redaction.redactor import Redaction
    from durable_execution.redaction.secret_names import secret_fields
else:
    __getattr__ = lazy_names(__name__, {"Redaction": "redactor", "secret_fields": "secret_names"})

__all__ = ["HIDDEN", "Redaction", "default_rules", "redacted", "redacted_source", "secret_fields"]


def redacted(text: str) -> str:
    """Return a text, for example an error message, with its secrets hidden by the default rules."""
    return default_rules().text(text)


def redacted_source(text: str, rules: "Redaction | None" = None) -> str:
    """Return Python source with the secrets in its literals and comments hidden. Code and line numbers stay as they are."""
    from durable_execution.redaction.source_code import without_secrets

    return without_secrets(text, rules or default_rules())


@cache
def default_rules() -> "Redaction":
    """The rules of every outlet that is not given others."""
    from durable_execution.redaction.redactor import Redaction as Rules

    return Rules()
