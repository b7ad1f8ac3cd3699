"""What today's source says about a difference whose cause no replay showed: the line that decides whether the call is made.

A call that its line always makes was added by an edit; a call under an `if` depends on that condition. The claims stay within
what the source shows: a name that is written on the line, a branch around the call, a loop, a closure that a replay does not run.
"""

import ast
import linecache
from collections.abc import Callable
from dataclasses import dataclass, replace

from durable_execution.call_site import CallSite
from durable_execution.comparison.wording import (
    OLD,
    change_id,
    fix_of_computed_name,
    is_generic,
    likely_of,
    place,
)
from durable_execution.divergence import Divergence, DivergenceKind, Side, readable
from durable_execution.replay.cause.origin import fix_of
from durable_execution.replay.cause.value_sources import Dependence, Source, dependence_of
from durable_execution.replay.source.placement import says
from durable_execution.replay.source.statements import Source as SourceFile
from durable_execution.replay.source.statements import Statement, parsed

Kind = DivergenceKind
MAX_CODE = 72
Text = tuple[str, str | None]
"""What is likely, and the fix; None leaves the fix of the difference."""

VAGUE = frozenset({Source.GENERATOR, Source.STATE, Source.IMPORT, Source.DEFAULT, Source.OTHER})
"""Sources that the syntax alone does not show."""

BRANCHES = (ast.If, ast.While, ast.For, ast.AsyncFor, ast.Match, ast.Try, ast.TryStar, ast.ExceptHandler)
PARTIAL = (ast.IfExp, ast.BoolOp, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)
"""Expressions whose parts may run not at all, or several times."""


def with_deciding_line(divergence: Divergence, sources: Callable[[str], SourceFile] | None = None) -> Divergence:
    """Return the difference with what today's source shows about it, in place of a guess that fits every difference.

    Args:
        divergence: A difference without a cause.
        sources: Returns the statements of a file of today's code.
    """
    if divergence.cause is not None or not (is_generic(divergence) or divergence.is_permutation):
        return divergence
    reading = _Reading(divergence, sources or fresh_source)
    found = reading.texts()
    if found is None:
        return divergence
    likely, fix = found
    return replace(divergence, kind=reading.kind, likely=likely, fix=fix or divergence.fix)


def fresh_source(file: str) -> SourceFile:
    """Return the statements of a file as it is on disk now."""
    linecache.checkcache(file)
    return parsed(file, "".join(linecache.getlines(file)))


@dataclass(frozen=True, slots=True)
class _Branch:
    """A condition or loop around a statement.

    Attributes:
        header: Its header.
        is_body: Whether the statement is in its body, not in its `else`.
    """

    header: Statement
    is_body: bool


class _Reading:
    def __init__(self, divergence: Divergence, sources: Callable[[str], SourceFile]) -> None:
        self.divergence = divergence
        self.kind = divergence.kind
        """The kind of the difference as the source shows it: a different call in the place of the recorded one was not renamed."""
        replayed, recorded = divergence.replayed, divergence.recorded
        site = (replayed.call_site if replayed else None) or (recorded.call_site if recorded else None)
        self.site = site
        self.source = sources(site.file) if site is not None else None
        self.replayed, self.recorded = replayed, recorded

    def texts(self) -> Text | None:
        """What is likely, and the fix."""
        site = self.site
        here = self.source.at(site.line) if self.source is not None and site is not None else None
        if here is None:
            return None
        match self.divergence.kind:
            case Kind.INSERTED:
                return self._inserted(here)
            case Kind.SKIPPED:
                return self._skipped(here)
            case Kind.RENAMED | Kind.CHANGED_KIND:
                return self._other_call(here)
            case Kind.REORDERED:
                return self._reordered(here)
            case Kind.CONFIGURATION:
                return self._configured(here)
            case _:
                return None

    def _inserted(self, here: Statement) -> Text | None:
        if self.replayed is None or not says(here, self.replayed):
            return None
        branch = self._branch(here)
        if (
            branch is not None
            and branch.is_body
            and (branch.header.is_loop or isinstance(branch.header.node, ast.While))
        ):
            return self._added_or_repeated(here, branch.header)
        if branch is not None:
            return self._decides(branch, f"so line {here.first} makes this call")
        if not self._always_runs(here):
            return None
        name, where = self.replayed.short_name, self._place(here.first)
        likely = f"{where} always makes this call: {name} was added to the code after the recording"
        return likely, f"make the new call only `if ctx.patched({change_id(self.replayed)}):`, {OLD}"

    def _added_or_repeated(self, here: Statement, loop: Statement) -> Text:
        """A call in a loop: it is new, or the loop goes around more often. The difference alone does not show which."""
        likely = (
            f"{self._place(here.first)} makes this call in each round of `{_code(loop)}`: it was added, or the loop runs more "
            "often than recorded"
        )
        advice = "read what the loop runs over in a step"
        found = self._varies(loop)
        if found is not None:
            likely += f"; that depends on `{found[1].what}`, called outside a step"
            advice = fix_of(found[1], found[1].what)
        return (
            likely,
            f"make the new call only `if ctx.patched({change_id(self.replayed)}):`, {OLD}; if it is not new, {advice}",
        )

    def _skipped(self, here: Statement) -> Text | None:
        if self.recorded is None or self.recorded.name is None:
            return None
        calls = [one for one in self._calls_of(self.recorded) if one is not here]
        if not calls and not self._says_anywhere(self.recorded):
            file = self._place(None)
            likely = f"{file} no longer makes this call: {self.recorded.short_name} was removed from the code after the recording"
            fix = f"make the call again, or leave it out only `if ctx.patched({change_id(self.recorded)}):`, {OLD}"
            return likely, fix
        near = [one for one in calls if one.function is here.function]
        branch = self._branch(near[0], outside=here) if len(near) == 1 else None
        if branch is None:
            return None
        return self._decides(branch, f"so line {near[0].first} does not run", is_taken=False)

    def _other_call(self, here: Statement) -> Text | None:
        """A different call stands where the recorded one was made."""
        if self.replayed is None or self.recorded is None:
            return None
        if not says(here, self.replayed):
            likely = f"{self._place(here.first)} computes which call this is: `{_code(here)}`"
            if self._is_same_function:
                likely = f"{self.divergence.likely}; {self._place(here.first)} computes the name: `{_code(here)}`"
            fix = fix_of_computed_name(self.recorded, self.replayed, is_same_function=self._is_same_function)
            return (likely, fix) if self.divergence.kind is Kind.RENAMED else None
        others = [one for one in self._calls_of(self.recorded) if one.function is here.function and one is not here]
        for other in others:
            branch = self._branch(here, outside=other)
            if branch is not None and not _shares(branch, other):
                continue
            if branch is not None:
                self.kind = Kind.SKIPPED if self.kind is Kind.RENAMED else self.kind
                return self._decides(branch, f"so line {here.first} runs in place of line {other.first}")
        if others:
            return self._added_before(here, others)
        return self._replaced(here)

    def _replaced(self, here: Statement) -> Text | None:
        """The code no longer makes the recorded call."""
        if self.replayed is None or self.recorded is None:
            return None
        if not self._always_runs(here) or self._branch(here) is not None:
            return None
        if self.divergence.kind is Kind.RENAMED and self._says_anywhere(self.recorded):
            return None
        where, name = self._place(here.first), self.replayed.short_name
        if self._is_same_function:
            fix = self.divergence.fix.partition("; if the name is computed")[0]
            return f"{where} always calls {name}: {self.divergence.likely}", fix
        was = "renamed or replaced" if self.divergence.kind is Kind.RENAMED else "replaced"
        return f"{where} always calls {name}: {self._name} was {was} in the code after the recording", None

    def _added_before(self, here: Statement, others: list[Statement]) -> Text | None:
        """The recorded call is still made, further down: the call here was not made in its place, but before it."""
        if self.replayed is None or len(others) != 1 or others[0].first < here.first:
            return None
        (other,) = others
        if set(here.loops) & set(other.loops):
            return None  # which round makes which call is not in the source
        before = f"{self._name} on line {other.first}"
        branch = self._branch(here, outside=other)
        if branch is None and not self._always_runs(here):
            return None
        self.kind = Kind.INSERTED if self.kind is Kind.RENAMED else self.kind
        if branch is not None:
            return self._decides(branch, f"so line {here.first} makes this call before {before}")
        likely = f"{self._place(here.first)} always makes this call before {before}: it was added to the code after the recording"
        return likely, f"make the new call only `if ctx.patched({change_id(self.replayed)}):`, {OLD}"

    @property
    def _is_same_function(self) -> bool:
        same = likely_of(Kind.RENAMED, self.recorded, self.replayed, is_same_function=True)
        return self.divergence.kind is Kind.RENAMED and self.divergence.likely == same

    def _reordered(self, here: Statement) -> Text | None:
        if self.replayed is None or self.recorded is None:
            return None
        if self.divergence.is_permutation:
            return self._permuted(here)
        loop = self._loop(here)
        is_same_call = says(here, self.replayed) == says(here, self.recorded)  # its name comes from what is looped over
        if loop is not None and is_same_call:
            likely = f"{self._place(loop.first)} runs in a different order: `{_code(loop)}`"
            return (
                likely,
                f"loop over a recorded or sorted order: `for … in sorted(…)`, or compute the order in a step; {self.divergence.fix}",
            )
        others = [one for one in self._calls_of(self.recorded) if one.function is here.function and one is not here]
        is_moved = len(others) == 1 and others[0].first > here.first and others[0].parents == here.parents
        if not is_moved or not says(here, self.replayed) or not self._always_runs(here):
            return None
        likely = (
            f"{self._place(here.first)} makes this call before {self.recorded.short_name} on line {others[0].first}: the two "
            "were swapped in the code after the recording"
        )
        fix = f"make the calls in the recorded order, or use the new order only `if ctx.patched({change_id(self.replayed)}):`, {OLD}"
        return likely, fix

    def _permuted(self, here: Statement) -> Text:
        """The items of a map come in a different order."""
        made = here
        for name in sorted(_arguments(here)):
            made = self._assignment(name, here) or made
        likely = f"{self._place(made.first)} gives {self._name} its items in a different order: `{_code(made)}`"
        return likely, None

    def _assignment(self, name: str, before: Statement) -> Statement | None:
        """The nearest statement above that gives a name its value."""
        found = [
            one
            for one in self.source or ()
            if one.function is before.function
            and name in one.binds
            and one.first < before.first
            and not isinstance(one.node, (ast.FunctionDef, ast.AsyncFunctionDef))
        ]
        return found[-1] if found else None

    @property
    def _name(self) -> str:
        side = self.recorded or self.replayed
        return side.short_name if side is not None else "the call"

    def _configured(self, here: Statement) -> Text | None:
        if self.replayed is None or here.function is None or not isinstance(here.node, ast.stmt):
            return None
        local = {
            one.id for one in ast.walk(here.function) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
        }
        arguments = here.function.args
        local |= {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        used = _arguments(here) & local
        if used:
            names = " and ".join(f"`{name}`" for name in sorted(used)[:3])
            return f"{self._place(here.first)} computes it from {names}: `{_code(here)}`", None
        likely = f"{self._place(here.first)} has a new value, which depends on nothing recorded: `{_code(here)}`"
        fix = f"use the new value only `if ctx.patched({change_id(self.replayed)}):`, {OLD}"
        return likely, fix

    def _decides(self, branch: _Branch, so: str, *, is_taken: bool = True) -> Text:
        header = branch.header
        where, code = self._place(header.first), _code(header)
        closure = self._closure(header)
        if header.is_loop or isinstance(header.node, ast.While):
            likely = f"{where} decides with `{code}`: it runs a different number of times than recorded"
        elif isinstance(header.node, ast.If):
            likely = f"{where} decides: `{code}` is {branch.is_body is is_taken}, {so}".replace("True", "true").replace(
                "False", "false"
            )
        else:
            likely = f"{where} decides with `{code}`, {so}"
        if closure is not None:
            name, verb, function, line = closure
            likely += (
                f"; `{name}` is {verb} inside {function} (line {line}), which does not run when its result is recorded"
            )
            return likely, f"return the value from {function}, and compute `{name}` from the recorded results"
        side = self.recorded if self.divergence.kind is Kind.SKIPPED else self.replayed
        change = change_id(side or self.recorded)
        found = self._varies(header)
        advice = "read what the condition needs in a step"
        if found is not None:
            statement, dependence = found
            at = f" on line {statement.first}" if statement is not header else ""
            likely += f"; it depends on `{dependence.what}`, called outside a step{at}"
            advice = fix_of(dependence, dependence.what)
        return likely, f"{advice}; if you changed the code, make the change only `if ctx.patched({change}):`, {OLD}"

    def _varies(self, header: Statement) -> tuple[Statement, Dependence] | None:
        """What a condition depends on that can vary: it calls it itself, or a name that it reads was made from it."""
        made = [self._assignment(name, header) for name in sorted(header.reads)]
        for one in (header, *made):
            found = dependence_of(one, {}) if one is not None else None
            if one is not None and found is not None and found.source not in VAGUE:
                return one, found
        return None

    def _closure(self, header: Statement) -> tuple[str, str, str, int] | None:
        """A name the condition reads that a nested function sets or changes: the body of a map, a child context or a step."""
        for one in self.source or ():
            function = one.function
            if function is None or function is header.function or isinstance(function, ast.Lambda):
                continue
            shared = {
                name for part in function.body for name in getattr(part, "names", ()) if isinstance(part, ast.Nonlocal)
            }
            name, verb = min(shared & one.binds & header.reads, default=None), "set"
            changed = (one.writes - one.binds) & header.reads - self._names_of(function)
            if name is None and header.function is not None and function in ast.walk(header.function):
                is_called = any(function.name in each.calls for each in self.source or ())
                name, verb = None if is_called else min(changed, default=None), "changed"
            if name is not None:
                return name, verb, function.name, one.first
        return None

    def _names_of(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
        """A function's own names: its parameters and what it assigns."""
        arguments = [one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)]
        return {*arguments, *(name for one in self.source or () if one.function is function for name in one.binds)}

    def _branch(self, statement: Statement, *, outside: Statement | None = None) -> _Branch | None:
        """The innermost `if`, loop or `match` around a statement; with `outside`, one that is not around that one's branch too."""
        for line in reversed(statement.parents):
            header = self.source.at(line) if self.source is not None else None
            if header is None or not isinstance(header.node, (ast.If, ast.While, ast.For, ast.AsyncFor, ast.Match)):
                continue
            block = _block_of(header.node, statement)
            if outside is not None and line in outside.parents and _block_of(header.node, outside) == block:
                continue
            return _Branch(header, block is not None)
        return None

    def _loop(self, statement: Statement) -> Statement | None:
        header = self.source.at(statement.loops[-1]) if self.source is not None and statement.loops else None
        return header if header is not None and header.is_loop else None

    def _always_runs(self, statement: Statement) -> bool:
        """Whether nothing in its function decides whether the statement runs, and its function is one the SDK calls."""
        if self.source is None or not self._is_entered(statement):
            return False
        headers = [self.source.at(line) for line in statement.parents]
        if any(one is None or isinstance(one.node, BRANCHES) for one in headers):
            return False
        if any(isinstance(one, PARTIAL) for part in statement.parts for one in ast.walk(part)):
            return False
        before = [one for one in self.source if one.function is statement.function and one.first < statement.first]
        return not any(one.exits for one in before)

    def _is_entered(self, statement: Statement) -> bool:
        """Whether the function is the handler, or runs as a child context: code does not call it under a condition."""
        function = statement.function
        if function is None or isinstance(function, ast.Lambda):
            return False
        if self.divergence.handler.rpartition(":")[2].rpartition(".")[2] == function.name:
            return True
        return not any(function.name in one.calls for one in self.source or ())

    def _calls_of(self, side: Side) -> list[Statement]:
        """The statements that may make a call: they await or start something, and say its name."""
        return [one for one in self.source or () if says(one, side) and one.function is not None and _is_call(one)]

    def _says_anywhere(self, side: Side) -> bool:
        return any(
            says(one, side)
            for one in self.source or ()
            if not isinstance(one.node, (ast.FunctionDef, ast.AsyncFunctionDef))
        )

    def _place(self, line: int | None) -> str:
        file = self.site.file if self.site is not None else ""
        where = place(CallSite(file, line or 0, ""))
        return where if line is not None else where.removesuffix(":0")


def _shares(branch: _Branch, other: Statement) -> bool:
    """Whether a branch has another statement in its other half."""
    return branch.header.first in other.parents


def _block_of(header: ast.If | ast.While | ast.For | ast.AsyncFor | ast.Match, statement: Statement) -> int | None:
    """Which block of an `if`, loop or `match` a statement is in: 0 for the body, the number of a case, None for `else`."""
    bodies = [case.body for case in header.cases] if isinstance(header, ast.Match) else [header.body]
    for number, body in enumerate(bodies):
        if body[0].lineno <= statement.first <= (body[-1].end_lineno or 0):
            return number
    return None


def _is_call(statement: Statement) -> bool:
    return any(isinstance(one, (ast.Await, ast.Call)) for part in statement.parts for one in ast.walk(part))


def _arguments(statement: Statement) -> set[str]:
    """The names that the arguments of the durable call read."""
    calls = [one for part in statement.parts for one in ast.walk(part) if isinstance(one, ast.Await)]
    outer = calls[0].value if calls else statement.node
    values = [*outer.args, *(one.value for one in outer.keywords)] if isinstance(outer, ast.Call) else [outer]
    return {one.id for value in values for one in ast.walk(value) if isinstance(one, ast.Name)}


def _code(statement: Statement) -> str:
    text = readable(statement.text.rstrip(":"), limit=MAX_CODE * 4)
    return text if len(text) <= MAX_CODE else f"{text[: MAX_CODE - 1]}…"
