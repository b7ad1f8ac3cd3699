"""Which call an operation was, recovered from its id.

SDKs hash the call's place into the id, each in its own way. Within a context there are few places to try, so the
places are hashed in order and looked up until every sibling is found.

| SDK | id of call n in the context P |
|---|---|
| Python (AWS's and this one) | blake2b of `P-n`, 64 hex characters; n from 1, branches from 0 |
| JavaScript (AWS's) | md5 of the unhashed places `a-b-n`, 16 hex characters; n from 1, branches too |
| Rust (third party) | blake2b of the bytes of P and n as 8 bytes, 32 hex characters; n from 0; the root's P: the ARN |
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from hashlib import blake2b, md5

from durable_execution.protocol import operation_id

SLACK = 16
"""How many missing places in a row to look past: calls that left no checkpoint still took a number."""

MAX_MISSING_CONTEXTS = 64


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call was made.

    Attributes:
        position: Call number, from 1; of a branch its index, from 0.
        branch: Index of the flat branch that made the call; None where there is none.
        virtual: Call number of the context without checkpoints that made the call; None where there is none.
        unhashed: What the scheme needs to know about this place to find the places below it.
    """

    position: int
    branch: int | None = None
    virtual: int | None = None
    unhashed: str | None = None

    @property
    def order(self) -> tuple[int, ...]:
        """Sorts the calls checkpointed under one context."""
        outer = self.branch if self.branch is not None else self.virtual
        return (self.position,) if outer is None else (outer, self.position)


def find_places(
    siblings: Collection[str], *, parent: str | None, parent_place: Place | None, arn: str | None, is_batch: bool
) -> dict[str, Place]:
    """The places of the operations of one context, by id.

    Args:
        siblings: Ids of the operations of the context.
        parent: Id of the context; None for the root.
        parent_place: Place of the context, as found before.
        arn: The execution's ARN, where known.
        is_batch: Whether the context is a map or parallel, so that its children are branches.

    Returns:
        The places that could be found; foreign ids are left out.
    """
    schemes = {len(sibling) for sibling in siblings}
    found: dict[str, Place] = {}
    if 64 in schemes:
        found |= _search(siblings, _python(parent, is_batch=is_batch))
        if len(found) < len(siblings):
            found |= _virtual(set(siblings) - found.keys(), parent, is_batch=is_batch)
    if 16 in schemes:
        found |= _search(siblings, _javascript(parent, parent_place, is_batch=is_batch))
    if 32 in schemes and (parent or arn):
        found |= _search(siblings, _rust(parent or arn or "", is_batch=is_batch))
    return found


def _search(siblings: Collection[str], candidates: Iterator[tuple[str, Place]]) -> dict[str, Place]:
    wanted, found, missed = set(siblings), dict[str, Place](), 0
    limit = SLACK + len(wanted)
    for candidate, place in candidates:
        if candidate in wanted:
            found[candidate] = place
            missed = 0
        else:
            missed += 1
        if len(found) == len(wanted) or missed > limit:
            break
    return found


def _virtual(siblings: set[str], parent: str | None, *, is_batch: bool) -> dict[str, Place]:
    """What flat branches called: such a branch left no checkpoint, but its id prefixes the ids of its calls."""
    found: dict[str, Place] = {}
    index, missed = (0 if is_batch else 1), 0
    while len(found) < len(siblings) and missed <= MAX_MISSING_CONTEXTS:
        prefix, position, gap, before = operation_id(parent, index), 1, 0, len(found)
        while gap <= 2:
            candidate = operation_id(prefix, position)
            gap = 0 if candidate in siblings else gap + 1
            if not gap:
                found[candidate] = Place(position, branch=index) if is_batch else Place(position, virtual=index)
            position += 1
        missed = 0 if len(found) > before else missed + 1
        index += 1
    return found


def _python(parent: str | None, *, is_batch: bool) -> Iterator[tuple[str, Place]]:
    make: Callable[[int], str] = lambda n: operation_id(parent, n)  # noqa: E731
    return _numbered(make, first=0 if is_batch else 1, offset=0)


def _javascript(parent: str | None, place: Place | None, *, is_batch: bool) -> Iterator[tuple[str, Place]]:
    if parent is not None and (place is None or place.unhashed is None):
        return
    prefix = f"{place.unhashed}-" if place is not None else ""
    position = 1
    while True:
        unhashed = f"{prefix}{position}"
        digest = md5(unhashed.encode(), usedforsecurity=False).hexdigest()[:16]
        yield digest, Place(position - 1 if is_batch else position, unhashed=unhashed)
        position += 1


def _rust(parent: str, *, is_batch: bool) -> Iterator[tuple[str, Place]]:
    prefix = parent.encode()
    make: Callable[[int], str] = lambda n: blake2b(prefix + n.to_bytes(8, "little")).hexdigest()[:32]  # noqa: E731
    return _numbered(make, first=0, offset=0 if is_batch else 1)


def _numbered(make: Callable[[int], str], *, first: int, offset: int) -> Iterator[tuple[str, Place]]:
    number = first
    while True:
        yield make(number), Place(number + offset)
        number += 1
