"""The two plainest serializers."""

import json
from typing import Any

import pytest

from durable_execution.serdes import JsonSerDes, PassThroughSerDes, SerDesContext


@pytest.mark.parametrize("value", [None, 1, "x", [1, {"a": None}], {"t": "i", "v": 2}])
def test_json_is_plain_json(value: Any) -> None:
    serializer = JsonSerDes()
    text = serializer.serialize(value, SerDesContext("1", "arn"))
    assert text == json.dumps(value)
    assert serializer.deserialize(text) == value


def test_text_passes_through() -> None:
    serializer = PassThroughSerDes()
    assert serializer.deserialize(serializer.serialize('{"untouched": 1 }')) == '{"untouched": 1 }'
