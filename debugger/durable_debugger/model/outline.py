"""The operation tree as flat arrays, with folding and filtering.

A row is the number of an operation in depth-first order, or `ROOT` for the execution itself. Nothing here recurses, and
drawing a row rebuilds nothing, so 100,000 operations fold as fast as 100.
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence

ROOT = -1
"""The row of the execution."""

FOLD_ABOVE = 20
"""Contexts with more children than this are folded at first."""


class Outline:
    """The visible rows of a tree.

    Args:
        depths: Depth of each operation, depth first; 0 at the root.

    Attributes:
        parents: Parent of each row; `ROOT` at the root.
        ends: One past the last descendant of each row.
        visible: Visible rows in order, `ROOT` first.
    """

    def __init__(self, depths: Sequence[int]) -> None:
        self.depths = depths
        self.parents, self.ends = _links(depths)
        self._folded = bytearray(len(depths))
        self._shown: frozenset[int] | None = None
        self._is_root_folded = False
        self.visible: list[int] = []
        self._rebuild()

    def __len__(self) -> int:
        return len(self.depths)

    def end(self, row: int) -> int:
        """One past the last descendant."""
        return len(self.depths) if row == ROOT else self.ends[row]

    def parent(self, row: int) -> int:
        """The enclosing row; the parent of `ROOT` is `ROOT`."""
        return ROOT if row == ROOT else self.parents[row]

    def has_children(self, row: int) -> bool:
        """Whether the row has descendants to fold."""
        return self.end(row) > row + 1

    def is_folded(self, row: int) -> bool:
        """Whether the descendants are hidden."""
        return self._is_root_folded if row == ROOT else bool(self._folded[row])

    def is_last(self, row: int) -> bool:
        """Whether the row is the last of its siblings."""
        return row == ROOT or self.ends[row] == self.end(self.parents[row])

    def children(self, row: int) -> Iterator[int]:
        """Direct children in call order."""
        child, end = row + 1, self.end(row)
        while child < end:
            yield child
            child = self.ends[child]

    def ancestors(self, row: int) -> Iterator[int]:
        """Enclosing rows from the inside out, without `ROOT`."""
        while row != ROOT and (row := self.parents[row]) != ROOT:
            yield row

    def index_of(self, row: int) -> int:
        """Index of a row in `visible`, or of its nearest visible ancestor when the row is hidden."""
        while True:
            index = bisect_left(self.visible, row)
            if index < len(self.visible) and self.visible[index] == row:
                return index
            if row == ROOT:
                return 0
            row = self.parents[row]

    def sibling(self, row: int, step: int) -> int:
        """The next (`step` 1) or previous (-1) row with the same parent; the row itself at either end."""
        if row == ROOT:
            return row
        if step > 0:
            following = self.ends[row]
            return following if following < self.end(self.parents[row]) else row
        before = row
        for child in self.children(self.parents[row]):
            if child == row:
                return before
            before = child
        return row

    def fold(self, row: int) -> None:
        """Hide the descendants."""
        self._set(row, folded=True)

    def unfold(self, row: int) -> None:
        """Show the children."""
        self._set(row, folded=False)

    def toggle(self, row: int) -> None:
        """Fold or unfold."""
        if self.has_children(row):
            self._set(row, folded=not self.is_folded(row))

    def fold_all(self) -> None:
        """Show only the calls of the root context."""
        self._folded = bytearray(b"\x01" * len(self.depths))
        self._is_root_folded = False
        self._rebuild()

    def unfold_all(self) -> None:
        """Show everything."""
        self._folded = bytearray(len(self.depths))
        self._is_root_folded = False
        self._rebuild()

    def fold_rows(self, rows: Collection[int]) -> None:
        """Fold several rows at once."""
        for row in rows:
            self._folded[row] = 1
        self._rebuild()

    def folded_rows(self) -> list[int]:
        """All folded rows that have descendants."""
        return [row for row, folded in enumerate(self._folded) if folded and self.has_children(row)]

    def unfold_chain(self, row: int) -> None:
        """Unfold the row and its only child, repeatedly, until a row has several children."""
        while self.has_children(row):
            self.unfold(row)
            children = list(self.children(row))
            if len(children) != 1:
                return
            row = children[0]

    def reveal(self, row: int) -> None:
        """Unfold every context that hides a row."""
        hiding = [ancestor for ancestor in self.ancestors(row) if self._folded[ancestor]]
        for ancestor in hiding:
            self._folded[ancestor] = 0
        if hiding or (self._is_root_folded and row != ROOT):
            self._is_root_folded = False
            self._rebuild()

    def filter(self, rows: Collection[int] | None) -> None:
        """Show only these rows and their ancestors; None shows all rows again."""
        if rows is None:
            self._shown = None
        else:
            shown = set(rows) - {ROOT}
            for row in tuple(shown):
                for ancestor in self.ancestors(row):
                    if ancestor in shown:
                        break
                    shown.add(ancestor)
            self._shown = frozenset(shown)
        self._rebuild()

    def crowded(self) -> list[int]:
        """Rows with more than `FOLD_ABOVE` children."""
        counts = [0] * len(self.depths)
        for parent in self.parents:
            if parent != ROOT:
                counts[parent] += 1
        return [row for row, count in enumerate(counts) if count > FOLD_ABOVE]

    def _set(self, row: int, *, folded: bool) -> None:
        if row == ROOT:
            self._is_root_folded = folded
            self._rebuild()
            return
        if bool(self._folded[row]) == folded:
            return
        self._folded[row] = folded
        index = bisect_left(self.visible, row)
        if self._shown is not None or index >= len(self.visible) or self.visible[index] != row:
            self._rebuild()
            return
        after = bisect_left(self.visible, self.ends[row], index)
        self.visible[index + 1 : after] = [] if folded else self._walk(row + 1, self.ends[row])

    def _rebuild(self) -> None:
        self.visible = [ROOT]
        if self._shown is not None:
            self.visible += sorted(self._shown)
        elif not self._is_root_folded:
            self.visible += self._walk(0, len(self.depths))

    def _walk(self, start: int, end: int) -> list[int]:
        if not any(self._folded[start:end]):
            return list(range(start, end))
        rows: list[int] = []
        row, ends, folded = start, self.ends, self._folded
        while row < end:
            rows.append(row)
            row = ends[row] if folded[row] else row + 1
        return rows


def _links(depths: Sequence[int]) -> "tuple[array[int], array[int]]":
    """Return the parents and subtree ends of a depth-first list of depths."""
    count = len(depths)
    parents, ends = array("i", [ROOT]) * count, array("i", [count]) * count
    stack: list[int] = []
    for row, depth in enumerate(depths):
        while len(stack) > depth:
            ends[stack.pop()] = row
        parents[row] = stack[-1] if stack else ROOT
        stack.append(row)
    return parents, ends
