"""Tables of the documentation that are made from the code, so that they cannot drift from it.

A page contains `<!-- table: NAME -->` and `<!-- end -->`; `python docs/tables.py` writes the lines between them. In the same way,
`<!-- code: PATH -->` and `<!-- end -->` contain the code of an example without its `__main__` block.
"""

import ast
import re
import sys
from argparse import Action
from collections.abc import Iterator
from pathlib import Path

from durable_debugger.actions import ACTIONS
from durable_debugger.cli.command_line import CommandParser
from durable_debugger.cli.entry import VERBS, parsers
from durable_execution.lint.rules import RULES
from durable_execution.telemetry.logs import FIELDS
from durable_execution.telemetry.metrics import METRICS
from durable_execution.telemetry.settings import LAMBDA_RESOURCE, STANDARD, VARIABLES, XRAY_HEADER
from durable_execution.telemetry.vocabulary import ATTRIBUTES, EVENTS, SPANS, SpanEventKind, SpanKind
from durable_execution.trace.recorder import LOCALS_VARIABLE, PAYLOADS_VARIABLE, SOURCE_VARIABLE, VARIABLE

DOCS = Path(__file__).parent
REPOSITORY = DOCS.parent
CODE = re.compile(r"(?P<open><!-- code: (?P<file>[\w./-]+) -->\n)(?P<code>.*?)(?P<close><!-- end -->)", re.DOTALL)
MAIN = '\n\nif __name__ == "__main__":\n'
MARKED = re.compile(r"(?P<open><!-- table: (?P<name>[a-z-]+) -->\n)(?P<table>.*?)(?P<close><!-- end -->)", re.DOTALL)


def variables() -> Iterator[str]:
    """Environment variables."""
    yield "| Variable | Default | Meaning |"
    yield "|---|---|---|"
    for each in VARIABLES:
        yield f"| `{each.name}` | `{each.default}` | {each.meaning} |"
    yield (
        f"| `{VARIABLE}` | none on Lambda, `traces/` beside the store on the local engine "
        "| Where replay traces go: `dir:PATH`, `s3://BUCKET/PREFIX`, or `off`. |"
    )
    yield f"| `{PAYLOADS_VARIABLE}` | `0` | `1` adds inputs and results, redacted. |"
    yield f"| `{LOCALS_VARIABLE}` | `0` | `1` adds the local variables at each call, shortened and redacted. |"
    yield (
        f"| `{SOURCE_VARIABLE}` | `1` | Whether the first invocation of an execution also keeps the source of your files, compressed and redacted, so "
        "that a report can name the edit that makes a difference. |"
    )


def verbs() -> Iterator[str]:
    """Verbs of the command."""
    yield "| Command | |"
    yield "|---|---|"
    for verb, summary in VERBS.items():
        yield f"| `durable-debug {verb}` | {summary} |"


def options() -> Iterator[str]:
    """Arguments and options of every verb, a section each."""
    for verb, parser in parsers().items():
        yield from _section(verb, parser)


def _section(verb: str, parser: CommandParser) -> Iterator[str]:
    nested = [action.choices for action in parser.arguments if isinstance(action.choices, dict)]
    for choices in nested:
        for word, child in choices.items():
            yield from _section(f"{verb} {word}", child)
    if not nested:
        yield from ("", f"## `durable-debug {verb}`", "", "| Argument or option | Does |", "|---|---|")
        for action in parser.arguments:
            if action.dest != "help":
                yield f"| {_usage(action)} | {_help(action)} |"


def keys() -> Iterator[str]:
    """Keys of the debugger, by heading of its help."""
    yield "| | Key | Does | In |"
    yield "|---|---|---|---|"
    for action in sorted(ACTIONS, key=lambda action: _groups().index(action.group)):
        shown = (action.shown_key or action.keys.partition(",")[0]).replace("|", "\\|")
        views = "all views" if len(action.views) >= _view_count() else ", ".join(sorted(action.views))
        yield f"| {action.group} | `{shown}` | {action.help} | {views} |"


def all_variables() -> Iterator[str]:
    """Environment variables, with those of OpenTelemetry and Lambda that are heeded too."""
    yield from variables()
    for each in (*STANDARD, XRAY_HEADER, *LAMBDA_RESOURCE.values()):
        yield f"| `{each.name}` | {each.default if ' ' in each.default else f'`{each.default}`'} | {each.meaning} |"


def spans() -> Iterator[str]:
    """Kinds of spans."""
    yield "| Span | Is | Under | Status |"
    yield "|---|---|---|---|"
    for kind in SPANS:
        yield f"| {_shown(kind)} | {kind.meaning} | {kind.parent} | {kind.status} |"


def events() -> Iterator[str]:
    """Events of spans."""
    yield "| Event | Tells | On |"
    yield "|---|---|---|"
    for kind in EVENTS:
        yield f"| {_shown(kind)} | {kind.meaning} | {', '.join(map(_shown, kind.on))} |"


def attributes() -> Iterator[str]:
    """Attributes of spans and of their events."""
    yield "| Attribute | Says | On |"
    yield "|---|---|---|"
    for each in ATTRIBUTES:
        yield f"| `{each.name}` | {each.meaning} | {', '.join(map(_shown, each.on))} |"


def metrics() -> Iterator[str]:
    """Instruments."""
    yield "| Metric | Kind | Unit | Counts or measures | Attributes |"
    yield "|---|---|---|---|---|"
    for each in METRICS:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        yield f"| `{each.name}` | {each.kind} | `{each.unit}` | {each.meaning} | {labels} |"


def log_fields() -> Iterator[str]:
    """Fields of log records."""
    yield "| Field | Is |"
    yield "|---|---|"
    for each in FIELDS:
        yield f"| `{each.name}` | {each.meaning} |"


def examples() -> Iterator[str]:
    """Examples of operations and patterns, by what they show."""
    yield "| You want to | Example |"
    yield "|---|---|"
    for folder in ("operations", "patterns"):
        for file in sorted((REPOSITORY / "examples" / folder).glob("*.py")):
            summary = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
            yield f"| {summary} | [`{folder}/{file.name}`](../examples/{folder}/{file.name}) |"


def lint_rules() -> Iterator[str]:
    """Rules of the linter."""
    yield "| Rule | Finds | Do |"
    yield "|---|---|---|"
    for rule in RULES.values():
        yield f"| [`{rule.code}`](lint/{rule.code}.md) | {rule.name} | {rule.fix} |"


TABLES = {
    "examples": examples,
    "lint-rules": lint_rules,
    "variables": variables,
    "verbs": verbs,
    "keys": keys,
    "options": options,
    "all-variables": all_variables,
    "spans": spans,
    "events": events,
    "attributes": attributes,
    "metrics": metrics,
    "log-fields": log_fields,
}


def filled(text: str) -> str:
    """A page with the tables and examples that the code has now."""
    with_tables = MARKED.sub(
        lambda match: match["open"] + "".join(f"{line}\n" for line in TABLES[match["name"]]()) + match["close"], text
    )
    return CODE.sub(
        lambda match: f"{match['open']}\n```python\n{example_code(match['file'])}```\n\n{match['close']}", with_tables
    )


def example_code(file: str) -> str:
    """The code of an example, without its docstring and its `__main__` block."""
    source = (REPOSITORY / file).read_text(encoding="utf-8").partition(MAIN)[0]
    first = ast.parse(source).body[0]
    lines = source.splitlines()[first.end_lineno or 0 :]
    return "\n".join(lines).strip() + "\n"


def outdated() -> Iterator[Path]:
    """Pages whose tables differ from the code."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if filled(text) != text:
            yield page


def _shown(kind: SpanKind | SpanEventKind) -> str:
    """The name of a span or an event, with the parts that vary as a reader knows them."""
    return f"`{kind.title.replace('{operation}', '<operation>').replace('{number}', '<n>')}`"


def _usage(action: Action) -> str:
    """An argument or option as it is written in a command."""
    value = str(
        action.metavar or ("" if action.nargs == 0 else "\\|".join(action.choices or ()) or action.dest.upper())
    )
    names = [f"`{name} {value}`" if value else f"`{name}`" for name in action.option_strings]
    return ", ".join(names) or f"`{value}`"


def _help(action: Action) -> str:
    text = (action.help or "").replace("%(default)s", f"`{action.default}`").replace("|", "\\|")
    return text[:1].upper() + text[1:]


def _groups() -> list[str]:
    return list(dict.fromkeys(action.group for action in ACTIONS))


def _view_count() -> int:
    return len(frozenset().union(*(action.views for action in ACTIONS)))


if __name__ == "__main__":
    for page in outdated():
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"wrote {page}", file=sys.stderr)
