"""Puts a cause into words: what a statement depends on besides the recording, and what to write instead."""

import ast
import re
from collections.abc import Mapping, Sequence

from durable_execution.divergence import Cause, Evidence
from durable_execution.replay.cause.import_sources import ImportedFrom, Place, source_at_import, source_of_change
from durable_execution.replay.cause.shared_values import ITERATORS, called_in, makes_iterator
from durable_execution.replay.cause.sliced import Decision, Origin
from durable_execution.replay.cause.value_sources import (
    MAX_CODE_SHOWN,
    Dependence,
    Source,
    dependence_of,
)
from durable_execution.replay.source.statements import Statement
from durable_execution.replay.suspects import Suspect, SuspectKind, base_name

FIXES: Mapping[Source, str] = {
    Source.CLOCK: "read the clock in a step, or use `await ctx.now()`",
    Source.RANDOM: "draw the number in a step, or use `ctx.random()`",
    Source.UUID: "create the id in a step, or use `ctx.uuid()`",
    Source.ENVIRONMENT: "read the variable in a step, or pass its value in the payload",
    Source.FILE: "read the files in a step",
    Source.NETWORK: "make the request in a step",
    Source.PROCESS: "read it in a step: it differs between processes",
    Source.LAMBDA: "read it in a step: it differs between invocations",
    Source.ZONE: "pass a time zone: `datetime.fromtimestamp(seconds, tz=UTC)`",
    Source.LOCALE: "read the locale in a step, or pass it in the payload",
    Source.TRACEBACK: "use a name, or the exception's type and message: paths and line numbers change with every deploy",
    Source.HASH: "use a hash that is the same in every process, such as `hashlib.blake2b(text.encode()).hexdigest()`",
    Source.IDENTITY: "use a key that belongs to the value, not `id()`",
    Source.ORDER: "iterate over `sorted({what})`: the order of a set differs between processes",
    Source.COMPLETION: "use `ctx.race(...)` or `ctx.any(...)`, which record the winner",
    Source.GENERATOR: "create the generator inside the handler, or take its values in a step",
    Source.ADDRESS: "use a value of the object, or give its class a `__repr__`: its address differs between processes",
    Source.SKIPPED: "return the value from the step or context and use its result: a replay does not run the function again",
    Source.STATE: "keep `{name}` in a local variable, in a step's result or in the payload: it outlives the execution",
    Source.KEPT: "create `{name}` inside the handler: it outlives the execution",
    Source.DEFAULT: "use `{name}=None` as the default, and create the value inside the function",
    Source.IMPORT: "compute `{name}` in a step: each process that imports the module gets its own value",
    Source.OTHER: "compute the value in a step, so that every replay sees the recorded value",
}

BY_SUSPECT: Mapping[SuspectKind, Source] = {
    SuspectKind.CLOCK: Source.CLOCK,
    SuspectKind.RANDOM: Source.RANDOM,
    SuspectKind.UUID: Source.UUID,
    SuspectKind.ENVIRONMENT: Source.ENVIRONMENT,
    SuspectKind.FILE: Source.FILE,
    SuspectKind.NETWORK: Source.NETWORK,
    SuspectKind.PROCESS: Source.PROCESS,
    SuspectKind.CREDENTIALS: Source.ENVIRONMENT,
    SuspectKind.CONTEXT: Source.LAMBDA,
    SuspectKind.ORDER: Source.ORDER,
}


def cause_of(
    origin: Origin,
    decision: Decision | None,
    evidence: Evidence,
    suspects: Sequence[Suspect] = (),
    *,
    in_one_process: bool = False,
) -> Cause:
    """Put the origin of a difference into words.

    Args:
        origin: The statement that makes the difference.
        decision: The branch or call next to the parting call.
        evidence: How the origin is known.
        suspects: What was observed while the code ran; names the call in a statement.
        in_one_process: Whether two replays in one process showed it: then what its import read is the same.
    """
    dependence = _dependence(origin, suspects)
    name = (origin.kept or "").rpartition(".")[2] or "the value"
    may_be_made = not in_one_process and dependence.source in (Source.IMPORT, Source.KEPT, Source.STATE)
    made = _at_import(origin) if may_be_made else None
    file, statement = origin.file, origin.statement
    words = WORDS[dependence.source]
    if made is not None:
        (kept_in, keeper), (file, statement, what) = made
        dependence, words = Dependence(Source.IMPORT, what.what), WORDS[Source.IMPORT]
        if keeper is not statement:
            words = f"{FROM_IMPORT}, by way of {base_name(kept_in)}:{keeper.first}"
    words = words.format(what=dependence.what, name=name, code=_code(statement))
    text = f"{base_name(file)}:{statement.first} {words}{_decided(decision, file, statement.first)}"
    return Cause(evidence, file, statement.first, text, fix_of(dependence, name))


def _at_import(origin: Origin) -> tuple[Place, ImportedFrom] | None:
    """The statement that made or changed a value when its module was imported, and what that depends on."""
    if not origin.kept or origin.is_default or origin.is_skipped:
        return None
    if origin.statement.function is not None:
        return source_of_change(origin.file, origin.statement) if origin.never_ran else None
    return source_at_import(origin.file, origin.statement, origin.kept.rpartition(".")[2])


def fix_of(dependence: Dependence, name: str) -> str:
    """Say what to write instead.

    Args:
        dependence: What a statement depends on.
        name: What is kept between executions, for a value that outlives one.
    """
    return FIXES[dependence.source].format(
        name=name, what=dependence.what if _is_expression(dependence.what) else "..."
    )


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return False
    return True


def source_of(origin: Origin, suspects: Sequence[Suspect]) -> Source:
    """Return what a statement depends on."""
    return _dependence(origin, suspects).source


def is_known(origin: Origin, suspects: Sequence[Suspect]) -> bool:
    """Whether it is known what a statement depends on, and not only that it differs."""
    if origin.is_opaque:
        return _at_import(origin) is not None or makes_iterator(origin.statement)
    return _dependence(origin, suspects).source is not Source.OTHER


def _dependence(origin: Origin, suspects: Sequence[Suspect]) -> Dependence:
    statement = origin.statement
    if origin.is_default or origin.is_skipped:
        return Dependence(Source.DEFAULT if origin.is_default else Source.SKIPPED, origin.kept or "")
    if origin.is_concurrent:
        return Dependence(Source.COMPLETION, statement.text)
    seen = next((one for one in suspects if is_at(one, origin.file, statement) and one.kind in BY_SUSPECT), None)
    if seen is not None and not origin.kept:
        return Dependence(BY_SUSPECT[seen.kind], seen.what)
    found = dependence_of(statement, origin.reads, origin.file)
    if origin.kept and statement.function is not None and any(map(_EMPTY.fullmatch, origin.values or ())):
        return Dependence(Source.STATE, origin.kept)  # one replay found it empty: what is put into it matters less
    if origin.kept and (found is None or statement.function is None or found.source is Source.GENERATOR):
        if statement.function is not None:
            return Dependence(Source.STATE, origin.kept)
        return Dependence(Source.KEPT if _holds_state(statement) else Source.IMPORT, origin.kept)
    if found is None and (origin.shows_address or all(map(_ADDRESS.search, origin.values or ("",)))):
        return Dependence(Source.ADDRESS, "")
    return found or Dependence(Source.OTHER, "")


HOLDERS = frozenset(
    {*ITERATORS, "partial", "ContextVar", "list", "dict", "set", "deque", "defaultdict", "Counter",
     "OrderedDict", "WeakValueDictionary", "WeakKeyDictionary", "WeakSet"}
)  # fmt: skip
"""What makes an object that keeps what is put into it, or where it stands."""


def _holds_state(statement: Statement) -> bool:
    """Whether a statement makes an object that changes later: then its changes matter, not when it was made."""
    value = getattr(statement.node, "value", None)
    return called_in(value) in HOLDERS or isinstance(value, (ast.List, ast.Dict, ast.Set, ast.GeneratorExp))


_EMPTY = re.compile(r"\[\]|\{\}|set\(\)|\w+\((?:\[\]|\{\})?\)")
"""The text of an empty container."""

_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")


def is_at(suspect: Suspect, file: str, statement: Statement) -> bool:
    """Whether a suspect was read by a statement itself."""
    return suspect.site.file == file and statement.first <= suspect.site.line <= statement.last


WORDS: Mapping[Source, str] = {
    Source.CLOCK: "reads the clock outside a step: {what}",
    Source.RANDOM: "draws a random number outside a step: {what}",
    Source.UUID: "creates a uuid outside a step: {what}",
    Source.ENVIRONMENT: "reads the environment outside a step: {what}",
    Source.FILE: "reads files outside a step: {what}",
    Source.NETWORK: "uses the network outside a step: {what}",
    Source.PROCESS: "reads {what} outside a step",
    Source.LAMBDA: "reads {what} outside a step",
    Source.ZONE: "uses the local time zone: {what}",
    Source.LOCALE: "reads the locale: {what}",
    Source.TRACEBACK: "uses paths or line numbers of the code, which change with every deploy: {what}",
    Source.HASH: "calls {what}, which differs between processes",
    Source.IDENTITY: "calls {what}, an address that differs between processes",
    Source.ORDER: "uses the order of a set, which differs between processes: {what}",
    Source.COMPLETION: "depends on which operation completes first: {what}",
    Source.GENERATOR: "takes the next value of a generator that outlives the execution",
    Source.ADDRESS: "makes a text with the address of an object: {code}",
    Source.SKIPPED: "changes `{name}` in a function that a replay does not run again: {code}",
    Source.STATE: "changes `{name}`, which outlives the execution: {code}",
    Source.KEPT: "makes `{name}`, which keeps its contents between executions: {code}",
    Source.DEFAULT: "keeps the default value of `{name}` from earlier calls",
    Source.IMPORT: "computes `{name}` when the module is imported: {code}",
    Source.OTHER: "gives a different value in each replay: {code}",
}


FROM_IMPORT = "gives `{name}` its value when the module is imported: {what}"


def _code(statement: Statement) -> str:
    text = statement.text.partition("  #")[0]
    return f"`{text if len(text) <= MAX_CODE_SHOWN else text[: MAX_CODE_SHOWN - 1] + '…'}`"


def _decided(decision: Decision | None, file: str, line: int) -> str:
    if decision is None or (decision.file, decision.line) == (file, line):
        return ""
    word = {ast.If: "branches on it", ast.While: "loops on it", ast.Match: "branches on it"}.get(
        type(decision.statement.node)  # pyright: ignore[reportArgumentType]
    )
    word = word or ("iterates over it" if decision.statement.is_loop else "depends on it")
    return f"; {base_name(decision.file)}:{decision.line} {word}"
