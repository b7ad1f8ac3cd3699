"""`durable-debug`: finds the verb, runs it, and turns errors into a message and an exit code."""

import sys
from argparse import Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from durable_debugger.cli.command_line import CommandParser, WordOf, nearest_of
from durable_debugger.cli.exits import CommandError, Exit, say_ambiguous, say_not_found
from durable_debugger.cli.output import Output
from durable_debugger.sources.found import AmbiguousError, NotFoundError
from durable_execution.errors import DurableError

VERBS = {
    "open": "open an execution in the debugger (also: durable-debug EXECUTION)",
    "list": "list recent executions",
    "run": "run a handler on the local engine, with live progress",
    "show": "print an execution as a tree, a timeline, its events, or JSON",
    "replay": "replay a recording against the current code, without side effects",
    "check": "replay many recordings, for CI: text, JSON, JUnit, SARIF or GitHub annotations",
    "gate": "check all open executions of a deployed function against new code; hold and release them",
    "fleet": "group thousands of executions: shapes, failures, waiting places, versions, and what would break",
    "fork": "continue a recorded execution from one of its calls on, with a different outcome, on the local engine",
    "explain": "say what an execution does, why it does not continue or why it failed, and what you can do",
    "diff": "compare two executions, aligned",
    "lint": "find code that breaks replay, by reading the source",
    "export": "write an execution as spans (OTLP), JSON, HTML, a Perfetto trace or a bundle",
    "stop": "stop executions; they cannot be resumed",
    "pause": "pause executions: nothing is invoked until they are resumed",
    "resume": "resume paused executions",
    "delete": "delete executions that have ended, with their histories",
    "callback": "complete a callback from outside: succeed, fail or heartbeat",
    "serve": "serve the local engine on the real Lambda API",
    "mcp": "serve list, show, explain, replay, diff and lint as read-only tools for coding assistants",
    "completion": "print the completion script of a shell: bash, zsh or fish",
}
"""Verbs in the order of the help; each is the module `cli.<verb>` with `add_arguments` and `run`."""

MODULES = {
    **dict.fromkeys(("open", "list", "show", "diff"), "look"),
    "check": "verify",
    "lint": "lint",
    "completion": "entry",
    **dict.fromkeys(("run", "serve", "callback"), "engine"),
    **dict.fromkeys(("stop", "pause", "resume", "delete"), "control"),
    "replay": "replay",
    "gate": "gate",
    "export": "export",
    "explain": "explain",
    "fork": "fork",
    "fleet": "fleet",
    "mcp": "mcp_server",
}
"""The module of each verb, with its functions `add_<verb>_arguments` and `run_<verb>`."""

DESCRIPTION = (
    "Inspect durable executions: what happened, when, why, and where the current code leaves the recorded path."
)
EPILOG = """\
exit codes: 0 OK or same, 1 divergence or finding, 2 usage error, 3 cannot load, 4 handler failed, 130 interrupted
results go to stdout, messages to stderr; NO_COLOR and --ascii are honored
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `durable-debug`.

    Args:
        argv: Arguments without the program's name; None uses the process's own.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    return run_words(words, Output(is_ascii=True if "--ascii" in words else None))


def run_words(words: list[str], output: Output) -> int:
    """Run a command. Its result and its errors go to an output; returns the exit code."""
    try:
        with ExitStack() as closing:
            arguments = _parsed(words)
            arguments.closing = closing
            code = _function(arguments.verb, f"run_{arguments.verb}")(arguments, output)
            sys.stdout.flush()
            return int(code)
    except KeyboardInterrupt:
        return _failed("interrupted", Exit.INTERRUPTED, words, output, is_plain=True)
    except BrokenPipeError:  # the reader closed the pipe
        sys.stderr.close()
        return Exit.OK
    except CommandError as error:
        return _failed(str(error), error.exit, words, output)
    except NotFoundError as error:
        say_not_found(error, output, VERBS)
        return _failed("", Exit.USAGE, words, output, document=f"{error}")
    except AmbiguousError as error:
        say_ambiguous(error, output)
        return _failed("", Exit.USAGE, words, output, document=f"{error}")
    except DurableError as error:
        return _failed(str(error), _exit_of(error), words, output)


HANDLER_OPTIONS = ("--handler", "--target", "--against", "--with")
"""What people call the handler, which `replay` takes without an option."""


def _parsed(words: list[str]) -> Namespace:
    """Parse the words of a command. Without a verb they open an execution.

    Raises:
        CommandError: A word is not known, missing, or not allowed where it stands.
    """
    if words and (words[0] in VERBS or words[0] in ("-h", "--help", "--version")):
        return _parser(words[0]).parse_all(words, _elsewhere)
    try:
        return _parser("open").parse_all(["open", *words], _elsewhere)
    except CommandError:
        verb = words[0] if words and not words[0].startswith("-") else None
        near = nearest_of(verb, VERBS, before="; did you mean `durable-debug ", after="`?") if verb else ""
        if verb and not near and verb.isalpha() and not Path(verb).exists():
            near = _option_like(verb)
        elif not near:
            raise
        raise CommandError(f"unknown verb {verb!r}{near} (see `durable-debug --help`)") from None


def _elsewhere(option: str) -> str:
    """Point to the verb that has an option."""
    if option in HANDLER_OPTIONS:
        return "; did you mean `durable-debug replay EXECUTION MODULE:HANDLER`?"
    found = _verb_with(option)
    return f"; did you mean `durable-debug {found} … {option}`?" if found else ""


def _option_like(word: str) -> str:
    """Point to the verb with an option of that name: `cost` is an option of `show`."""
    found = _verb_with(f"--{word}")
    return f"; did you mean `durable-debug {found} EXECUTION --{word}`?" if found else ""


def _verb_with(option: str) -> str | None:
    verbs = parsers()
    return next((verb for verb in ("show", "replay", *verbs) if verbs[verb].has_option(option)), None)


def parsers() -> Mapping[str, CommandParser]:
    """The parser of each verb, with all its arguments."""
    return next(action.choices for action in _parser(None).arguments if isinstance(action.choices, dict))


def _failed(
    message: str, code: Exit, words: Sequence[str], output: Output, *, is_plain: bool = False, document: str = ""
) -> int:
    """Say why a verb has no result: on stderr, and as the JSON document where one is asked for."""
    if message:
        output.say(message if is_plain else f"durable-debug: {message}")
    if _wants_json(words) and not output.has_document:
        output.document({"schema": "durable-debug-error", "version": 1, "error": message or document}, code)
    return int(code)


def _wants_json(words: Sequence[str]) -> bool:
    """Whether stdout is to hold a JSON document, also if the words cannot be parsed."""
    pairs = zip(words, [*words[1:], ""], strict=False)
    return any(word in ("--json", "--format=json") or (word, more) == ("--format", "json") for word, more in pairs)


def _exit_of(error: DurableError) -> Exit:
    """The exit code of an error. Handlers' errors are known by name: verbs without a handler do not load their module."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "UnknownHandlerError" in names:
        return Exit.USAGE
    return Exit.HANDLER_FAILED if "UnusableHandlerError" in names else Exit.UNLOADABLE


SHELLS = ("bash", "zsh", "fish")
FILES = ("execution", "other", "words", "paths", "target", "store", "output", "html", "log_file", "replay_trace")
"""Arguments that take files, or something that may be one."""


def add_completion_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run_completion(arguments: Namespace, output: Output) -> int:
    """Print the completion script of a shell.

    Raises:
        CommandError: shtab is not installed.
    """
    try:
        import shtab
    except ImportError as error:
        raise CommandError(
            "completion needs shtab: run `pip install 'durable-execution-sdk[debugger]'`", Exit.UNLOADABLE
        ) from error
    parser = _parser(None)
    pending = [parser]
    while pending:
        for action in pending.pop().arguments:
            if isinstance(action.choices, dict):
                pending.extend(action.choices.values())
            elif isinstance(action.type, WordOf):
                action.choices = action.type.words
            elif action.dest in FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it
    output.data.write(shtab.complete(parser, shell=arguments.shell) + "\n")
    return Exit.OK


def _parser(wanted: str | None) -> CommandParser:
    """The parser, with the arguments of the wanted verb only: the other verbs' modules are not loaded. None wants all."""
    parser = CommandParser(
        prog="durable-debug", description=DESCRIPTION, epilog=EPILOG, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, summary in VERBS.items():
        child = verbs.add_parser(verb, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if wanted in (verb, None):
            _function(verb, f"add_{verb}_arguments")(child)
    return parser


def _function(verb: str, name: str) -> Callable[..., Any]:
    """A function of the module that holds a verb; the modules of the other verbs are not loaded."""
    return cast("Callable[..., Any]", getattr(import_module(f"durable_debugger.cli.{MODULES[verb]}"), name))


class _ShowVersion(Action):
    """Looks up the version only on request: the look-up takes longer than reading a history."""

    def __call__(self, parser: ArgumentParser, *_: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("durable-execution-sdk")
        except PackageNotFoundError:  # run from a source tree that is not installed
            found = "unknown"
        parser.exit(message=f"durable-debug {found}\n")
