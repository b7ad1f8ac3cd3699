"""`durable-debug`: finds the verb, runs it, and turns errors into a message and an exit code."""

import sys
from argparse import Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any, cast

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
}
"""Verbs in the order of the help; each is the module `cli.<verb>` with `add_arguments` and `run`."""

MODULES = {
    **dict.fromkeys(("open", "list", "show", "diff"), "look"),
    **dict.fromkeys(("check", "lint"), "verify"),
    **dict.fromkeys(("run", "serve", "callback"), "engine"),
    **dict.fromkeys(("stop", "pause", "resume", "delete"), "control"),
    "replay": "replay",
    "gate": "gate",
    "export": "export",
    "explain": "explain",
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
    if not words or (words[0] not in VERBS and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "open")
    arguments = _parser(words[0]).parse_args(words)
    output = Output(is_ascii=True if getattr(arguments, "ascii", False) else None)
    try:
        with ExitStack() as arguments.closing:
            return int(_run(arguments, output))
    except KeyboardInterrupt:
        output.say("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader closed the pipe
        sys.stderr.close()
        return Exit.OK


def _run(arguments: Namespace, output: Output) -> int:
    try:
        return int(_function(arguments.verb, f"run_{arguments.verb}")(arguments, output))
    except CommandError as error:
        output.say(f"durable-debug: {error}")
        return error.exit
    except NotFoundError as error:
        say_not_found(error, output)
        return Exit.USAGE
    except AmbiguousError as error:
        say_ambiguous(error, output)
        return Exit.USAGE
    except DurableError as error:
        if (
            type(error).__name__ == "UnusableHandlerError"
        ):  # named as text: verbs without a handler do not load its module
            output.say(f"durable-debug: {error}")
            return Exit.HANDLER_FAILED
        output.say(f"durable-debug: {error}")
        return Exit.UNLOADABLE


def _parser(wanted: str) -> ArgumentParser:
    """The parser, with the arguments of the wanted verb only: the other verbs' modules are not loaded."""
    parser = ArgumentParser(
        prog="durable-debug", description=DESCRIPTION, epilog=EPILOG, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, summary in VERBS.items():
        child = verbs.add_parser(verb, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if verb == wanted:
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
