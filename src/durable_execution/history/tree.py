"""Orders operations as a tree, with depth, position and path. Iterative, because a tree may have any depth."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from durable_execution.call_site import CallSite
from durable_execution.history.event_fold import Fold, OperationDraft
from durable_execution.history.positions import MAIN, Place, ScopePath, find_places, scope_path
from durable_execution.history.recorded import RecordedOperation
from durable_execution.protocol import OperationSubType, OperationType
from durable_execution.protocol.enums import BATCHES, BRANCHES, COMBINATORS, PATCH
from durable_execution.protocol.ids import Labels, branch_path, child_path, kind_of, root_path
from durable_execution.trace.lazy_calls import Coverage, lines_of_calls

DEFAULT_BRANCH_NAME = re.compile(r"(?:map-item|parallel-branch)-(\d{1,9})")


def build_operations(fold: Fold, *, root: str, arn: str | None, traces: Sequence[Any]) -> tuple[RecordedOperation, ...]:
    """Return all operations depth first, siblings in call order.

    Args:
        fold: State gathered from the events.
        root: Name of the root context.
        arn: The execution's ARN, which some SDKs hash into ids.
        traces: Replay traces, which know call sites and which invocation ran which call.
    """
    builder = _Builder(fold, arn, _Seen(traces))
    builder.walk(root_path(root))
    return tuple(builder.operations)


class _Seen:
    """Facts that the replay traces contain about each operation."""

    def __init__(self, traces: Sequence[Any]) -> None:
        self.sites: dict[str, CallSite] = {}
        self.bodies: dict[str, str] = {}
        self.functions: dict[str, str] = {}
        self.given: dict[str, dict[str, Any]] = {}
        self.branches: dict[str, int] = {}
        self.coverage = Coverage(traces)
        for trace in traces:
            for entry in lines_of_calls(trace.entries):
                if entry.happened == "diverged":  # a different call than the recorded one
                    continue
                if entry.call_site is not None:
                    self.sites[entry.id] = entry.call_site
                if entry.body is not None:
                    self.bodies[entry.id] = entry.body
                if entry.arguments or entry.items is not None:
                    self.given.setdefault(
                        entry.id,
                        {"of": trace.execution_arn, "arguments": dict(entry.arguments), "items": entry.items},
                    )
                if entry.function is not None:
                    self.functions[entry.id] = entry.function
                branches = entry.configuration.get("branches")
                if isinstance(branches, int):
                    self.branches.setdefault(entry.id, branches)


class _Builder:
    def __init__(self, fold: Fold, arn: str | None, seen: _Seen) -> None:
        self.fold, self.arn, self.seen = fold, arn, seen
        self.operations: list[RecordedOperation] = []
        self.places: dict[str, Place] = {}
        self.children: dict[str | None, list[OperationDraft]] = {}
        for draft in fold.drafts.values():
            parent = draft.parent_id if draft.parent_id in fold.drafts and draft.parent_id != draft.id else None
            self.children.setdefault(parent, []).append(draft)
        self.no_details: dict[str, Any] = {}  # one for all
        self.sequences: dict[Sequence[int], Sequence[int]] = {}
        self.untraced = [one.number for one in fold.invocations if one.number not in seen.coverage.invocations]

    def walk(self, root: str) -> None:
        """Build every operation. A draft is dropped as soon as its operation is built: a large history has many."""
        self._walk_from(None, root)
        while self.fold.drafts:  # reachable only from itself: its parents form a cycle
            draft = next(iter(self.fold.drafts.values()))
            self.fold.note(f"operation {draft.id[:12]} is its own ancestor; it is shown at the root")
            self._walk_from(draft, root)

    def _walk_from(self, start: OperationDraft | None, path: str) -> None:
        roots = [start] if start is not None else self.children.pop(None, [])
        stack = [self._labelled(roots, None, path, 0, len(self.fold.invocations))]
        del roots
        while stack:
            labelled = next(stack[-1], None)
            if labelled is None:
                stack.pop()
                continue
            draft, path, depth, until, is_last = labelled
            if is_last:  # else one generator for each context would stay open where contexts are nested deeply
                stack.pop()
            if self.fold.drafts.pop(draft.id, None) is None:
                continue
            self.operations.append(self._operation(draft, path, depth, until))
            children = self.children.pop(draft.id, None)
            if children:
                until = until if draft.details.get("replay_children") else min(until, draft.ended_in or until)
                stack.append(self._labelled(children, draft, path, depth + 1, until))

    def _labelled(
        self, siblings: list[OperationDraft], parent: OperationDraft | None, path: str, depth: int, until: int
    ) -> Iterator[tuple[OperationDraft, str, int, int, bool]]:
        """Yield siblings in call order, each with its path, depth and last invocation, and whether it is the last.

        It takes them from the list, and so keeps none of them.
        """
        self._find_places(siblings, parent)
        labels: dict[ScopePath, Labels] = {}
        has_scopes = any(draft.id in self.places and self.places[draft.id].scope for draft in siblings)
        paths: dict[str, str] = {parent.id: path} if parent else {}
        self._sort(siblings)
        siblings.reverse()
        index = -1
        while siblings:
            index, draft = index + 1, siblings.pop()
            place = self.places.get(draft.id)
            scope = place.scope if place else MAIN
            branch = self._branch_index(draft, place, parent, index)
            if branch is not None:
                draft.details["branch_index"] = branch
                yield draft, branch_path(path, branch), depth, until, not siblings
                continue
            if scope:
                draft.details["task_scope"] = scope
            if scope and parent is not None and parent.subtype in BATCHES:
                draft.details["flat_branch"] = scope[0].number
            label = labels.setdefault(scope, Labels()).label(kind_of(draft.type, draft.subtype), draft.name)
            own = child_path(scope_path(path, scope, paths), label)
            if has_scopes:
                paths[draft.id] = own
            yield draft, own, depth, until, not siblings

    def _find_places(self, siblings: list[OperationDraft], parent: OperationDraft | None) -> None:
        self.places |= find_places(
            [draft.id for draft in siblings if draft.subtype != PATCH],
            parent=parent.id if parent else None,
            parent_place=self.places.get(parent.id) if parent else None,
            arn=self.arn,
            is_batch=parent is not None and parent.subtype in BATCHES,
            combinators=[draft.id for draft in siblings if draft.subtype in COMBINATORS],
        )

    def _sort(self, siblings: list[OperationDraft]) -> None:
        """Sort by recovered position. Operations without one stay after the operation recorded before them."""
        latest: tuple[ScopePath, int] = (MAIN, -1)

        def order(draft: OperationDraft) -> tuple[ScopePath, int]:
            nonlocal latest
            place = self.places.get(draft.id)
            latest = place.order if place else latest
            return latest

        siblings.sort(key=order)  # which asks for the key of each, in the order recorded

    def _branch_index(
        self, draft: OperationDraft, place: Place | None, parent: OperationDraft | None, index: int
    ) -> int | None:
        if draft.type is not OperationType.CONTEXT or parent is None or (place and place.scope):
            return None
        default = DEFAULT_BRANCH_NAME.fullmatch(draft.name or "")
        if draft.subtype in BRANCHES:
            return place.position if place else int(default[1]) if default else index
        is_named_like_one = default is not None and draft.subtype != OperationSubType.RUN_IN_CHILD_CONTEXT
        return int(default[1]) if is_named_like_one and default else None

    def _operation(self, draft: OperationDraft, path: str, depth: int, until: int) -> RecordedOperation:
        return RecordedOperation(
            id=draft.id,
            parent_id=draft.parent_id,
            depth=depth,
            position=self._position(draft),
            path=path,
            type=draft.type,
            subtype=draft.subtype,
            name=draft.name,
            status=draft.status,
            started_at=draft.started_at,
            ended_at=draft.ended_at,
            input=draft.input,
            result=draft.result,
            error=draft.error,
            attempts=tuple(draft.attempts),
            call_site=self.seen.sites.get(draft.id),
            executed_by=self._shared(self._executed_by(draft)),
            replayed_by=self._shared(self._replayed_by(draft, until)),
            details=self._details(draft),
            events=tuple(draft.events),
        )

    def _shared(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return one object for all equal sequences."""
        numbers = tuple(numbers) if isinstance(numbers, list) else numbers
        return self.sequences.setdefault(numbers, numbers)

    def _details(self, draft: OperationDraft) -> dict[str, Any]:
        if draft.id in self.seen.bodies:
            draft.details["body"] = self.seen.bodies[draft.id]
        if draft.id in self.seen.functions:
            draft.details["function"] = self.seen.functions[draft.id]
        if draft.id in self.seen.given:
            draft.details["given"] = self.seen.given[draft.id]
        if draft.id in self.seen.branches:
            draft.details["branches"] = self.seen.branches[draft.id]
        return draft.details or self.no_details

    def _position(self, draft: OperationDraft) -> int | None:
        place = self.places.get(draft.id)
        if "branch_index" in draft.details:
            return int(draft.details["branch_index"])
        return place.position if place else None

    def _executed_by(self, draft: OperationDraft) -> Sequence[int]:
        coverage = self.seen.coverage
        if not coverage.invocations:
            return tuple(draft.executed_by)
        traced = coverage.executed_by(draft.id, self._trace_place(draft))
        if not traced:
            return tuple(draft.executed_by)
        return tuple(sorted({*traced, *(n for n in draft.executed_by if n not in coverage.invocations)}))

    def _replayed_by(self, draft: OperationDraft, until: int) -> Sequence[int]:
        if draft.ended_in is None:
            inferred = range(0)
        else:
            is_service = not draft.executed_by or draft.ended_in not in draft.executed_by
            inferred = range(draft.ended_in + (not is_service), until + 1)
        coverage = self.seen.coverage
        if not coverage.invocations:
            return inferred
        traced = coverage.replayed_by(draft.id, self._trace_place(draft))
        untraced = [number for number in self.untraced if number in inferred]
        return tuple(sorted({*traced, *untraced})) if untraced else traced

    def _trace_place(self, draft: OperationDraft) -> tuple[str | None, int] | None:
        """Return how a trace refers to an operation without a line of its own."""
        place = self.places.get(draft.id)
        return (draft.parent_id, place.position) if place is not None and not place.scope else None
