"""JSON without blanks, as the store keeps it."""

import json
from collections.abc import Callable
from typing import Any

compact: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
"""Write a value as JSON without blanks."""
