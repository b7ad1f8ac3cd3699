"""`ctx.now`, `ctx.uuid`, `ctx.random`, `ctx.patched`: values that are the same on every replay."""

from __future__ import annotations

import random
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import UUID

from durable_execution.errors import ConfigurationError
from durable_execution.protocol.enums import PATCH
from durable_execution.runtime.call import Call

if TYPE_CHECKING:
    from durable_execution.operations.step import StepContext
    from durable_execution.runtime.scope import ContextScope

PATCH_PREFIX = "patch-"


async def read_clock(step: StepContext) -> datetime:
    """The body of the step behind `ctx.now`."""
    return step.now()


class Randomness:
    """Random numbers that are the same on every replay: the seed is the execution ARN and the context."""

    __slots__ = ("_count", "_seed", "generator")

    def __init__(self, execution_arn: str, prefix: str | None) -> None:
        self._seed = f"{execution_arn}:{prefix or ''}".encode()
        self._count = 0
        self.generator = random.Random(blake2b(self._seed, digest_size=16).digest())  # not for secrets

    def uuid(self) -> UUID:
        """Return the next UUID, in the form of version 4."""
        self._count += 1
        digest = blake2b(self._seed + b":uuid:%d" % self._count, digest_size=16).digest()
        return UUID(bytes=digest, version=4)


def patch_id(prefix: str | None, change_id: str) -> str:
    """The id of a change's marker in a context. It is outside the numbering of calls, so it shifts no other id."""
    return blake2b(f"{prefix or ''}-patch-{change_id}".encode()).hexdigest()[:64]


def is_patched(scope: ContextScope, change_id: str) -> bool:
    """Whether the code at this point runs with the change; see `DurableContext.patched`."""
    if not change_id or not change_id.isascii() or not change_id.isprintable() or len(change_id) > 200:
        raise ConfigurationError(f"change_id must be 1 to 200 printable ASCII characters, not {change_id!r:.40}")
    scope = scope.here
    known = scope.patches.get(change_id)
    if known is None:
        known = scope.patches[change_id] = _decide(scope, change_id)
    return known


def _decide(scope: ContextScope, change_id: str) -> bool:
    if scope.state.is_over:
        scope.state.check_usable(f"patched({change_id!r})")
    marker = patch_id(scope.ids.prefix, change_id)
    if marker in scope.state.operations:
        return True
    if scope.is_replaying or scope.state.is_decided:
        return False
    call = Call(scope, marker, 0, "STEP", PATCH, PATCH_PREFIX + change_id, PATCH_PREFIX + change_id)
    scope.check_open(call)
    scope.state.batcher.add(call.update("START"))
    update = call.update("SUCCEED")
    update["Payload"] = "true"
    scope.state.batcher.add(update)
    return True
