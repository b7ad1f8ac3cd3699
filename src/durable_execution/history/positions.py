"""Recovers the call number of an operation from its id.

Each SDK hashes the position of the call into the id in its own way. A context has few possible positions, so they are
hashed in order until the id of every sibling is found.

| SDK | id of call n in the context P |
|---|---|
| Python (AWS's and this one) | blake2b of `P-n`, 64 hex characters; n from 1, branches from 0 |
| JavaScript (AWS's) | md5 of the unhashed places `a-b-n`, 16 hex characters; n from 1, branches too |
| Rust (third party) | blake2b of the bytes of P and n as 8 bytes, 32 hex characters; n from 0; the root's P: the ARN |

In this SDK, the operations of one context may be numbered in several task scopes: one for the context's own code, and one
for each virtual branch, virtual context, task, and awaitable of a combinator.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b, md5
from typing import NamedTuple

from durable_execution.protocol.ids import branch_id, branch_path, child_path, operation_id, task_path, task_prefix

SLACK = 16
"""How many missing positions in a row to skip: a call without a checkpoint still takes a number."""

MAX_MISSING_SCOPES = 64
MAX_MISSING_TASKS = 8
"""How many tasks in a row may have no calls of their own, besides one for each call: `asyncio.gather` makes tasks of calls."""

MAX_SCOPE_DEPTH = 3
NEAR = 2
"""How far past the last known one to look for a task or virtual context that has no calls of its own."""
MAX_SCOPES = 20_000
MAX_TRIES_EACH = 8
MIN_TRIES = 1_500
"""At run time, fewer task scopes are tried: these, and a few for each operation of the context."""


class ScopeStep(NamedTuple):
    """One step from a task scope to a scope inside it.

    Attributes:
        kind: `branch` (of the operation `of`), `context` (a virtual one) or `task`.
        number: Index of the branch from 0; number of the call or task from 1.
        of: Id of the operation that the branch belongs to.
    """

    kind: str
    number: int
    of: str | None = None


ScopePath = tuple[ScopeStep, ...]
"""Path of a task scope from the context's own code, `()`, inwards."""

MAIN: ScopePath = ()


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a call in its context.

    Attributes:
        position: Call number, from 1; of a branch its index, from 0.
        scope: The task scope that numbered it.
        unhashed: The unhashed id, for schemes that need it to find the positions inside this call.
    """

    position: int
    scope: ScopePath = MAIN
    unhashed: str | None = None

    @property
    def order(self) -> tuple[ScopePath, int]:
        """Sort key for the calls of one context: calls of its own code first, then scope by scope."""
        return self.scope, self.position


def scope_prefix(prefix: str | None, scope: ScopePath, ids: Mapping[str, str] | None = None) -> str | None:
    """Return the prefix of the ids in a task scope.

    Args:
        prefix: Prefix of the ids in the context's own code.
        scope: The task scope.
        ids: Current ids of operations with branches, by recorded id, where the two differ.
    """
    for step in scope:
        if step.kind == "task":
            prefix = task_prefix(prefix, step.number)
        elif step.kind == "context":
            prefix = operation_id(prefix, step.number)
        else:
            of = step.of or ""
            prefix = branch_id((ids or {}).get(of, of), step.number)
    return prefix


@dataclass(slots=True)
class InnerScope:
    """A task scope inside a context, with the calls that are recorded in it.

    Attributes:
        step: The step to it from the task scope around it.
        outer: Prefix of the ids in the task scope around it.
        calls: Ids of its own calls.
        inner: Prefixes of the task scopes in it.
    """

    step: ScopeStep
    outer: str | None
    calls: list[str] = field(default_factory=list)
    inner: list[str] = field(default_factory=list)


def inner_scopes(
    siblings: Collection[str], *, parent: str | None, is_batch: bool, combinators: Collection[str]
) -> dict[str | None, InnerScope]:
    """Find the task scopes of one context that have recorded calls, or contain one that has, by the prefix of their ids.

    Takes time in proportion to the siblings: in a context with many foreign operations, it may miss some.
    """
    places = find_places(
        siblings,
        parent=parent,
        parent_place=None,
        arn=None,
        is_batch=is_batch,
        combinators=combinators,
        max_scopes=MIN_TRIES + MAX_TRIES_EACH * len(siblings),
    )
    found: dict[str | None, InnerScope] = {}
    prefixes: dict[ScopePath, str | None] = {MAIN: parent}
    for id_, place in places.items():
        for depth, step in enumerate(place.scope, start=1):
            path, outer = place.scope[:depth], prefixes[place.scope[: depth - 1]]
            if path in prefixes:
                continue
            prefix = prefixes[path] = scope_prefix(outer, (step,))
            found[prefix] = InnerScope(step, outer)
            if outer in found and prefix is not None:
                found[outer].inner.append(prefix)
        if place.scope:
            found[prefixes[place.scope]].calls.append(id_)
    return found


def may_have_lost(scope: ScopePath | None) -> bool:
    """Return whether two nested scopes may be an awaitable of an undecided race: its ids look like those of two contexts."""
    return scope is not None and [step.kind for step in scope[-2:]] == ["context", "context"]


def paired_scopes(left: list[ScopePath], right: list[ScopePath]) -> list[tuple[ScopePath | None, ScopePath | None]]:
    """Pair equal scopes first, then the rest of each kind in order: their numbers shift with the calls before them."""
    equal = [scope for scope in left if scope in right]
    spare = [scope for scope in right if scope not in equal]
    pairs: list[tuple[ScopePath | None, ScopePath | None]] = []
    for scope in left:
        partner = scope if scope in equal else next((one for one in spare if one[-1].kind == scope[-1].kind), None)
        if partner is not None and partner in spare:
            spare.remove(partner)
        pairs.append((scope, partner))
    return [*pairs, *((None, scope) for scope in spare)]


def is_other_task(recorded: ScopePath | None, replayed: ScopePath | None) -> bool:
    """Whether two task scopes are tasks with different numbers of the same scope."""
    if not recorded or not replayed or recorded[:-1] != replayed[:-1]:
        return False
    return recorded[-1].kind == replayed[-1].kind == "task" and recorded[-1].number != replayed[-1].number


def scope_path(path: str, scope: ScopePath, paths: Mapping[str, str]) -> str:
    """Return the path of a task scope in the context at `path`. `paths` has the paths of operations with branches, by id."""
    for step in scope:
        if step.kind == "branch":
            path = branch_path(paths.get(step.of or "", path), step.number)
        elif step.kind == "task":
            path = task_path(path, step.number)
        else:
            path = child_path(path, f"context@{step.number}")  # its name is not recorded
    return path


def find_places(
    siblings: Collection[str],
    *,
    parent: str | None,
    parent_place: Place | None,
    arn: str | None,
    is_batch: bool,
    combinators: Collection[str] = (),
    max_scopes: int = MAX_SCOPES,
) -> dict[str, Place]:
    """Find the positions of the operations of one context, by id.

    Args:
        siblings: Ids of the operations of the context.
        parent: Id of the context; None for the root.
        parent_place: Position of the context, as found before.
        arn: The execution's ARN, where known.
        is_batch: Whether the context is a map or parallel, so that its children are branches.
        combinators: Ids of the siblings that are combinators, which run each awaitable in a task scope.
        max_scopes: How many task scopes to try.

    Returns:
        The positions that were found, without foreign ids.
    """
    schemes = {len(sibling) for sibling in siblings}
    found: dict[str, Place] = {}
    if 64 in schemes:
        found |= _search(siblings, _python(parent, is_batch=is_batch))
        if len(found) < len(siblings):
            search = _ScopeSearch(siblings, found, parent, is_batch=is_batch, combinators=combinators)
            found |= search.run(max_scopes)
    if 16 in schemes:
        found |= _search(siblings, _javascript(parent, parent_place, is_batch=is_batch))
    if 32 in schemes and (parent or arn):
        found |= _search(siblings, _rust(parent or arn or "", is_batch=is_batch))
    return found


class _ScopeSearch:
    """Searches for operations that the context's own code did not number."""

    def __init__(
        self,
        siblings: Collection[str],
        known: Mapping[str, Place],
        parent: str | None,
        *,
        is_batch: bool,
        combinators: Collection[str],
    ) -> None:
        self.wanted = {sibling for sibling in siblings if len(sibling) == 64} - known.keys()
        self.found: dict[str, Place] = {}
        self.parent, self.is_batch = parent, is_batch
        self.combinators = frozenset(combinators)
        self.scopes: list[tuple[ScopePath, str | None, list[int]]] = [(MAIN, parent, _positions(known.values()))]
        self.guesses: list[tuple[ScopePath, str | None, list[int]]] = []
        self.tried = 0

    def run(self, max_scopes: int) -> dict[str, Place]:
        while (self.scopes or self.guesses) and self.wanted and self.tried < max_scopes:
            scope, prefix, positions = (self.scopes or self.guesses).pop(0)
            if self.is_batch and scope == MAIN:
                self._try_numbers(scope, prefix, "branch", 0, MAX_MISSING_SCOPES, of=self.parent)
                continue
            for combinator in sorted(self.combinators):
                self._try_numbers(MAIN, combinator, "branch", 0, 2, of=combinator)
            self._try_numbers(scope, prefix, "task", 1, MAX_MISSING_TASKS + len(positions), near=NEAR + len(positions))
            taken = set(positions)
            last = max(taken, default=0) + MAX_MISSING_SCOPES
            for number in range(1, last):
                if number in taken or not self.wanted:
                    continue
                inner: ScopePath = (*scope, ScopeStep("context", number))
                if self._try(inner, operation_id(prefix, number)) or len(inner) >= MAX_SCOPE_DEPTH:
                    continue
                if number <= max(taken, default=0) + NEAR:  # it may contain only contexts or tasks
                    self.guesses.append((inner, operation_id(prefix, number), []))
        return self.found

    def _try_numbers(
        self,
        scope: ScopePath,
        prefix: str | None,
        kind: str,
        first: int,
        slack: int,
        *,
        of: str | None = None,
        near: int = NEAR,
    ) -> None:
        number, missed = first, 0
        while self.wanted and missed <= slack:
            step = ScopeStep(kind, number, of)
            inner = task_prefix(prefix, number) if kind == "task" else operation_id(prefix, number)
            missed = 0 if self._try((*scope, step), inner) else missed + 1
            reach = near if kind == "task" or not self.is_batch else MAX_MISSING_SCOPES
            if 0 < missed <= reach and len(scope) + 1 < MAX_SCOPE_DEPTH:
                self.guesses.append(((*scope, step), inner, []))
            number += 1

    def _try(self, scope: ScopePath, prefix: str) -> bool:
        """Search for the calls of a task scope. A scope with calls may contain further scopes."""
        self.tried += 1
        positions: list[int] = []
        position, gap = 1, 0
        while gap <= 2 and self.wanted:
            id_ = operation_id(prefix, position)
            gap = 0 if id_ in self.wanted else gap + 1
            if not gap:
                self.wanted.discard(id_)
                self.found[id_] = Place(position, scope)
                positions.append(position)
            position += 1
        if positions and len(scope) < MAX_SCOPE_DEPTH:
            self.scopes.append((scope, prefix, positions))
        return bool(positions)


def _positions(places: Collection[Place]) -> list[int]:
    return [place.position for place in places]


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
