"""Serializers: they turn values into the strings that are checkpointed, and back.

You can nest serializers. The innermost knows the values, the outermost decides where the text is stored:

```python
OffloadedSerDes(EncryptedSerDes(CompressedSerDes(TypedSerDes(Order)), encrypt=…, decrypt=…), store=S3Store("my-bucket"))
```
"""

from typing import TYPE_CHECKING

from durable_execution.lazy_names import lazy_names
from durable_execution.serdes.interface import JsonSerDes, PassThroughSerDes, SerDes, SerDesContext
from durable_execution.serdes.tagged import TaggedSerDes

if TYPE_CHECKING:
    from durable_execution.serdes.offloaded import DirectoryStore, OffloadedSerDes, PayloadStore, S3Store
    from durable_execution.serdes.wrappers import CompressedSerDes, EncryptedSerDes, TypedSerDes
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "CompressedSerDes": "wrappers",
            "DirectoryStore": "offloaded",
            "EncryptedSerDes": "wrappers",
            "OffloadedSerDes": "offloaded",
            "PayloadStore": "offloaded",
            "S3Store": "offloaded",
            "TypedSerDes": "wrappers",
        },
    )

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
