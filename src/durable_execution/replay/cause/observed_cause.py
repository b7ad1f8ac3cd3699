"""Names the likely cause of a difference: the suspect whose value decided the branch before it.

Finds the branch in the handler's source that a nondeterministic value decides.
"""

import ast
import inspect
import linecache
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from durable_execution.call_site import CallSite
from durable_execution.comparison.wording import fix_of_cause
from durable_execution.divergence import Cause, Divergence, DivergenceKind, Evidence, readable
from durable_execution.errors import OperationError, resolve_type
from durable_execution.history.recorded import RecordedExecution
from durable_execution.lint import RULES, LintFinding, lint_sources
from durable_execution.replay.run import ReplayRun
from durable_execution.replay.source.statements import source_of
from durable_execution.replay.suspects import VARYING, Suspect, base_name

MAX_SHOWN = 5
MAX_KEPT = 8
"""How many sources are kept parsed: the recordings of one handler ask for the same few."""
UNSEEN = frozenset({"DUR104", "DUR109", "DUR110", "DUR202"})
"""Lint rules for causes that leave no trace at run time."""


def with_suspects(divergence: Divergence, suspects: Sequence[Suspect], findings: Sequence[LintFinding]) -> Divergence:
    """Return the difference with the cause that its source and the observed reads suggest.

    A search for the cause confirms or drops it; `applied` puts it into the explanation.

    Args:
        divergence: The difference.
        suspects: Sources of nondeterminism observed while the code ran.
        findings: Lint findings in its source, for causes that cannot be observed, such as the order of a set.
    """
    ranked = _ranked(divergence, [suspect for suspect in suspects if suspect.kind in VARYING])
    finding = next((one for one in findings if _precedes(one, divergence)), None)
    if finding is not None and (not ranked or divergence.kind is DivergenceKind.REORDERED):
        where = f"{base_name(finding.file)}:{finding.line}"
        seen = tuple(str(suspect) for suspect in ranked[: MAX_SHOWN - 1])
        text = f"{where} {finding.what}: {RULES[finding.rule].name}"
        cause = Cause(Evidence.POSSIBLE, finding.file, finding.line, text, RULES[finding.rule].fix, is_from_source=True)
        return replace(divergence, cause=cause, suspects=(f"{where}: {finding.what}", *seen))
    if not ranked:
        return divergence
    shown = tuple(str(suspect) for suspect in ranked[:MAX_SHOWN])
    return replace(divergence, cause=_guess(divergence, ranked), suspects=shown)


def with_lost_class(divergence: Divergence, run: ReplayRun, execution: RecordedExecution) -> Divergence:
    """Name the class of a recorded error that the code does not have any more, where the code may have caught it by class.

    Args:
        divergence: The difference.
        run: The replay of the unchanged recording.
        execution: The recording.
    """
    raised = run.collector.exception
    ended_with = raised.error_type if run.has_failed and isinstance(raised, OperationError) else None
    recorded = {one.id: one for one in execution.operations}
    for collected in reversed(run.collector.calls.values()):
        operation, site = recorded.get(collected.call.id), collected.call.call_site
        name = operation.error.type if operation is not None and operation.error is not None else None
        if name is None or site is None or "." not in name or resolve_type(name) is not None:
            continue
        if divergence.kind is DivergenceKind.OUTCOME and name != ended_with:
            continue
        if divergence.kind is not DivergenceKind.OUTCOME and not _is_caught(name, site.file):
            continue
        module, _, last = name.rpartition(".")
        text = (
            f"{_place(site)} raises the recorded error {readable(name)}, and there is no such class any more, so "
            f"`except {readable(last)}` does not catch it"
        )
        fix = f"keep `{readable(last)}` importable from `{readable(module)}` until running executions have finished"
        cause = Cause(Evidence.POSSIBLE, site.file, site.line, text, fix, is_from_source=True)
        return replace(divergence, cause=cause, fix=fix)
    return divergence


def _is_caught(name: str, file: str) -> bool:
    """Whether code in a file catches an error by a class of this name."""
    last = name.rpartition(".")[2]
    caught = (one for one in source_of(file) if isinstance(one.node, ast.ExceptHandler))
    return any(
        last in ast.unparse(one.node.type)
        for one in caught
        if isinstance(one.node, ast.ExceptHandler) and one.node.type
    )


def _guess(divergence: Divergence, ranked: Sequence[Suspect]) -> Cause | None:
    """Guess from the source alone, for reports without a search for the cause."""
    fix = fix_of_cause(divergence.kind, divergence.recorded, divergence.replayed)
    for suspect in ranked:
        text = _decided_by(divergence, suspect)
        if text is not None:
            return Cause(Evidence.POSSIBLE, suspect.site.file, suspect.site.line, text, fix)
    if divergence.kind in ("renamed", "changed_kind"):
        return None
    nearest = ranked[0]
    text = f"perhaps {nearest.what}, called outside a step at {_place(nearest.site)}"
    return Cause(Evidence.POSSIBLE, nearest.site.file, nearest.site.line, text, fix)


def findings_for(function: Callable[..., object]) -> list[LintFinding]:
    """Lint the module of a handler for causes that cannot be observed at run time."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        return []
    source = "".join(linecache.getlines(file)) if file else ""
    return list(_unseen(file, source)) if file and source else []


@lru_cache(maxsize=MAX_KEPT)
def _unseen(file: str, source: str) -> tuple[LintFinding, ...]:
    return tuple(one for one in lint_sources({file: source}) if one.rule in UNSEEN)


def _precedes(finding: LintFinding, divergence: Divergence) -> bool:
    """Whether a finding is in the function that makes the call, before the call."""
    site = divergence.replayed.call_site if divergence.replayed else None
    if site is None:
        return True
    return finding.file == site.file and finding.function == site.function and finding.line <= site.line


def _ranked(divergence: Divergence, suspects: list[Suspect]) -> list[Suspect]:
    """Rank suspects: those that decide a branch before the call first, then the most recent."""

    def rank(suspect: Suspect) -> tuple[bool, bool, int]:
        return _decided_by(divergence, suspect) is None, not _shares_function(divergence, suspect), -suspect.after

    return sorted(suspects, key=rank)


def _decided_by(divergence: Divergence, suspect: Suspect) -> str | None:
    site = divergence.replayed.call_site if divergence.replayed else None
    frame = _frame_in(site, suspect)
    if frame is None:
        return None
    source = "".join(linecache.getlines(frame.file))
    call_line = site.line if site is not None and site.file == frame.file else None
    decision = decision_on(source, value_line=frame.line, call_line=call_line)
    if decision is None:
        return None
    place = f"{base_name(frame.file)}:{decision.line}"
    return f"{place} {decision.word} on {suspect.what}, called outside a step at {_place(suspect.site)}"


def _frame_in(site: CallSite | None, suspect: Suspect) -> CallSite | None:
    """Return the suspect's frame in the function that makes the call; without a call, its outermost frame."""
    if site is None:
        return suspect.stack[-1]
    return next((frame for frame in suspect.stack if frame.file == site.file and frame.function == site.function), None)


def _shares_function(divergence: Divergence, suspect: Suspect) -> bool:
    site = divergence.replayed.call_site if divergence.replayed else None
    return site is not None and _frame_in(site, suspect) is not None


def _place(site: CallSite) -> str:
    return f"{base_name(site.file)}:{site.line}"


Branch = ast.If | ast.While | ast.For | ast.AsyncFor | ast.Match | ast.IfExp | ast.comprehension
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Decision:
    """A branch, loop or comprehension that depends on a value.

    Attributes:
        line: Line of its condition or iterable, from 1.
        word: `branches` or `iterates`.
    """

    line: int
    word: str


def decision_on(source: str, *, value_line: int, call_line: int | None) -> Decision | None:
    """Find the last branch before a call that depends on a value computed on an earlier line of the same function.

    Args:
        source: Text of the file.
        value_line: Line where the value is computed.
        call_line: Line of the durable call; None for a call that is no longer made.

    Returns:
        The branch; None when there is none, or the source cannot be parsed.
    """
    tree = _parsed(source)
    if tree is None:
        return None
    scope = _innermost(tree, value_line)
    names = _tainted(scope, value_line)
    found: Decision | None = None
    for node in _own(scope):
        condition = _condition(node)
        if condition is None or not _depends(condition, names, value_line):
            continue
        if call_line is None or condition.lineno <= call_line:
            word = "iterates" if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)) else "branches"
            if found is None or condition.lineno >= found.line:
                found = Decision(condition.lineno, word)
    return found


@lru_cache(maxsize=MAX_KEPT)
def _parsed(source: str) -> ast.Module | None:
    """Parse a source; each suspect of each difference asks for it again."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _innermost(tree: ast.Module, line: int) -> ast.AST:
    scope: ast.AST = tree
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.lineno <= line <= (node.end_lineno or 0):
            scope = node
    return scope


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield every node of a function in source order, without nested functions."""
    pending = list(ast.iter_child_nodes(scope))[::-1]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            pending.extend(list(ast.iter_child_nodes(node))[::-1])


def _tainted(scope: ast.AST, line: int) -> set[str]:
    """Names that hold the value, or a value computed from it."""
    names: set[str] = set()
    for _ in range(2):  # a loop can carry a value back to an earlier line
        for node in _own(scope):
            value = getattr(node, "value", None)
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) and isinstance(
                value, ast.AST
            ):
                if _depends(value, names, line):
                    names |= _targets(node)
            elif isinstance(node, (ast.For, ast.AsyncFor)) and _depends(node.iter, names, line):
                names |= _names(node.target)
    return names


def _targets(node: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return set().union(*map(_names, targets))


def _names(node: ast.AST) -> set[str]:
    return {found.id for found in ast.walk(node) if isinstance(found, ast.Name)}


def _depends(node: ast.AST, names: set[str], line: int) -> bool:
    first, last = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0) or 0
    return first <= line <= last or bool(_names(node) & names)


def _condition(node: ast.AST) -> ast.expr | None:
    match node:
        case ast.If() | ast.While() | ast.IfExp():
            return node.test
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            return node.iter
        case ast.Match():
            return node.subject
        case _:
            return None
