"""What `CompressedSerDes` stored, expanded so that secrets in it can be found."""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

COMPRESSED = "durable:zlib"
"""The only member of the JSON object that `CompressedSerDes` stores."""

MAX_BYTES = 4 * 1024 * 1024
"""A longer text is not expanded, and not shown either."""


def is_compressed(value: Mapping[Any, Any]) -> bool:
    """Whether a JSON object contains compressed text."""
    return len(value) == 1 and isinstance(value.get(COMPRESSED), str)


def expanded(value: Mapping[Any, Any]) -> Any:
    """Return the JSON value of a compressed text, or the text itself if it is not JSON; None if it is damaged or too long."""
    try:
        reader = zlib.decompressobj()
        data = reader.decompress(base64.b64decode(value[COMPRESSED], validate=True), MAX_BYTES)
        text = data.decode("utf-8", "surrogatepass")
    except (ValueError, zlib.error):
        return None
    if not reader.eof:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
