"""What a value comes from besides the recording: the clock, a random number, the order of a set.

`dependence_of` tells it of one statement.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from durable_execution.replay.cause.shared_values import called_in
from durable_execution.replay.source.statement_names import access_path
from durable_execution.replay.source.statements import Statement, calls_of, imported, imported_name, source_of
from durable_execution.replay.source.text_making import made_into_text, shows_order

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


CALLS: Mapping[str, Source] = {
    **dict.fromkeys(("now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter",
                     "perf_counter_ns", "process_time", "process_time_ns", "thread_time", "thread_time_ns",
                     "clock_gettime", "clock_gettime_ns", "gmtime", "ctime"), Source.CLOCK),
    **dict.fromkeys(("random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "gauss",
                     "getrandbits", "randbytes", "urandom", "token_hex", "token_urlsafe", "token_bytes", "randbelow"),
                    Source.RANDOM),
    **dict.fromkeys(("uuid1", "uuid4", "uuid7"), Source.UUID),
    **dict.fromkeys(("getenv",), Source.ENVIRONMENT),
    **dict.fromkeys(("listdir", "scandir", "glob", "iglob", "rglob", "iterdir", "exists", "is_file", "is_dir", "isfile",
                     "isdir", "read_text", "read_bytes", "open", "stat", "getmtime", "getsize", "walk"), Source.FILE),
    **dict.fromkeys(("getpid", "getppid", "gethostname", "cpu_count", "get_ident", "getuser", "node", "getcwd", "getlogin",
                     "getfqdn", "get_native_id", "current_thread", "active_count", "current_process", "platform", "machine",
                     "release", "uname", "python_version", "getrefcount", "getsizeof", "gettempdir", "mktemp", "mkdtemp",
                     "mkstemp", "NamedTemporaryFile", "TemporaryDirectory"), Source.PROCESS),
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
    Source.PROCESS: frozenset(
        {"os", "socket", "threading", "multiprocessing", "getpass", "platform", "uuid", "sys", "tempfile", "mp"}
    ),
    Source.ENVIRONMENT: frozenset({"os"}),
    Source.UUID: frozenset({"uuid"}),
    Source.LOCALE: frozenset({"locale", "sys"}),
    Source.TRACEBACK: frozenset({"traceback", "TracebackException", "StackSummary", "inspect"}),
    Source.COMPLETION: frozenset({"asyncio", "futures", "concurrent"}),
}
"""Modules and classes that the functions belong to; methods of these names of other objects are something else."""

OF_MODULES: Mapping[tuple[str, str], Source] = {
    ("logging", "LogRecord"): Source.CLOCK,
    ("logging", "makeLogRecord"): Source.CLOCK,
    ("utils", "formatdate"): Source.CLOCK,
    ("utils", "localtime"): Source.ZONE,
    ("utils", "make_msgid"): Source.RANDOM,
    ("os", "times"): Source.PROCESS,
    ("os", "getloadavg"): Source.PROCESS,
    ("resource", "getrusage"): Source.PROCESS,
}
"""Functions whose names say little without that of their module."""

BUILT_IN_CALLS: Mapping[str, Source] = {"hash": Source.HASH, "id": Source.IDENTITY, "next": Source.GENERATOR}


@dataclass(frozen=True, slots=True)
class Dependence:
    """What a statement depends on.

    Attributes:
        source: Where the value comes from.
        what: The call or name, for example `datetime.now()`.
    """

    source: Source
    what: str


def dependence_of(
    statement: Statement, reads: Mapping[str, str | None], file: str | None = None, *, differs: bool = True
) -> Dependence | None:
    """Say what a statement depends on, from its syntax and from the values that it read.

    Args:
        statement: The statement.
        reads: Values of names and paths when it ran, as texts; for what syntax does not tell.
        file: Its file, to tell the functions of the user; None if it does not matter.
        differs: Whether it is known to give different values: then items of a set that a key finds equal make the difference.
    """
    found: Dependence | None = None
    for node in (*calls_of(statement), *_made_later(statement)):
        source = _source_of(node, file) or (Source.RANDOM if _draws(node, file) else None)
        if source is not None and (found is None or found.source in (Source.GENERATOR, Source.COMPLETION)):
            found = Dependence(source, f"{ast.unparse(node.func)}()")
    if found is None:
        found = _environment(statement) or _place_in_code(statement)
    if found is not None and found.source is not Source.GENERATOR:
        return found
    unordered = _unordered(statement, reads, file, differs)
    return Dependence(Source.ORDER, unordered) if unordered is not None else found


def _made_later(statement: Statement) -> Iterator[ast.Call]:
    """Yield what a class calls for each of its objects: `time()` for `field(default_factory=time)`, also in a `partial`."""
    for call in calls_of(statement):
        for one in (given.value for given in call.keywords if given.arg == "default_factory"):
            if isinstance(one, (ast.Name, ast.Attribute)):
                yield ast.Call(one, [], [])
            elif isinstance(one, ast.Call) and called_in(one) == "partial" and one.args:
                yield ast.Call(one.args[0], one.args[1:], one.keywords)


def _source_of(call: ast.Call, file: str | None) -> Source | None:
    if isinstance(call.func, ast.Name):
        name = call.func.id
        imported_from, given_name = imported_name(file, name) if file is not None else ("", name)
        if (imported_from, given_name) in OF_MODULES:
            return _of_module(call, imported_from, given_name)
        source = BUILT_IN_CALLS.get(name) or CALLS.get(name)
    elif isinstance(call.func, ast.Attribute):
        name = call.func.attr
        owner = ast.unparse(call.func.value).rpartition(".")[2]
        if name == "__next__":
            return Source.GENERATOR
        if (owner, name) in OF_MODULES:
            return _of_module(call, owner, name)
        source = CALLS.get(name)
        if source is not None and owner not in OWNERS.get(source, {owner}):
            return None
    else:
        return None
    if name in ("Random", "SystemRandom") and not call.args and not call.keywords:
        return Source.RANDOM  # without a seed
    if source is Source.ZONE and _has_zone(call, name):
        return None
    return source


def _of_module(call: ast.Call, module: str, name: str) -> Source | None:
    """What one of `OF_MODULES` depends on: a date that is written of a given time depends on the zone, if it is a local one."""
    times = (*call.args[:1], *(one.value for one in call.keywords if one.arg == "timeval"))
    if name != "formatdate" or all(map(_is_none, times)):
        return OF_MODULES[module, name]
    local = (*call.args[1:2], *(one.value for one in call.keywords if one.arg == "localtime"))
    return Source.ZONE if any(not isinstance(one, ast.Constant) or one.value for one in local) else None


def _draws(call: ast.Call, file: str | None) -> bool:
    """Whether a call draws a number from an object that gives different ones to everybody: `SystemRandom`."""
    if file is None or not isinstance(call.func, ast.Attribute) or CALLS.get(call.func.attr) is not Source.RANDOM:
        return False
    path = access_path(call.func.value)
    if path is None:
        return called_in(call.func.value) == "SystemRandom"
    origin, path = imported(file, path)
    name = path.rpartition(".")[2]
    made = (one for one in source_of(origin) if name in {each.rpartition(".")[2] for each in one.writes})
    return any(called_in(getattr(one.node, "value", None)) == "SystemRandom" for one in made)


def _environment(statement: Statement) -> Dependence | None:
    for path in sorted(statement.reads):
        if path.endswith("environ") or ".environ." in path:
            return Dependence(Source.ENVIRONMENT, path)
        if path.startswith(OF_THE_INTERPRETER) or path == "argv":
            return Dependence(Source.PROCESS, path)
    return None


OF_THE_INTERPRETER = tuple(
    f"sys.{name}"
    for name in ("argv", "orig_argv", "executable", "flags", "path", "platform", "prefix", "version", "hexversion")
)
"""What the command line, the machine and the installation give a process."""


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


ORDERED_BY = frozenset({"len", "any", "all", "sum", "set", "frozenset", "Counter", "isdisjoint"})
"""Functions whose result does not depend on the order of a set."""

SORTING = frozenset({"sorted", "min", "max"})
"""Functions whose result depends on it only where a key finds two items equal."""


def _unordered(statement: Statement, reads: Mapping[str, str | None], file: str | None, differs: bool) -> str | None:
    """Return the set whose order a statement uses; None if it uses none."""
    for part in statement.parts:
        for node, is_ordered in _with_order(part, False, differs):
            if not is_ordered and _is_set(node, reads) and _uses_order(node, statement, file):
                return ast.unparse(node)[:MAX_CODE_SHOWN]
    if not differs:
        return None  # a text, for example that of an error, may be made and not be used
    texts = made_into_text(statement.parts)
    shown = (ast.unparse(one) for one in texts if _is_set(one, reads) or shows_order(reads.get(ast.unparse(one))))
    return next((one[:MAX_CODE_SHOWN] for one in shown), None)


def _with_order(node: ast.AST, is_ordered: bool, differs: bool) -> Iterator[tuple[ast.AST, bool]]:
    yield node, is_ordered
    name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
    may_tie = differs and any(one.arg == "key" for one in getattr(node, "keywords", ()))
    inside = is_ordered or name in ORDERED_BY or (name in SORTING and not may_tie)
    inside = inside or isinstance(node, (ast.Compare, ast.SetComp))
    for child in ast.iter_child_nodes(node):
        yield from _with_order(child, inside, differs)


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


def _uses_order(node: ast.AST, statement: Statement, file: str | None) -> bool:
    """Whether a set is iterated, or one of its items is taken, and not only given to code of the user."""
    parents = {child: one for part in statement.parts for one in ast.walk(part) for child in ast.iter_child_nodes(one)}
    outer = parents.get(node)
    if outer is None:
        return statement.is_loop
    if isinstance(outer, ast.comprehension):
        return outer.iter is node
    if isinstance(outer, ast.Call):
        return node in outer.args and not _is_own(outer.func, file)
    if isinstance(outer, ast.Attribute):
        return outer.attr == "pop" and isinstance(parents.get(outer), ast.Call)
    return isinstance(outer, (ast.Starred, ast.For, ast.AsyncFor, ast.YieldFrom))


def _is_own(function: ast.expr, file: str | None) -> bool:
    """Whether a function is the user's: its own lines tell what it does with what it is given."""
    path = access_path(function)
    if path is None or file is None:
        return False
    if path.partition(".")[0] in ("self", "cls"):
        return True
    origin, path = imported(file, path)
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(one.node, definitions) and path in one.binds for one in source_of(origin))
