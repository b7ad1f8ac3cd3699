"""JSON without whitespace, as the store keeps it."""

import json
from collections.abc import Callable
from typing import Any

compact: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
"""Encode a value as JSON without whitespace."""
