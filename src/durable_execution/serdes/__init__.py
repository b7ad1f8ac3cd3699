"""How values become the strings that are checkpointed, and values again.

Serializers can be put around each other; the innermost knows the values, the outermost decides where the text goes:

```python
OffloadedSerDes(EncryptedSerDes(CompressedSerDes(TypedSerDes(Order)), encrypt=…, decrypt=…), store=S3Store("my-bucket"))
```
"""

from typing import TYPE_CHECKING, Any

from durable_execution.serdes.interface import JsonSerDes, PassThroughSerDes, SerDes, SerDesContext
from durable_execution.serdes.tagged import TaggedSerDes

if TYPE_CHECKING:
    from durable_execution.serdes.compressed import CompressedSerDes
    from durable_execution.serdes.encrypted import EncryptedSerDes
    from durable_execution.serdes.offloaded import OffloadedSerDes
    from durable_execution.serdes.stores import DirectoryStore, PayloadStore, S3Store
    from durable_execution.serdes.typed_serdes import TypedSerDes

_HOMES = {
    "CompressedSerDes": "compressed",
    "DirectoryStore": "stores",
    "EncryptedSerDes": "encrypted",
    "OffloadedSerDes": "offloaded",
    "PayloadStore": "stores",
    "S3Store": "stores",
    "TypedSerDes": "typed_serdes",
}

__all__ = [
    "CompressedSerDes",
    "DirectoryStore",
    "EncryptedSerDes",
    "JsonSerDes",
    "OffloadedSerDes",
    "PassThroughSerDes",
    "PayloadStore",
    "S3Store",
    "SerDes",
    "SerDesContext",
    "TaggedSerDes",
    "TypedSerDes",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
