"""Checks the documentation without running it: links, names, commands, environment variables, length.

Run by `make check`. Code blocks are executed by the tests.
"""

import dataclasses
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import durable_execution
from durable_execution import errors, local, serdes, testing
from durable_execution.local import LocalEngine
from durable_execution.testing import LocalExecution, LocalRunner, RunResult
from tables import outdated

REPOSITORY = Path(__file__).resolve().parent.parent
README = REPOSITORY / "README.md"
SOURCES = (REPOSITORY / "src", REPOSITORY / "debugger")
README_WORDS = 600

INTERNAL = {
    "ADVICE",
    "STRATEGY",
    "scope",
    "mro",
    "calls",
    "fits",
    "recorded",
    "path",
    "function",
    "policy",
    "invoke",
    "wire",
    "has_criteria",
    "delay_seconds",
}
"""Public for the SDK's own modules, or documented under a different word."""

NESTED = {"callback": ("succeed", "fail", "heartbeat")}
"""Verbs that have verbs of their own."""

LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *$", re.MULTILINE)
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\bdurable-debug +(?P<verb>[a-z]+)\b")
OPTION = re.compile(r"\bdurable-debug +(?P<verb>[a-z]+) [^`\n#]*?(?P<option>--[a-z][a-z-]*)")
VARIABLE = re.compile(r"\bDURABLE_[A-Z_]+\b")
VARIABLE_IN_CODE = re.compile(r"['\"](DURABLE_[A-Z_]+)['\"]")
MAKE = re.compile(r"`make (?P<target>[a-z]+)")


def pages() -> list[Path]:
    """Every page."""
    folder = REPOSITORY / "docs"
    return [README, REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "CHANGELOG.md", *sorted(folder.rglob("*.md"))]


@cache
def read(page: Path) -> str:
    """The text of a page."""
    return page.read_text(encoding="utf-8")


def anchor(heading: str) -> str:
    """The fragment that GitHub gives a heading."""
    text = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return text.replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """Every fragment of a page."""
    return {anchor(match["text"]) for match in HEADING.finditer(FENCED.sub("", read(page)))}


def broken_links(page: Path) -> Iterator[str]:
    """Links to files and headings that do not exist."""
    for match in LINK.finditer(FENCED.sub("", read(page))):
        target, _, fragment = match["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists():
            yield f"links to {match['target']}, which does not exist"
        elif fragment and file.suffix == ".md" and fragment not in anchors(file):
            yield f"links to {match['target']}, which has no such heading"


@cache
def help_of(*verb: str) -> str | None:
    """What `durable-debug VERB --help` prints; None when there is no such verb."""
    command = [sys.executable, "-m", "durable_debugger", *verb, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def unknown_commands(page: Path) -> Iterator[str]:
    """Verbs and options that `--help` does not list."""
    text = read(page)
    for verb in sorted({match["verb"] for match in COMMAND.finditer(text)}):
        if help_of(verb) is None:
            yield f"mentions `durable-debug {verb}`, which does not exist"
    for verb, option in sorted({(match["verb"], match["option"]) for match in OPTION.finditer(text)}):
        if option not in (help_of(verb) or option) + "".join(
            help_of(verb, each) or "" for each in NESTED.get(verb, ())
        ):
            yield f"mentions `durable-debug {verb} {option}`, which does not exist"


def unknown_targets(page: Path) -> Iterator[str]:
    """Targets the Makefile does not have."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in sorted({match["target"] for match in MAKE.finditer(read(page))}):
        if re.search(rf"^{target}:", makefile, re.MULTILINE) is None:
            yield f"mentions `make {target}`, which does not exist"


@cache
def variables_in_code() -> frozenset[str]:
    """Environment variables the code reads."""
    files = (file for source in SOURCES for file in source.rglob("*.py"))
    return frozenset(name for file in files for name in VARIABLE_IN_CODE.findall(file.read_text(encoding="utf-8")))


def unknown_variables(page: Path) -> Iterator[str]:
    """Environment variables the code does not read."""
    for name in sorted(set(VARIABLE.findall(read(page))) - variables_in_code()):
        yield f"mentions {name}, which the code does not read"


def undocumented() -> Iterator[str]:
    """Public names and environment variables that no page mentions."""
    everything = "\n".join(read(page) for page in pages())
    for name in (*durable_execution.__all__, *serdes.__all__, *testing.__all__, *local.__all__):
        if re.search(rf"\b{re.escape(name)}\b", everything) is None:
            yield f"docs/: {name} is not mentioned anywhere"
    for name in sorted(variables_in_code()):
        if name not in everything:
            yield f"docs/: the environment variable {name} is not mentioned anywhere"


def documented_classes() -> Iterator[type]:
    """Classes whose every public name must be in the reference."""
    for name in durable_execution.__all__:
        value = getattr(durable_execution, name)
        if (
            inspect.isclass(value)
            and not issubclass(value, BaseException)
            and value not in (durable_execution.BoundStep, durable_execution.BoundContext)
        ):
            yield value
    yield from (LocalEngine, LocalRunner, LocalExecution, RunResult)


def members(value: type) -> Iterator[str]:
    """Public attributes, methods and constructor arguments."""
    yield from (name for name in dir(value) if not name.startswith("_") and not hasattr(str, name))
    if dataclasses.is_dataclass(value):
        yield from (field.name for field in dataclasses.fields(value))
    elif issubclass(value, LocalEngine | LocalRunner):
        yield from (name for name in inspect.signature(value).parameters if name not in {"args", "kwargs"})


def undocumented_members() -> Iterator[str]:
    """Methods, options and errors that the reference does not name."""
    folder = REPOSITORY / "docs" / "reference"
    reference = "\n".join(read(page) for page in sorted(folder.rglob("*.md")))
    words = set(re.findall(r"\w+", reference))
    for value in documented_classes():
        missing = sorted(set(members(value)) - words - INTERNAL)
        if missing:
            yield f"docs/reference: {value.__module__}.{value.__name__}: not mentioned: {', '.join(missing)}"
    missing = sorted(set(vars(errors)) & {cls.__name__ for cls in _error_classes()} - words)
    if missing:
        yield f"docs/reference: errors not mentioned: {', '.join(missing)}"


def _error_classes() -> Iterator[type]:
    return (v for v in vars(errors).values() if inspect.isclass(v) and issubclass(v, BaseException))


def too_long() -> Iterator[str]:
    """A README that is too long to read."""
    words = len(FENCED.sub("", read(README)).split())
    if words >= README_WORDS:
        yield f"README.md: {words} words, at most {README_WORDS - 1} are allowed"


def problems() -> Iterator[str]:
    """Every problem."""
    for page in pages():
        for check in (broken_links, unknown_commands, unknown_targets, unknown_variables):
            for problem in check(page):
                yield f"{page.relative_to(REPOSITORY)}: {problem}"
    for page in outdated():
        yield f"{page.relative_to(REPOSITORY)}: a table differs from the code: run `python docs/tables.py`"
    yield from undocumented()
    yield from undocumented_members()
    yield from too_long()


if __name__ == "__main__":
    found = list(problems())
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(1 if found else 0)
