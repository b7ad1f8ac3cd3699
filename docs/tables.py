"""Tables of the documentation that are made from the code, so that they cannot drift from it.

A page holds `<!-- table: NAME -->` and `<!-- end -->`; what stands between them is written by `python docs/tables.py`.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from durable_debugger.actions import ACTIONS
from durable_debugger.cli.entry import VERBS
from durable_execution.recording.choice import LOCALS_VARIABLE, PAYLOADS_VARIABLE, VARIABLE
from durable_execution.telemetry.settings import VARIABLES

DOCS = Path(__file__).parent
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


def verbs() -> Iterator[str]:
    """Verbs of the command."""
    yield "| Command | |"
    yield "|---|---|"
    for verb, summary in VERBS.items():
        yield f"| `durable-debug {verb}` | {summary} |"


def keys() -> Iterator[str]:
    """Keys of the debugger, by heading of its help."""
    yield "| | Key | Does | In |"
    yield "|---|---|---|---|"
    for action in sorted(ACTIONS, key=lambda action: _groups().index(action.group)):
        shown = (action.shown_key or action.keys.partition(",")[0]).replace("|", "\\|")
        views = "all views" if len(action.views) >= _view_count() else ", ".join(sorted(action.views))
        yield f"| {action.group} | `{shown}` | {action.help} | {views} |"


TABLES = {"variables": variables, "verbs": verbs, "keys": keys}


def filled(text: str) -> str:
    """A page with its tables as the code has them now."""
    return MARKED.sub(
        lambda match: match["open"] + "".join(f"{line}\n" for line in TABLES[match["name"]]()) + match["close"], text
    )


def outdated() -> Iterator[Path]:
    """Pages whose tables differ from the code."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if filled(text) != text:
            yield page


def _groups() -> list[str]:
    return list(dict.fromkeys(action.group for action in ACTIONS))


def _view_count() -> int:
    return len(frozenset().union(*(action.views for action in ACTIONS)))


if __name__ == "__main__":
    for page in outdated():
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"wrote {page}", file=sys.stderr)
