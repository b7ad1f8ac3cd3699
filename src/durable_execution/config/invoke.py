"""Options of invokes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durable_execution.config.check import FROM_TEXT, TO_TEXT, check_serdes

if TYPE_CHECKING:
    from durable_execution.serdes import SerDes


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeConfig:
    """Options of `ctx.invoke`.

    Attributes:
        payload_serdes: Serializer of the payload; default JSON.
        result_serdes: Serializer that reads the result; default JSON.
        result_type: Type of the result.
        tenant_id: Tenant to run the function for; tenant-isolated functions require it.
    """

    payload_serdes: SerDes[Any] | None = None
    result_serdes: SerDes[Any] | None = None
    result_type: Any = None
    tenant_id: str | None = None

    def __post_init__(self) -> None:
        check_serdes("payload_serdes", self.payload_serdes, TO_TEXT)
        check_serdes("result_serdes", self.result_serdes, FROM_TEXT)
