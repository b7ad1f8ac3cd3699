"""`durable-debug lint PATH...`: finds code that breaks replay, by reading the source. Imports none of it, and no boto3."""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from durable_debugger.cli.command_line import nearest_of
from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.output import Output
from durable_execution.lint import RULES, lint_paths
from durable_execution.lint.linter import python_files
from durable_execution.lint.rules import LINT_FORMATS
from durable_execution.private_files import write_private


def add_lint_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("paths", metavar="PATH", nargs="*", type=Path, help="Python file or directory")
    parser.add_argument("--rules", action="store_true", help="list the rules, and exit")
    for option, does in (("--select", "report only these rules"), ("--ignore", "do not report these rules")):
        parser.add_argument(
            option,
            metavar="RULES",
            type=_rules,
            action="extend",
            default=[],
            help=f"{does}: codes such as DUR101, or their beginnings such as DUR1, separated by commas; repeatable",
        )
    parser.add_argument(
        "--format", choices=tuple(LINT_FORMATS), default="text", help="output format (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="same as --format json")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="file to write (default: stdout)")


def run_lint(arguments: Namespace, output: Output) -> int:
    """Lint files, or list the rules."""
    if arguments.rules:
        return _list_rules(arguments, output)
    _check_paths(arguments.paths)
    chosen = set(arguments.select or RULES) - set(arguments.ignore)
    try:
        findings = [found for found in lint_paths(arguments.paths) if found.rule in chosen]
    except OSError as error:
        raise CommandError(f"cannot read {error.filename}: {error.strerror}", Exit.UNLOADABLE) from error
    text = LINT_FORMATS[arguments.format](findings)
    if arguments.output is None:
        output.text(text, arguments.format)
    else:
        try:
            write_private(arguments.output, text)
        except OSError as error:
            raise CommandError(f"cannot write {arguments.output}: {error.strerror or error}") from error
        output.say(f"wrote {arguments.output}")
    return Exit.DIVERGED if findings else Exit.OK


def _check_paths(paths: list[Path]) -> None:
    """Refuse what would be read as clean although there is nothing to read."""
    if not paths:
        raise CommandError("no path given; add the files or directories to read, for example `durable-debug lint src`")
    for path in paths:
        if not path.exists():
            raise CommandError(f"{path} does not exist", Exit.UNLOADABLE)
        if path.suffix == ".ipynb":
            raise CommandError(f"{path} is a notebook; move the handler to a module, and lint that", Exit.UNLOADABLE)
        if path.is_file() and b"\0" in path.read_bytes():
            raise CommandError(f"{path} is not Python source", Exit.UNLOADABLE)
    if not any(True for path in paths for _ in python_files(path)):
        raise CommandError(f"no Python files in {', '.join(map(str, paths))}", Exit.UNLOADABLE)


def _rules(text: str) -> list[str]:
    """The rules that a list of codes, or of their beginnings, names."""
    found: list[str] = []
    for code in re.split(r"[,\s]+", text.strip()):
        named = [rule for rule in RULES if rule.startswith(code.upper())] if code else []
        if not named:
            raise ArgumentTypeError(
                f"{code!r:.40} is not a rule{nearest_of(code.upper(), RULES)}; `durable-debug lint --rules` lists them"
            )
        found += named
    return found


def _list_rules(arguments: Namespace, output: Output) -> int:
    if arguments.format == "json":
        rules = [{"code": rule.code, "name": rule.name, "fix": rule.fix, "page": rule.page} for rule in RULES.values()]
        return output.document({"schema": "durable-lint-rules", "version": 1, "rules": rules}, Exit.OK)
    columns = max(len(rule.name) for rule in RULES.values())
    for rule in RULES.values():
        output.line(f"{rule.code}  {rule.name:<{columns}}  {rule.fix}")
    output.say("each rule has a page with wrong and right code: docs/reference/lint/CODE.md")
    return Exit.OK
