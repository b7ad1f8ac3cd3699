"""`durable-debug fork EXECUTION --at CALL MODULE:HANDLER`: what would have happened if that call had ended differently.

The fork is an execution of the local store. Calls that align with the recording take their recorded outcomes; others wait
for an answer. No step body runs unless it is named by --live.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.options import (
    EXECUTION_HELP,
    READING_NEEDS,
    add_place_options,
    add_secret_option,
    find_execution,
    function_name,
    handlers_beside,
    read_json,
    secrets_of,
)
from durable_debugger.cli.output import Output
from durable_debugger.model.facts import state_of
from durable_debugger.sources.api import ExecutionReader
from durable_debugger.sources.files import is_file_reference
from durable_debugger.sources.places import find
from durable_debugger.text import payloads
from durable_debugger.text.cells import safe
from durable_debugger.text.segments import Part
from durable_execution.clock import SystemClock
from durable_execution.comparison.call_tree import tree_of
from durable_execution.comparison.comparison import Comparison, compare
from durable_execution.errors import ForkRefusedError
from durable_execution.history.recorded import RecordedExecution
from durable_execution.local import FunctionHost, Invocation, LocalEngine, SkippingClock
from durable_execution.local.hosts import Outcome, host_of
from durable_execution.local.rules.forks import ForkClient
from durable_execution.protocol import ErrorObject, ExecutionArn
from durable_execution.protocol.operation import to_datetime
from durable_execution.replay.isolation.substitutes import isolated, released
from durable_execution.replay.loading import load_handler
from durable_execution.replay.suspects import SuspectList
from durable_execution.runtime.call import Call
from durable_execution.runtime.state import ExecutionState


def add_fork_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = READING_NEEDS
    parser.add_argument("execution", metavar="EXECUTION", help=f"{EXECUTION_HELP}; an unfinished fork, to continue it")
    parser.add_argument("target", metavar="MODULE_OR_FILE:HANDLER", help="handler whose code goes on from the call")
    parser.add_argument(
        "--at", metavar="CALL", help="the call: its path, the end of its path, its name or its operation ID"
    )
    ending = parser.add_mutually_exclusive_group()
    ending.add_argument("--result", metavar="JSON|@FILE", help="result of the call (default: as recorded)")
    ending.add_argument("--error", metavar="TYPE:MESSAGE", help="error that the call raises instead")
    parser.add_argument("--input", metavar="JSON|@FILE", help="a different payload of the execution")
    parser.add_argument(
        "--live",
        metavar="NAME",
        action="append",
        default=[],
        help="a step or invoke that runs for real, with its side effects; repeatable",
    )
    parser.add_argument(
        "--answer",
        metavar="NAME=JSON",
        action="append",
        default=[],
        help="result of calls with this name that have no recorded outcome; repeatable",
    )
    parser.add_argument("--name", metavar="NAME", help="execution name of the fork")
    parser.add_argument("--replay-trace", metavar="FILE", help="replay trace to read together with a history file")
    parser.add_argument("--json", action="store_true", help="print the fork and its first difference as JSON")
    parser.add_argument("--ascii", action="store_true", help="write ASCII characters only")
    add_secret_option(parser)
    add_place_options(parser)


def run_fork(arguments: Namespace, output: Output) -> int:
    """Fork an execution, or continue a fork."""
    is_file = is_file_reference(arguments.execution)  # the fork's store may be new then
    found = find(arguments.execution, [], trace=arguments.replay_trace) if is_file else find_execution(arguments)
    origin = found.execution
    is_continued = arguments.at is None and origin.forked_from is not None and origin.status == "RUNNING"
    if arguments.at is None and not is_continued:
        raise CommandError("name the call to fork at: --at CALL; `durable-debug show` lists the recorded calls")
    answers = dict(_answer(text) for text in arguments.answer)
    handler = load_handler(arguments.target)
    suspects = SuspectList(lambda: (0, None))
    begin = _last_moment(origin) if is_continued else origin.started_at
    with LocalEngine(arguments.store, clock=SkippingClock(begin)) as engine:
        for name, each in handlers_beside(handler).items():
            engine.register(name, _IsolatedHost(name, each, suspects))
        if is_continued:
            arn = origin.arn or ""
            engine.resume(arn)
        else:
            arn = _start(engine, origin, function_name(handler), answers, arguments)
        for name, value in answers.items() if is_continued else ():
            engine.answer(arn, name, value)
        try:
            questions = _advance(engine, arn, arguments, output)
        except KeyboardInterrupt:
            output.say(f"the fork is kept as {ExecutionArn.parse(arn).id}; continue it with:")
            output.say(f"  durable-debug fork {ExecutionArn.parse(arn).id} {arguments.target}")
            raise
        clock = SystemClock()
        fork = ExecutionReader(engine.client, arn, "", clock.now).read().execution
    effects = tuple(dict.fromkeys(f"{one.what} at {one.site}" for one in suspects if one.is_blocked))
    return _report(_Forked(origin, fork, questions, effects), arguments, output)


def _last_moment(execution: RecordedExecution) -> datetime | None:
    moments = (to_datetime(event.get("EventTimestamp")) for event in execution.events)
    return max((moment for moment in moments if moment is not None), default=None)


def _start(
    engine: LocalEngine, origin: RecordedExecution, function: str, answers: dict[str, Any], arguments: Namespace
) -> str:
    options: dict[str, Any] = {}
    if arguments.result is not None:
        options["result"] = read_json(arguments.result, "--result")
    if arguments.error is not None:
        kind, separator, message = arguments.error.partition(":")
        options["error"] = ErrorObject(message if separator else arguments.error, kind if separator else "Error")
    if arguments.input is not None:
        options["payload"] = read_json(arguments.input, "--input")
    try:
        return engine.fork(
            origin,
            at=arguments.at,
            function=function,
            live=arguments.live,
            answers=answers,
            name=arguments.name,
            **options,
        )
    except ForkRefusedError as error:
        exit_ = Exit.USAGE if error.divergence is None else Exit.DIVERGED
        raise CommandError(f"cannot fork: {error}", exit_) from error


def _answer(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise CommandError(f"--answer {text!r}: expected NAME=JSON")
    return name, read_json(value, f"--answer {name}=")


def _advance(engine: LocalEngine, arn: str, arguments: Namespace, output: Output) -> list[str]:
    """Run the fork until it ends or waits; on a terminal, ask for the outcomes that are missing.

    Returns:
        The names of the calls that still wait for an outcome.
    """
    while True:
        engine.run_until_idle(skips="work")
        questions = [] if engine.result(arn) is not None else engine.fork_questions(arn)
        if not questions or arguments.json or not (sys.stdin.isatty() and output.is_terminal):
            return questions
        output.say(f"{safe(questions[0])} has no recorded outcome. Its result, as JSON (empty to stop):")
        given = input("> ").strip()
        if not given:
            return questions
        try:
            engine.answer(arn, questions[0], json.loads(given))
        except ValueError as error:
            output.say(f"that is not JSON: {error}")


@dataclass(frozen=True, slots=True)
class _Forked:
    """A fork beside its origin."""

    origin: RecordedExecution
    fork: RecordedExecution
    questions: list[str]
    effects: tuple[str, ...]

    @property
    def comparison(self) -> Comparison:
        sides = (tree_of(one, with_outcomes=True) for one in (self.origin, self.fork))
        return compare(*sides, handler=self.origin.handler or self.origin.function_name or "execution")


def _report(found: _Forked, arguments: Namespace, output: Output) -> int:
    secrets = secrets_of(arguments)
    fork = secrets.execution(found.fork) if secrets else found.fork
    known = found.fork.forked_from
    first = found.comparison.first if arguments.at is not None else None
    error = fork.error.to_wire() if fork.error else None
    code = Exit.HANDLER_FAILED if fork.status not in ("SUCCEEDED", "RUNNING") else Exit.OK
    if arguments.json:
        output.document(
            {
                "schema": "durable-fork",
                "version": 1,
                "id": fork.id,
                "name": fork.name,
                "arn": fork.arn,
                "forked_from": {"arn": known.arn, "call": known.call, "is_edited": known.is_edited} if known else None,
                "status": fork.status,
                "result": fork.result,
                "error": error,
                "waits_for": found.questions,
                "blocked": list(found.effects),
                "first_difference": first.to_wire() if first is not None else None,
            },
            code,
        )
    state = state_of(fork.status)
    recorded = f"recorded {found.origin.status}"
    outcome = str(fork.error) if fork.error else payloads.summary(fork.result, 160) if fork.result is not None else ""
    output.say([Part(f"{state.glyph} {fork.status}", state.role), Part(f"  {recorded}  ", "dim"), Part(safe(outcome))])
    origin = _origin(found, arguments)
    if known is not None:
        output.say(f"forked from {origin or 'a recording'} at {safe(known.call)}")
    for effect in found.effects:
        output.say(f"blocked: {safe(effect)}")
    if found.questions:
        names = ", ".join(dict.fromkeys(map(safe, found.questions)))
        output.say(f"waits for an outcome of: {names}. Give it, or run the step for real:")
        output.say(f"  durable-debug fork {fork.id} {arguments.target} --answer '{safe(found.questions[0])}=JSON'")
    if not arguments.json:
        output.line(fork.id or "")
        if origin is not None:
            output.say([Part(f"compare: durable-debug diff {origin} {fork.id}", "dim")])
    return code


def _origin(found: _Forked, arguments: Namespace) -> str | None:
    """What names the origin on a command line; None if a continued fork does not know it."""
    if arguments.at is not None:
        return str(arguments.execution)
    arn = found.fork.forked_from.arn if found.fork.forked_from is not None else None
    return ExecutionArn.parse(arn).id if arn else None


class _IsolatedHost(FunctionHost):
    """Runs a handler in this process as a replay does: its code outside live steps has no side effects."""

    is_in_process = True

    def __init__(self, name: str, target: Any, suspects: SuspectList) -> None:
        self._host, _ = host_of(name, target)
        self._suspects = suspects

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run it once. An execution that a live call has invoked runs for real."""
        client = invocation.client
        if not isinstance(client, ForkClient):
            return self._host.invoke(invocation)
        client.body_order = _LiveBodies()  # pyright: ignore[reportAttributeAccessIssue]  # see `ServiceClient`
        with isolated(self._suspects):
            return self._host.invoke(invocation)

    def close(self) -> None:
        """Release the handler's host."""
        self._host.close()


class _LiveBodies:
    """Lets the bodies of live steps act: the only bodies that run in a fork."""

    async def run(self, _call: Call, body: Callable[[], Awaitable[Any]]) -> Any:
        """Run a body."""
        with released():
            return await body()

    def release(self, _state: ExecutionState) -> bool:
        """Hold nothing back."""
        return False
