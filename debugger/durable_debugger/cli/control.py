"""`durable-debug stop|pause|resume|delete EXECUTION…`: acts on one execution, or on all that filters select.

Each verb first determines the executions, then lists them, and only then acts, on nothing else. Every execution is reported as
soon as the service has accepted the request, so that after Ctrl-C or a crash the same command can be run again: what is done
already is left alone.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from durable_debugger.cli.command_line import word_of
from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.options import acting_client, add_acting_options, is_on_aws
from durable_debugger.cli.output import Output
from durable_debugger.sources import aws
from durable_debugger.sources.api import TERMINAL, list_from
from durable_debugger.sources.files import is_file_reference
from durable_debugger.sources.found import (
    AmbiguousError,
    Listed,
    LookedIn,
    NotFoundError,
    arn_in,
    matching,
    nearest,
)
from durable_debugger.text.durations import moment_in
from durable_execution.clock import SystemClock
from durable_execution.counts import counted, plural
from durable_execution.protocol import ErrorObject
from durable_execution.replay.gate import HELD_BY, MAX_REASON
from durable_execution.replay.refusals import ABSENT, CONFLICT, DENIED, error_code
from durable_execution.runtime.answers import malformed

SHOWN_EVERY = 100
MAX_ASKED = 20
"""How many executions a question lists by name."""

PAUSED = frozenset({"PAUSED", "PAUSING"})
STATUSES = (*sorted(TERMINAL), "DELETING", "PAUSED", "PAUSING", "RUNNING")


@dataclass(frozen=True, slots=True)
class Verb:
    """What a verb does, and to which executions.

    Attributes:
        name: The verb.
        done: Its past participle.
        operation: The API's operation.
        statuses: The statuses in which an execution can be acted on.
        settled: The statuses in which nothing is left to do.
        obstacle: Why an execution in any other status is left alone.
        asks_always: Whether named executions also need `--yes`.
    """

    name: str
    done: str
    operation: str
    statuses: frozenset[str]
    settled: frozenset[str]
    obstacle: str
    asks_always: bool = True


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            "stop",
            "stopped",
            "StopDurableExecution",
            frozenset({"RUNNING"}) | PAUSED,
            TERMINAL | {"DELETING"},
            "",
            asks_always=False,
        ),
        Verb(
            "pause",
            "paused",
            "PauseDurableExecution",
            frozenset({"RUNNING"}),
            PAUSED,
            "only a running one can be paused",
        ),
        Verb(
            "resume",
            "resumed",
            "ResumeDurableExecution",
            PAUSED,
            frozenset({"RUNNING"}),
            "only a paused one can be resumed",
        ),
        Verb(
            "delete",
            "deleted",
            "DeleteDurableExecution",
            TERMINAL,
            frozenset({"DELETING"}),
            "only one that has ended can be deleted; stop it first",
        ),
    )
}


@dataclass(slots=True)
class Acted:
    """An execution and what was done with it.

    Attributes:
        arn: The execution.
        status: Its status before; None if it does not exist any more.
        outcome: `planned`, `done`, `unchanged` (nothing was left to do), `refused` (its status does not allow it) or
            `failed` (the service did not accept the request).
        note: Why it is unchanged, refused or failed, or why it was paused.
    """

    arn: str
    status: str | None
    outcome: str = "planned"
    note: str = ""


@dataclass(slots=True)
class Run:
    """One run of a verb.

    Attributes:
        verb: The verb.
        arguments: The command's arguments.
        output: The streams.
        found: The executions, in the order they were named or listed.
        has_acted: Whether it went beyond listing.
        is_interrupted: Whether Ctrl-C ended it.
        problem: Why it ended early; None if it did not.
    """

    verb: Verb
    arguments: Namespace
    output: Output
    found: list[Acted] = field(default_factory=list)
    has_acted: bool = False
    is_interrupted: bool = False
    problem: str | None = None

    @property
    def planned(self) -> list[Acted]:
        """The executions to act on."""
        return [one for one in self.found if one.outcome == "planned"]

    @property
    def code(self) -> int:
        """The exit code."""
        if self.is_interrupted:
            return Exit.INTERRUPTED
        if self.problem is not None or any(one.outcome == "failed" for one in self.found):
            return Exit.UNLOADABLE
        return Exit.DIVERGED if any(one.outcome == "refused" for one in self.found) else Exit.OK


def _add_arguments(parser: ArgumentParser, verb: Verb) -> None:
    parser.add_argument(
        "execution",
        metavar="EXECUTION",
        nargs="*",
        help="ID, unique prefix of an ID, name or ARN; on AWS without --function, an ARN",
    )
    parser.add_argument("--dry-run", action="store_true", help="list the executions, and change nothing")
    parser.add_argument(
        "--yes",
        action="store_true",
        help="do not ask; without a terminal to ask on, nothing is changed unless you pass this",
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    group = parser.add_argument_group("select executions, instead of naming them")
    group.add_argument("--function", metavar="NAME", help="executions of this function")
    group.add_argument("--qualifier", metavar="VERSION", help="only those of this version or alias of the function")
    group.add_argument("--name", dest="prefix", metavar="PREFIX", help="only those whose name starts with this")
    group.add_argument(
        "--status",
        action="append",
        type=word_of(STATUSES),
        metavar="STATUS",
        help=f"only those with this status: {', '.join(sorted(verb.statuses))}; repeatable",
    )
    group.add_argument("--since", metavar="WHEN", help="only those started since: 30m, 24h, 7d, or 2026-11-28T09:00")
    group.add_argument("--before", metavar="WHEN", help="only those started before this time")
    add_acting_options(parser)
    parser.epilog = (
        f"needs lambda:{verb.operation}, and lambda:GetDurableExecution for executions you name or "
        "lambda:ListDurableExecutionsByFunction for those you select. Run it again at any time: it leaves alone what is done."
    )


def add_stop_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--message", help="reason, stored as the message of the execution's error")
    parser.add_argument("--type", help="error type")
    _add_arguments(parser, VERBS["stop"])


def add_pause_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--reason", metavar="TEXT", help=f"why, stored in the history; at most {MAX_REASON} characters")
    parser.add_argument(
        "--keep-timeout",
        action="store_true",
        help="let the execution's timeout expire while it is paused (default: a pause extends it)",
    )
    _add_arguments(parser, VERBS["pause"])


def add_resume_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--reason", metavar="TEXT", help=f"why, stored in the history; at most {MAX_REASON} characters")
    _add_arguments(parser, VERBS["resume"])


def add_delete_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    _add_arguments(parser, VERBS["delete"])


def _check_usage(verb: Verb, arguments: Namespace) -> None:
    """Refuse a contradictory command before anything is read."""
    has_filters = any((arguments.prefix, arguments.status, arguments.since, arguments.before, arguments.qualifier))
    if arguments.execution and has_filters:
        raise CommandError("name executions or select them with filters, not both")
    if not (arguments.execution or arguments.function or has_filters):
        raise CommandError(
            "no execution given; name one, or select executions, for example with --function NAME --since 24h"
        )
    if arguments.qualifier and not arguments.function:
        raise CommandError("--qualifier needs --function: a version belongs to a function")
    if arguments.function is None and is_on_aws(arguments):
        if not arguments.execution:
            raise CommandError("AWS lists executions by function: add --function NAME")
        if any(arn_in(reference) is None for reference in arguments.execution):
            raise CommandError(
                f"on AWS, `{verb.name}` needs the execution's full ARN, or --function NAME to find it by name or ID"
            )
    for reference in arguments.execution:
        if is_file_reference(reference):
            raise CommandError(f"{reference} is a file; only executions in a local store or on AWS can be {verb.done}")


def _run(verb: Verb, arguments: Namespace, output: Output) -> int:
    _check_usage(verb, arguments)
    run = Run(verb, arguments, output)
    with acting_client(arguments) as client:
        try:
            _find(run, client)
            if _may_act(run):
                _act(run, client)
        except KeyboardInterrupt:
            run.is_interrupted = True
    _conclude(run)
    return run.code


run_stop = partial(_run, VERBS["stop"])
run_pause = partial(_run, VERBS["pause"])
run_resume = partial(_run, VERBS["resume"])
run_delete = partial(_run, VERBS["delete"])


def _find(run: Run, client: Any) -> None:
    """Determine the executions; nothing is added to them later."""
    found = _named(run, client) if run.arguments.execution else _selected(run, client)
    seen: set[str] = set()
    for number, one in enumerate(found, start=1):
        if one.arn not in seen:
            seen.add(one.arn)
            run.found.append(_judged(run, client, one))
        if number % SHOWN_EVERY == 0:
            run.output.show(f"{counted(number, 'execution')} listed")
    run.output.show("")


def _named(run: Run, client: Any) -> Iterator[Acted]:
    known: list[Listed] | None = None
    for reference in run.arguments.execution:
        arn = arn_in(reference)
        if arn is None:
            if known is None:
                known = list(list_from(client, run.arguments.function, place=_place(run)))
            arn = _one_of(reference, known, run)
        yield _described(run, client, arn, is_arn=arn_in(reference) is not None)


def _one_of(reference: str, known: Sequence[Listed], run: Run) -> str:
    found = matching(reference, known)
    if len(found) > 1:
        raise AmbiguousError(reference, found)
    if not found:
        number = f"{counted(len(known), 'execution')}, none match"
        raise NotFoundError(reference, [LookedIn(_place(run), number)], nearest(reference, known))
    return found[0].arn


def _place(run: Run) -> str:
    arguments = run.arguments
    if is_on_aws(arguments):
        return aws.AwsPlace(arguments.region, arguments.profile, arguments.endpoint_url).words
    return f"local store {arguments.store}"


def _described(run: Run, client: Any, arn: str, *, is_arn: bool) -> Acted:
    try:
        found = client.get_durable_execution(DurableExecutionArn=arn, IncludeExecutionData=run.verb.name == "resume")
    except Exception as error:
        if run.verb.name == "delete" and is_arn and error_code(error) == ABSENT:
            return Acted(arn, None, "unchanged", "it does not exist, or is deleted already")
        raise
    status, pause = found.get("Status"), found.get("PauseDetails") or {}
    if not status or not isinstance(status, str) or not isinstance(pause, dict):
        raise malformed("get_durable_execution answered without a Status")
    return Acted(arn, status, note=str(pause.get("Reason") or ""))


def _selected(run: Run, client: Any) -> Iterator[Acted]:
    arguments = run.arguments
    wanted = sorted(set(arguments.status or run.verb.statuses))
    now = SystemClock().now()
    filters: dict[str, Any] = {"Statuses": wanted}
    filters |= {"StartedAfter": _moment(arguments.since, "--since", now)} if arguments.since else {}
    filters |= {"StartedBefore": _moment(arguments.before, "--before", now)} if arguments.before else {}
    filters |= {"Qualifier": arguments.qualifier} if arguments.qualifier else {}
    for one in list_from(client, arguments.function, place=_place(run), **filters):
        if one.name.startswith(arguments.prefix or ""):
            yield Acted(one.arn, one.status)


def _moment(text: str, option: str, now: datetime) -> datetime:
    found = moment_in(text, now)
    if found is None:
        raise CommandError(
            f"{option} {text!r}: write an age such as 30m, 24h or 7d, or a time such as 2026-11-28T09:00"
        )
    return found


def _judged(run: Run, client: Any, one: Acted) -> Acted:
    """Decide whether an execution can be acted on."""
    verb = run.verb
    if one.outcome != "planned":
        return one
    if one.status in verb.settled:
        return replace(one, outcome="unchanged", note=f"it is {one.status}")
    if one.status not in verb.statuses:
        return replace(one, outcome="refused", note=f"it is {one.status}: {verb.obstacle}")
    if verb.name == "resume" and not run.arguments.execution:
        found = client.get_durable_execution(DurableExecutionArn=one.arn, IncludeExecutionData=True)
        reason = str((found.get("PauseDetails") or {}).get("Reason") or "")
        if reason.startswith(HELD_BY):
            note = f"held by {reason}; `durable-debug gate FUNCTION --release` resumes it, or name it here"
            return replace(one, outcome="unchanged", note=note)
        return replace(one, note=reason)
    return one


def _may_act(run: Run) -> bool:
    """List what would be done, and ask if nothing on the command line decides."""
    arguments, planned = run.arguments, run.planned
    for one in run.found:
        if one.outcome != "planned":
            _say(run, one)
    if not planned:
        return False
    needs_yes = run.verb.asks_always or not arguments.execution
    can_ask = run.output.can_ask
    if not arguments.dry_run and (arguments.yes or (not needs_yes and not can_ask)):
        return True
    asks = can_ask and not arguments.dry_run
    for one in planned[:MAX_ASKED] if asks else planned:
        _say(run, one)
    if not asks:
        return False
    if len(planned) > MAX_ASKED:
        run.output.say(f"and {len(planned) - MAX_ASKED} more; --dry-run lists all")
    return _is_confirmed(run, len(planned))


def _is_confirmed(run: Run, number: int) -> bool:
    irrevocable = {"stop": " A stopped execution cannot be resumed.", "delete": " The histories cannot be restored."}
    question = f"{run.verb.name} {counted(number, 'execution')} in {_place(run)}?"
    return run.output.is_confirmed(question + irrevocable.get(run.verb.name, ""))


def _act(run: Run, client: Any) -> None:
    run.has_acted = True
    planned = run.planned
    for number, one in enumerate(planned, start=1):
        try:
            _request(run, client, one.arn)
        except Exception as error:  # noqa: BLE001  # explained, or raised again unchanged
            code = error_code(error)
            if code is None or code in DENIED:
                run.problem = aws.explained(error, run.verb.operation)
                return
            _judge_refusal(one, code, error, run.verb)
        else:
            one.outcome, one.note = "done", ""
        run.output.show("")
        _say(run, one)
        run.output.show(f"{number} of {len(planned)}")
    run.output.show("")


def _request(run: Run, client: Any, arn: str) -> None:
    arguments, verb = run.arguments, run.verb
    options: dict[str, Any] = {}
    if verb.name == "stop":
        error = ErrorObject(arguments.message, arguments.type).to_wire()
        options = {"Error": error} if error else {}
    elif verb.name in ("pause", "resume"):
        reason = (arguments.reason or "")[:MAX_REASON]
        options = {"Reason": reason} if reason else {}
    if verb.name == "pause":
        options["ExecutionTimeoutPaused"] = not arguments.keep_timeout
    call: dict[str, Callable[..., Any]] = {
        "stop": client.stop_durable_execution,
        "pause": client.pause_durable_execution,
        "resume": client.resume_durable_execution,
        "delete": client.delete_durable_execution,
    }
    call[verb.name](DurableExecutionArn=arn, **options)


def _judge_refusal(one: Acted, code: str, error: Exception, verb: Verb) -> None:
    """The execution changed between the list and the request, or the service cannot do it now."""
    if code == CONFLICT:
        one.outcome, one.note = "unchanged", f"it changed in the meantime: {error}"
    elif code == ABSENT:
        one.outcome = "unchanged" if verb.name == "delete" else "refused"
        one.note = "it does not exist any more"
    else:
        one.outcome, one.note = "failed", f"{code}: {error}; run the command again"


def _say(run: Run, one: Acted) -> None:
    """Report one execution: what was done or would be done as a result, the rest as a message."""
    verb, note = run.verb, f": {one.note}" if one.note else ""
    if one.outcome in ("done", "planned"):
        word = verb.done if one.outcome == "done" else f"would be {verb.done}"
        text = f"{word}  {one.arn}" + (f"  ({one.note})" if one.note else "")
        (run.output.say if run.arguments.json else run.output.line)(text)
        run.output.data.flush()
    else:
        run.output.say(f"not {verb.done}  {one.arn}{note}")


def _conclude(run: Run) -> None:
    left = len(run.planned)
    if run.arguments.json:
        told = {
            "verb": run.verb.name,
            "acted": run.has_acted,
            "interrupted": run.is_interrupted,
            "problem": run.problem,
            "executions": [
                {"arn": one.arn, "status": one.status, "outcome": one.outcome, "note": one.note} for one in run.found
            ],
        }
        run.output.document(told, run.code)
    if run.problem is not None:
        run.output.say(f"durable-debug: {run.problem}")
    if run.is_interrupted:
        run.output.say("interrupted")
    if run.has_acted and left:
        run.output.say(
            f"{left} of {counted(len(run.found), 'execution')} {plural(left, 'is', 'are')} left; run the command again to continue"
        )
    elif left:
        run.output.say(
            f"nothing was changed; {left} would be {run.verb.done}" + ("" if run.arguments.dry_run else "; add --yes")
        )
    elif run.has_acted and run.verb.name == "resume" and not is_on_aws(run.arguments):
        run.output.say("they continue while an engine with their function runs: `durable-debug serve` or `run`")
    elif not run.found:
        run.output.say(f"no execution in {_place(run)} is selected")
