"""The search language: plain words, and `key:value` terms.

`charge` searches names, paths, ids, errors and values. `kind:step status:failed >2s attempt:>1 div:root file:flow.py inv:2`
are conditions; `-` before a term negates it; quotes group words with blanks. A call matches when all terms match.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

from durable_debugger.model import facts
from durable_debugger.model.marks import Mark
from durable_execution.history.recorded import RecordedOperation

TERM = re.compile(r'(-?)(?:([a-z]+):)?("[^"]*"?|\S+)')
COMPARISON = re.compile(r"(>=|<=|>|<|=)?(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}


class Candidate(NamedTuple):
    """A call that a query is matched against.

    Attributes:
        operation: The operation.
        mark: Its divergence.
        text: Its name, path, id and error, case folded.
    """

    operation: RecordedOperation
    mark: Mark | None
    text: str


@dataclass(frozen=True, slots=True)
class Term:
    """One condition.

    Attributes:
        key: The property to compare; `text` for plain words, `duration` for `>2s`.
        value: The value to compare it with.
        is_negated: Whether the condition is negated.
    """

    key: str
    value: str
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed search.

    Attributes:
        text: The text as typed.
        terms: The valid conditions.
        problem: The first invalid term, with the nearest key; None when all terms are valid.
    """

    text: str
    terms: tuple[Term, ...]
    problem: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it has no conditions."""
        return not self.terms

    def accepts(self, call: "Candidate") -> bool:
        """Whether a call matches every term."""
        return all(KEYS[term.key](term.value, call) != term.is_negated for term in self.terms)


def parse(text: str) -> Query:
    """Parse a search. Never fails: an invalid term is ignored and reported in `problem`."""
    terms: list[Term] = []
    problem: str | None = None
    for minus, key, raw in TERM.findall(text):
        value = raw.strip('"')
        if key and key not in KEYS:
            problem = problem or _unknown(key)
        elif key in NUMERIC and not COMPARISON.fullmatch(value):
            problem = problem or f"{key}: needs a number, as in {key}:>1"
        elif not key and raw[0] in "<>" and COMPARISON.fullmatch(value):
            terms.append(Term("duration", value, bool(minus)))
        elif value:
            terms.append(Term(key or "text", value.casefold(), bool(minus)))
    return Query(text, tuple(terms), problem)


def matching_rows(
    query: Query, operations: Sequence[RecordedOperation], marks: Mapping[int, Mark], texts: Sequence[str]
) -> list[int]:
    """Return the rows of the operations that match a query, in order.

    Args:
        query: The query.
        operations: The operations.
        marks: Divergences by row.
        texts: `text_of` of each operation.
    """
    return [
        row
        for row, (each, text) in enumerate(zip(operations, texts, strict=True))
        if query.accepts(Candidate(each, marks.get(row), text))
    ]


def _unknown(key: str) -> str:
    near = get_close_matches(key, SHOWN_KEYS, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}:? ({key}: is not a key)"
    return f"known keys are {', '.join(f'{known}:' for known in SHOWN_KEYS)} ({key}: is not a key)"


def text_of(operation: RecordedOperation) -> str:
    """The text that plain words are searched in, in addition to values."""
    error = str(operation.error) if operation.error else ""
    return f"{facts.label(operation)}\n{operation.path}\n{operation.id}\n{error}".casefold()


def _text(value: str, call: Candidate) -> bool:
    return value in call.text or _in_value(value, call)


def _in_value(value: str, call: Candidate) -> bool:
    return any(
        payload is not None and value in payload.casefold() for payload in (call.operation.result, call.operation.input)
    )


def _in_error(value: str, operation: RecordedOperation) -> bool:
    return operation.error is not None and value in str(operation.error).casefold()


def _kind(value: str, call: Candidate) -> bool:
    words = (facts.kind(call.operation), str(call.operation.type), call.operation.subtype or "")
    return any(word.casefold().startswith(value) for word in words)


def _status(value: str, call: Candidate) -> bool:
    words = (str(call.operation.status), facts.state(call.operation).word, facts.state(call.operation).name)
    return any(word.casefold().startswith(value) for word in words)


def _div(value: str, call: Candidate) -> bool:
    mark = call.mark
    if mark is None:
        return value in ("none", "no")
    return (
        value in ("any", "yes") or value == ("root" if mark.is_root else "follow-on") or value in mark.kind.casefold()
    )


def _file(value: str, call: Candidate) -> bool:
    return (
        call.operation.call_site is not None
        and value in f"{call.operation.call_site.file}:{call.operation.call_site.line}".casefold()
    )


def _invocation(value: str, call: Candidate) -> bool:
    return any(_compare(value, number) for number in (*call.operation.executed_by, *call.operation.replayed_by))


def _compare(condition: str, found: float | None) -> bool:
    match = COMPARISON.fullmatch(condition)
    if match is None or found is None:
        return False
    wanted = float(match[2]) * UNITS.get(match[3] or "", 1.0)
    return COMPARE[match[1] or "="](found, wanted)


Accepts = Callable[[str, Candidate], bool]

KEYS: dict[str, Accepts] = {
    "text": _text,
    "kind": _kind,
    "status": _status,
    "name": lambda value, call: value in facts.label(call.operation).casefold(),
    "id": lambda value, call: call.operation.id.startswith(value),
    "path": lambda value, call: value in call.operation.path.casefold(),
    "error": lambda value, call: _in_error(value, call.operation),
    "value": _in_value,
    "attempt": lambda value, call: _compare(value, len(call.operation.attempts)),
    "div": _div,
    "file": _file,
    "inv": _invocation,
    "duration": lambda value, call: _compare(value, facts.duration(call.operation)),
}
NUMERIC = frozenset({"attempt", "inv", "duration"})
SHOWN_KEYS: Sequence[str] = [key for key in KEYS if key != "text"]
