"""How values become the strings that are checkpointed, and values again."""

from durable_execution.serdes.interface import JsonSerDes, PassThroughSerDes, SerDes, SerDesContext
from durable_execution.serdes.tagged import TaggedSerDes

__all__ = ["JsonSerDes", "PassThroughSerDes", "SerDes", "SerDesContext", "TaggedSerDes"]
