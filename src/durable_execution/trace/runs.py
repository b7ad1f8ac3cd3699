"""Replay runs: how a trace records many replayed calls in one line.

Every invocation repeats all calls before it, so one line for each of them would make a trace grow with the square of the
number of calls. Calls that are answered as before are instead recorded as runs: for each context, the first and last
position, and a digest of what the calls were. The reader takes the calls themselves from the invocation that made them, and
the digests show whether the code still makes the same ones.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from json import dumps
from typing import Any, TypeVar

from durable_execution.call_site import CallSite

T = TypeVar("T")

CUT = 64
"""Digests cover at most this many positions of a context, so that a change can be located."""

CUT_DIGITS = 6
"""Hexadecimal digits of the digest of one cut."""

Digest = Callable[[str | None, int, Sequence[str]], str]
"""Returns the digest of one cut: of the calls in a context, from a position on, by their keys."""

Identity = tuple[str, str | None, str | None, CallSite | None, str | None, str | None]
"""Type, subtype, name, call site, function and fingerprint of its code: shared by all calls from the same place."""


@dataclass(frozen=True, slots=True)
class ReplayRun:
    """Consecutive calls of one context that an invocation repeated without a change.

    Attributes:
        context_id: Prefix of the calls' ids: the enclosing context, even if that is virtual; None at the root.
        first: Position of the first call.
        last: Position of the last call.
        cuts: Digests of the calls, for every `CUT` positions, without separators.
        is_open: Whether the operations had not ended; False when they were answered from the record.
        at: Offset in seconds from the start of the invocation at which the run was complete.
    """

    context_id: str | None
    first: int
    last: int
    cuts: str = ""
    is_open: bool = False
    at: float | None = None

    @property
    def count(self) -> int:
        """The number of calls."""
        return self.last - self.first + 1

    @property
    def cut_count(self) -> int:
        """The number of digests that cover the calls; 0 if the positions are none."""
        return self.last // CUT - self.first // CUT + 1 if 0 <= self.first <= self.last else 0

    def segments(self) -> Iterator[tuple[int, int, str]]:
        """Yield the first position, the last position and the digest of each cut."""
        first = self.first
        for start in range(0, len(self.cuts), CUT_DIGITS):
            last = min(self.last, first + CUT - 1 - first % CUT)
            yield first, last, self.cuts[start : start + CUT_DIGITS]
            first = last + 1


def run_of(
    context_id: str | None, first: int, keys: Sequence[str], *, is_open: bool, digest: Digest | None = None
) -> ReplayRun:
    """Return the run of consecutive calls.

    Args:
        context_id: The context of all calls.
        first: Position of the first call.
        keys: Key of each call.
        is_open: Whether the operations had not ended.
        digest: Returns the digest of one cut; None works it out.
    """
    digests, start = [], 0
    while start < len(keys):
        position = first + start
        stop = start + CUT - position % CUT
        cut = keys[start:stop]
        digests.append(digest(context_id, position, cut) if digest is not None else digest_of_keys(cut))
        start = stop
    return ReplayRun(context_id, first, first + len(keys) - 1, "".join(digests), is_open)


def consecutive(numbered: Sequence[tuple[int, T]]) -> Iterator[Sequence[tuple[int, T]]]:
    """Split numbered items, in ascending order, where a number is missing."""
    start = 0
    for index in range(1, len(numbered) + 1):
        if index == len(numbered) or numbered[index][0] != numbered[index - 1][0] + 1:
            yield numbered[start:index]
            start = index


def digest_of_keys(keys: Iterable[str]) -> str:
    """Return the digest of one cut."""
    return blake2b("\n".join(keys).encode("utf-8", "surrogatepass"), digest_size=CUT_DIGITS // 2).hexdigest()


def key_of(operation_id: str, identity: str, configuration: str, input_digest: str | None) -> str:
    """Return what a digest covers of one call. `identity` is the digest of its `Identity`."""
    return f"{operation_id}{identity}{configuration}{input_digest or ''}"


def identity_digest(identity: Identity) -> str:
    """Return a short digest of everything that calls from the same place share."""
    type_, subtype, name, site, function, code = identity
    place = (site.file, site.line, site.function) if site is not None else None
    text = dumps((type_, subtype, name, place, function, code))
    return blake2b(text.encode(), digest_size=8).hexdigest()


def configuration_text(configuration: Mapping[str, Any] | None) -> str:
    """Return a call's arguments as text that is the same before and after it was written to a trace.

    The length of a wait with jitter is drawn again in each replay, so it is left out.
    """
    if configuration and configuration.get("has_jitter"):
        configuration = {word: value for word, value in configuration.items() if word != "wait_seconds"}
    return dumps(configuration, default=str) if configuration else ""
