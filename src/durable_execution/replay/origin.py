"""Puts a cause into words: what a statement depends on besides the recording, and what to write instead."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from durable_execution.divergence import Cause, Evidence
from durable_execution.replay.slicing import Decision, Origin
from durable_execution.replay.statements import Statement, calls_of
from durable_execution.replay.suspects import Suspect, SuspectKind, base_name

MAX_CODE_SHOWN = 60


class Source(StrEnum):
    """What a value comes from."""

    CLOCK = "clock"
    RANDOM = "random"
    UUID = "uuid"
    ENVIRONMENT = "environment"
    FILE = "file"
    NETWORK = "network"
    PROCESS = "process"
    LAMBDA = "lambda_context"
    ZONE = "time zone"
    LOCALE = "locale"
    TRACEBACK = "traceback"
    HASH = "hash"
    IDENTITY = "identity"
    ORDER = "order"
    COMPLETION = "completion"
    GENERATOR = "generator"
    ADDRESS = "address"
    SKIPPED = "skipped"
    STATE = "state"
    KEPT = "kept"
    DEFAULT = "default"
    IMPORT = "import"
    OTHER = "other"


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

CALLS: Mapping[str, Source] = {
    **dict.fromkeys(("now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter",
                     "perf_counter_ns", "gmtime", "ctime"), Source.CLOCK),
    **dict.fromkeys(("random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "gauss",
                     "getrandbits", "randbytes", "urandom", "token_hex", "token_urlsafe", "token_bytes", "randbelow"),
                    Source.RANDOM),
    **dict.fromkeys(("uuid1", "uuid4", "uuid7"), Source.UUID),
    **dict.fromkeys(("getenv",), Source.ENVIRONMENT),
    **dict.fromkeys(("listdir", "scandir", "glob", "iglob", "rglob", "iterdir", "exists", "is_file", "is_dir", "isfile",
                     "isdir", "read_text", "read_bytes", "open", "stat", "getmtime", "getsize", "walk"), Source.FILE),
    **dict.fromkeys(("getpid", "getppid", "gethostname", "cpu_count", "get_ident", "getuser", "node"), Source.PROCESS),
    **dict.fromkeys(("fromtimestamp", "localtime", "mktime", "astimezone", "tzset", "strftime"), Source.ZONE),
    **dict.fromkeys(("getlocale", "setlocale", "getpreferredencoding", "getdefaultlocale", "localeconv", "nl_langinfo",
                     "getencoding"), Source.LOCALE),
    **dict.fromkeys(("format_exc", "format_exception", "format_tb", "format_stack", "extract_tb", "extract_stack",
                     "print_exc", "walk_tb", "walk_stack", "TracebackException", "from_exception", "extract",
                     "getframeinfo", "getsourcelines", "getsource", "findsource", "stack", "trace"), Source.TRACEBACK),
    **dict.fromkeys(("as_completed", "wait"), Source.COMPLETION),
}  # fmt: skip
OWNERS: Mapping[Source, frozenset[str]] = {
    Source.CLOCK: frozenset({"time", "datetime", "date", "dt", "timezone", "pendulum", "arrow"}),
    Source.RANDOM: frozenset({"random", "secrets", "os", "numpy", "np"}),
    Source.PROCESS: frozenset({"os", "socket", "threading", "multiprocessing", "getpass", "platform", "uuid"}),
    Source.ENVIRONMENT: frozenset({"os"}),
    Source.UUID: frozenset({"uuid"}),
    Source.LOCALE: frozenset({"locale", "sys"}),
    Source.TRACEBACK: frozenset({"traceback", "TracebackException", "StackSummary", "inspect"}),
    Source.COMPLETION: frozenset({"asyncio", "futures", "concurrent"}),
}
"""Modules and classes that the functions belong to; methods of these names of other objects are something else."""

BUILT_IN_CALLS: Mapping[str, Source] = {"hash": Source.HASH, "id": Source.IDENTITY, "next": Source.GENERATOR}

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


@dataclass(frozen=True, slots=True)
class Dependence:
    """What a statement depends on.

    Attributes:
        source: Where the value comes from.
        what: The call or name, for example `datetime.now()`.
    """

    source: Source
    what: str


def dependence_of(statement: Statement, reads: Mapping[str, str | None]) -> Dependence | None:
    """Say what a statement depends on, from its syntax and from the values that it read.

    Args:
        statement: The statement.
        reads: Values of names and paths when it ran, as texts; for what syntax does not tell.
    """
    found: Dependence | None = None
    for node in calls_of(statement):
        source = _source_of(node)
        if source is not None and (found is None or found.source in (Source.GENERATOR, Source.COMPLETION)):
            found = Dependence(source, f"{ast.unparse(node.func)}()")
    if found is None:
        found = _environment(statement) or _place_in_code(statement)
    if found is not None and found.source is not Source.GENERATOR:
        return found
    unordered = _unordered(statement, reads)
    return Dependence(Source.ORDER, unordered) if unordered is not None else found


def _source_of(call: ast.Call) -> Source | None:
    if isinstance(call.func, ast.Name):
        name = call.func.id
        source = BUILT_IN_CALLS.get(name) or CALLS.get(name)
    elif isinstance(call.func, ast.Attribute):
        name = call.func.attr
        source = CALLS.get(name)
        owner = ast.unparse(call.func.value).rpartition(".")[2]
        if source is not None and owner not in OWNERS.get(source, {owner}):
            return None
    else:
        return None
    if source is Source.ZONE and _has_zone(call, name):
        return None
    return source


def _environment(statement: Statement) -> Dependence | None:
    for path in sorted(statement.reads):
        if path.endswith("environ") or ".environ." in path:
            return Dependence(Source.ENVIRONMENT, path)
    return None


PLACES_IN_CODE = frozenset({"f_lineno", "tb_lineno", "co_firstlineno", "co_filename", "f_lasti", "tb_lasti"})
"""Attributes that say where in the code something is."""


def _place_in_code(statement: Statement) -> Dependence | None:
    found = sorted(path for path in statement.mentions if path in PLACES_IN_CODE)
    return Dependence(Source.TRACEBACK, found[0]) if found else None


def _has_zone(call: ast.Call, name: str) -> bool:
    if name == "strftime":
        return True  # a format, not a conversion
    wanted = 1 if name == "astimezone" else 2 if name == "fromtimestamp" else 99
    is_none = any(one.arg in ("tz", None) and not _is_none(one.value) for one in call.keywords)
    return is_none or (len(call.args) >= wanted and not _is_none(call.args[wanted - 1]))


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


ORDERED_BY = frozenset({"sorted", "len", "any", "all", "sum", "set", "frozenset", "Counter", "isdisjoint"})
"""Functions whose result does not depend on the order of a set."""


def _unordered(statement: Statement, reads: Mapping[str, str | None]) -> str | None:
    """Return the set whose order a statement uses; None if it uses none."""
    for part in statement.parts:
        for node, is_ordered in _with_order(part, False):
            if not is_ordered and _is_set(node, reads) and _uses_order(node, statement):
                return ast.unparse(node)[:MAX_CODE_SHOWN]
    return None


def _with_order(node: ast.AST, is_ordered: bool) -> Iterator[tuple[ast.AST, bool]]:
    yield node, is_ordered
    name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
    inside = is_ordered or name in ORDERED_BY or (name in ("min", "max") and not getattr(node, "keywords", ()))
    inside = inside or isinstance(node, (ast.Compare, ast.SetComp))
    for child in ast.iter_child_nodes(node):
        yield from _with_order(child, inside)


def _is_set(node: ast.AST, reads: Mapping[str, str | None]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.Name() | ast.Attribute():
            return _looks_like_set(reads.get(ast.unparse(node)))
        case ast.Await():
            return _is_set(node.value, reads)
        case ast.BinOp(op=ast.Sub() | ast.BitAnd() | ast.BitOr() | ast.BitXor()):
            return any(_is_set(one, reads) or _is_keys(one) for one in (node.left, node.right))
        case ast.Call(func=ast.Attribute(attr="union" | "difference" | "intersection" | "symmetric_difference")):
            return True
        case ast.Call():
            return _looks_like_set(reads.get(ast.unparse(node)))
        case _:
            return False


def _is_keys(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items")


def _looks_like_set(text: str | None) -> bool:
    if text is None:
        return False
    if text.startswith(("set(", "frozenset(")):
        return True
    try:
        return text.startswith("{") and isinstance(ast.parse(text, mode="eval").body, ast.Set)
    except SyntaxError:
        return text.startswith("{") and ": " not in text.partition(",")[0]


def _uses_order(node: ast.AST, statement: Statement) -> bool:
    """Whether a set is iterated, or one of its items is taken."""
    parents = {child: one for part in statement.parts for one in ast.walk(part) for child in ast.iter_child_nodes(one)}
    outer = parents.get(node)
    if outer is None:
        return statement.is_loop
    if isinstance(outer, ast.comprehension):
        return outer.iter is node
    if isinstance(outer, ast.Call):
        return node in outer.args
    if isinstance(outer, ast.Attribute):
        return outer.attr == "pop" and isinstance(parents.get(outer), ast.Call)
    return isinstance(outer, (ast.Starred, ast.For, ast.AsyncFor))


def cause_of(origin: Origin, decision: Decision | None, evidence: Evidence, suspects: Sequence[Suspect] = ()) -> Cause:
    """Put the origin of a difference into words.

    Args:
        origin: The statement that makes the difference.
        decision: The branch or call next to the parting call.
        evidence: How the origin is known.
        suspects: What was observed while the code ran; names the call in a statement.
    """
    dependence = _dependence(origin, suspects)
    name = (origin.kept or "").rpartition(".")[2] or "the value"
    place = f"{base_name(origin.file)}:{origin.line}"
    words = WORDS[dependence.source].format(what=dependence.what, name=name, code=_code(origin))
    text = f"{place} {words}{_decided(decision, origin)}"
    return Cause(evidence, origin.file, origin.line, text, fix_of(dependence, name))


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


def is_known(origin: Origin, suspects: Sequence[Suspect]) -> bool:
    """Whether it is known what a statement depends on, and not only that it differs."""
    return _dependence(origin, suspects).source is not Source.OTHER


def _dependence(origin: Origin, suspects: Sequence[Suspect]) -> Dependence:
    statement = origin.statement
    if origin.is_default:
        return Dependence(Source.DEFAULT, origin.kept or "")
    if origin.is_skipped:
        return Dependence(Source.SKIPPED, origin.kept or "")
    seen = next((one for one in suspects if is_at(one, origin.file, statement) and one.kind in BY_SUSPECT), None)
    if seen is not None and not origin.kept:
        return Dependence(BY_SUSPECT[seen.kind], seen.what)
    found = dependence_of(statement, origin.reads)
    if origin.kept and (found is None or statement.function is None or found.source is Source.GENERATOR):
        if statement.function is not None:
            return Dependence(Source.STATE, origin.kept)
        return Dependence(Source.KEPT if _holds_state(statement) else Source.IMPORT, origin.kept)
    if found is None and origin.values is not None and all(map(_ADDRESS.search, origin.values)):
        return Dependence(Source.ADDRESS, "")
    return found or Dependence(Source.OTHER, "")


HOLDERS = frozenset(
    {"partial", "count", "cycle", "iter", "ContextVar", "list", "dict", "set", "deque", "defaultdict", "Counter",
     "OrderedDict", "WeakValueDictionary", "WeakKeyDictionary", "WeakSet"}
)  # fmt: skip
"""What makes an object that keeps what is put into it, or where it stands."""


def _holds_state(statement: Statement) -> bool:
    """Whether a statement makes an object that changes later: then its changes matter, not when it was made."""
    value = getattr(statement.node, "value", None)
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return name in HOLDERS
    return isinstance(value, (ast.List, ast.Dict, ast.Set))


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


def _code(origin: Origin) -> str:
    text = origin.statement.text.partition("  #")[0]
    return f"`{text if len(text) <= MAX_CODE_SHOWN else text[: MAX_CODE_SHOWN - 1] + '…'}`"


def _decided(decision: Decision | None, origin: Origin) -> str:
    if decision is None or (decision.file, decision.line) == (origin.file, origin.line):
        return ""
    word = {ast.If: "branches on it", ast.While: "loops on it", ast.Match: "branches on it"}.get(
        type(decision.statement.node)  # pyright: ignore[reportArgumentType]
    )
    word = word or ("iterates over it" if decision.statement.is_loop else "depends on it")
    return f"; {base_name(decision.file)}:{decision.line} {word}"
