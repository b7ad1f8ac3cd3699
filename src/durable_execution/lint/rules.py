"""The lint rules and their findings, also as text, JSON, SARIF 2.1.0 or GitHub annotations.

Lists the calls whose value or effect differs on every replay.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from durable_execution.counts import counted
from durable_execution.protocol.safe_text import json_text, printable

EXACT: dict[str, str] = {
    **dict.fromkeys(
        ("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
         "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns",
         "time.localtime", "time.gmtime", "time.ctime", "time.strftime", "time.process_time", "pendulum.now", "arrow.now",
         "arrow.utcnow"),
        "DUR101",
    ),
    **dict.fromkeys(("os.urandom", "os.getrandom"), "DUR102"),
    **dict.fromkeys(("uuid.uuid1", "uuid.uuid4", "uuid.uuid7"), "DUR103"),
    **dict.fromkeys(("time.sleep", "asyncio.sleep"), "DUR107"),
    **dict.fromkeys(
        ("threading.Timer", "multiprocessing.Process", "multiprocessing.Pool", "subprocess.run", "subprocess.Popen",
         "subprocess.call", "subprocess.check_call", "subprocess.check_output", "os.system", "os.fork", "os.getpid",
         "concurrent.futures.ProcessPoolExecutor", "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"),
        "DUR108",
    ),
    **dict.fromkeys(
        ("open", "io.open", "os.listdir", "os.scandir", "os.walk", "os.stat", "os.path.exists", "os.path.getmtime",
         "os.path.getsize", "os.remove", "os.rename", "os.mkdir", "os.makedirs", "glob.glob", "glob.iglob", "shutil.copy",
         "shutil.move", "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp", "tempfile.NamedTemporaryFile",
         "sqlite3.connect"),
        "DUR106",
    ),
    **dict.fromkeys(("asyncio.as_completed", "concurrent.futures.as_completed"), "DUR110"),
    **dict.fromkeys(("asyncio.timeout", "asyncio.timeout_at", "asyncio.wait_for"), "DUR111"),
}  # fmt: skip
PREFIXES: dict[str, str] = {
    "random.": "DUR102",
    "secrets.": "DUR102",
    "numpy.random.": "DUR102",
    "requests.": "DUR105",
    "httpx.": "DUR105",
    "urllib.request.": "DUR105",
    "urllib3.": "DUR105",
    "aiohttp.": "DUR105",
    "socket.": "DUR105",
    "smtplib.": "DUR105",
    "ftplib.": "DUR105",
    "http.client.": "DUR105",
    "aws_lambda_powertools.utilities.parameters.": "DUR105",
}
HARMLESS = frozenset(
    {
        "random.Random", "random.seed", "secrets.compare_digest", "requests.Session", "httpx.Client", "httpx.AsyncClient",
        "aiohttp.ClientSession", "httpx.Timeout", "requests.Request", "numpy.random.default_rng", "socket.inet_aton",
        "urllib.request.Request", "random.SystemRandom",
    }
)  # fmt: skip
"""Names from the same modules that are deterministic or have no effect of their own."""

METHODS: dict[str, str] = {
    "read_text": "DUR106",
    "read_bytes": "DUR106",
    "write_text": "DUR106",
    "write_bytes": "DUR106",
}
"""Methods that only path objects have."""

ENVIRONMENT = ("os.environ", "os.getenv", "os.environb")
LOGGING = ("print", "logging.", "warnings.warn")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        code: The code to write in ignore comments.
        name: The rule in a few words.
        fix: The code to write instead.
    """

    code: str
    name: str
    fix: str

    @property
    def page(self) -> str:
        """The rule's page in the documentation, with wrong and right code."""
        return f"docs/reference/lint/{self.code}.md"


PAGES = "https://github.com/durable-execution/durable-execution-sdk/blob/main"
"""Where the documentation is."""


def _rules(*rules: Rule) -> dict[str, Rule]:
    return {rule.code: rule for rule in rules}


RULES = _rules(
    Rule("DUR101", "clock outside a step", "use `await ctx.now()`, or read the clock in a step"),
    Rule("DUR102", "random numbers outside a step", "use `ctx.random()`, or draw the number in a step"),
    Rule("DUR103", "uuid outside a step", "use `ctx.uuid()`, or make it in a step"),
    Rule("DUR104", "environment decides which operation is called", "read it in a step, or pass it in the payload"),
    Rule("DUR105", "network outside a step", "call it in a step: outside, it happens again on every replay"),
    Rule("DUR106", "files outside a step", "read and write files in a step"),
    Rule("DUR107", "sleeping outside a step", "use `await ctx.wait(...)`"),
    Rule("DUR108", "processes or timers outside a step", "start them in a step"),
    Rule("DUR109", "iteration over a set", "iterate over sorted(...): the order of a set differs between processes"),
    Rule("DUR110", "depends on which task finishes first", "use ctx.race() or ctx.any(), which record the winner"),
    Rule("DUR111", "time limit outside a step", "give the operation a timeout, or use ctx.race() with ctx.wait()"),
    Rule("DUR201", "durable operation inside a step", "call it from the handler, or make the step a child context"),
    Rule("DUR202", "step changes an outer variable", "return the value from the step: a replay does not run its body"),
    Rule("DUR203", "several unnamed steps", "name the steps, so that a replay can tell them apart"),
    Rule("DUR204", "suspension is caught", "write `except Exception`"),
    Rule("DUR205", "operation is not awaited", "await it, or pass it to asyncio.gather or a task"),
    Rule("DUR901", "syntax error", "fix the syntax"),
)


@dataclass(frozen=True, slots=True, order=True)
class LintFinding:
    """One line that may break a replay.

    Attributes:
        file: Path as given.
        line: Line, counted from 1.
        column: Column, counted from 1.
        rule: Code of the rule.
        what: The code that was found, for example `datetime.now()`.
        function: Qualified name of the function that contains it.
        reached: Call chain from a handler to the function, the handler first.
    """

    file: str
    line: int
    column: int
    rule: str
    what: str
    function: str = ""
    reached: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The problem and its fix, in one line."""
        rule = RULES[self.rule]
        way = f", reached by {' → '.join(self.reached)}" if len(self.reached) > 1 else ""
        return f"{rule.name}: {self.what} in {self.function}{way}; {rule.fix}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.rule} {self.message}"


def rule_for_call(name: str | None, method: str | None) -> str | None:
    """Return the rule that a call breaks; None if it breaks none.

    Args:
        name: Dotted name of the called function, if known.
        method: Name of the called method, if any.
    """
    if name is not None:
        if name in HARMLESS:
            return None
        if name in EXACT:
            return EXACT[name]
        found = next((rule for prefix, rule in PREFIXES.items() if name.startswith(prefix)), None)
        if found is not None and name.rpartition(".")[2][:1].islower():
            return found
    return METHODS.get(method or "")


def is_environment(name: str | None) -> bool:
    """Whether a dotted name reads the environment."""
    return name is not None and any(name == known or name.startswith(f"{known}.") for known in ENVIRONMENT)


def is_logging(name: str | None) -> bool:
    """Whether a dotted name is a function that only writes its arguments to a log."""
    return name is not None and (
        any(name == known or (known.endswith(".") and name.startswith(known)) for known in LOGGING)
        or any(part in ("logger", "log", "LOGGER", "_logger") for part in name.split(".")[:-1])
    )


def all_codes() -> Iterator[str]:
    """Yield the code of every rule that a call can break."""
    yield from sorted({*EXACT.values(), *PREFIXES.values(), *METHODS.values()})


def relative(file: str) -> str:
    """Return a path relative to the working directory, with forward slashes."""
    path = Path(file)
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


def sarif_uri(file: str) -> str:
    """Return the relative or absolute URI of a file, also of one whose name is not UTF-8."""
    path = relative(file)
    try:
        return Path(path).as_uri() if Path(path).is_absolute() else quote(os.fsencode(path))
    except UnicodeEncodeError:  # a name that no file has
        return quote(path, errors="replace")


def sarif_document(driver: str, rules: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a SARIF 2.1.0 document with one run."""
    from importlib.metadata import PackageNotFoundError, version  # replays read these rules too, and need no version

    try:
        found = version("durable-execution-sdk")
    except PackageNotFoundError:  # run from a source tree that is not installed
        found = "0.0.0"
    tool = {"driver": {"name": driver, "version": found, "rules": list(rules)}}
    run = {"tool": tool, "columnKind": "unicodeCodePoints", "results": list(results)}
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def to_text(findings: Sequence[LintFinding]) -> str:
    """Write one line per finding, and the total."""
    if not findings:
        return "no findings\n"
    total = counted(len(findings), "finding")
    return printable("".join(f"{found}\n" for found in findings) + f"{total}\n")


def to_json(findings: Sequence[LintFinding]) -> str:
    """Write one object: the exit code of the command, and an object for each finding."""
    document = {
        "schema": "durable-lint-findings",
        "version": 1,
        "exit_code": int(bool(findings)),
        "findings": [{**asdict(found), "message": found.message} for found in findings],
    }
    return json_text(document) + "\n"


def to_github(findings: Sequence[LintFinding]) -> str:
    """Write one workflow command per finding, which GitHub shows beside the source."""
    return printable(
        "".join(
            f"::warning file={annotation_property(relative(found.file))},line={found.line},col={found.column},"
            f"title={found.rule}::{annotation_text(found.message)}\n"
            for found in findings
        )
    )


def to_sarif(findings: Sequence[LintFinding]) -> str:
    """Write one run with one result per finding."""
    rules = [
        {
            "id": rule.code,
            "name": rule.name,
            "shortDescription": {"text": rule.name},
            "help": {"text": rule.fix},
            "helpUri": f"{PAGES}/{rule.page}",
        }
        for rule in RULES.values()
    ]
    results = [
        {
            "ruleId": found.rule,
            "level": "warning",
            "message": {"text": found.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": sarif_uri(found.file)},
                        "region": {"startLine": found.line, "startColumn": found.column},
                    }
                }
            ],
        }
        for found in findings
    ]
    return json_text(sarif_document("durable-debug lint", rules, results)) + "\n"


def annotation_property(text: str) -> str:
    """Escape a property of a GitHub workflow command."""
    return annotation_text(text).replace(":", "%3A").replace(",", "%2C")


def annotation_text(text: str) -> str:
    """Escape the message of a GitHub workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


LINT_FORMATS: dict[str, Callable[[Sequence[LintFinding]], str]] = {
    "text": to_text,
    "json": to_json,
    "sarif": to_sarif,
    "github": to_github,
}
"""The formats of `durable-debug lint --format`."""
