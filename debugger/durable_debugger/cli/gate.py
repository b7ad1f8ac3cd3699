"""`durable-debug gate FUNCTION MODULE:HANDLER`: checks whether a deployment would break open executions.

With `--hold` it pauses those that would break, before the deployment; with `--release` it resumes them afterwards. Both
list what they would do, and do it with `--yes`. What is done already is left alone, so both can be run again at any time.
"""

import json
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from durable_debugger.cli.exits import CommandError, Exit
from durable_debugger.cli.options import acting_client, add_acting_options
from durable_debugger.cli.output import Output
from durable_debugger.cli.verify import (
    add_report_options,
    add_time_limit,
    add_worker_options,
    print_reports,
    replay_all,
    write_page,
)
from durable_debugger.sources.aws import explained
from durable_execution.counts import counted, plural
from durable_execution.protocol.safe_text import json_text
from durable_execution.replay.checks import Handlers
from durable_execution.replay.formats import render
from durable_execution.replay.gate import (
    MAX_REASON,
    Exposure,
    Held,
    OpenExecution,
    hold,
    hold_reason,
    open_executions,
    reason_for,
    release,
    would_break,
)
from durable_execution.replay.read_ahead import ReadAhead
from durable_execution.replay.refusals import reading_problem
from durable_execution.replay.report import ReplayReport, Verdict, worst

SHOWN_EVERY = 100


def add_gate_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("function", metavar="FUNCTION", help="the deployed function, by name or ARN")
    parser.add_argument(
        "target", metavar="MODULE_OR_FILE:HANDLER", nargs="?", help="the code to deploy; optional with --release"
    )
    parser.add_argument("--qualifier", metavar="VERSION", help="only executions of this version or alias")
    add_time_limit(parser, " per execution")
    acts = parser.add_mutually_exclusive_group()
    acts.add_argument("--hold", action="store_true", help="pause the executions that would break, before you deploy")
    acts.add_argument(
        "--release",
        action="store_true",
        help="resume what --hold paused, after you deployed; with a handler, only what replays the same against it",
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="pause or resume without asking; without a terminal to ask on, nothing is changed unless you pass this",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would be paused or resumed, and change nothing"
    )
    parser.epilog = (
        "needs lambda:ListDurableExecutionsByFunction and lambda:GetDurableExecutionHistory; --hold also needs "
        "lambda:PauseDurableExecution, and --release lambda:GetDurableExecution and lambda:ResumeDurableExecution"
    )
    add_worker_options(parser)
    add_report_options(parser)
    add_acting_options(parser, is_aws_default=True)


@dataclass(slots=True)
class Acts:
    """What is paused or resumed.

    Attributes:
        word: `held` or `released`.
        listed: What was planned, or what was done; with those that could not be read or changed.
        has_acted: Whether anything was to be changed, not only listed.
        is_interrupted: Whether Ctrl-C ended it before all was done.
        problem: Why the engine could not be asked for more; None if it could.
    """

    word: str
    listed: list[Held] = field(default_factory=list)
    has_acted: bool = False
    is_interrupted: bool = False
    problem: str | None = None

    def code(self, code: int) -> int:
        """Return the exit code of the command, given that of the replays."""
        if self.is_interrupted:
            return Exit.INTERRUPTED
        return Exit.UNLOADABLE if self.problem or any(one.problem for one in self.listed) else code


def run_gate(arguments: Namespace, output: Output) -> int:
    """Check every open execution of a function."""
    if arguments.target is None and not arguments.release:
        raise CommandError("no handler given; add the code to deploy, for example `shop.orders:process_order`")
    arguments.yes = arguments.yes and not arguments.dry_run
    with acting_client(arguments) as client:
        found = _listed(client, arguments, output)
        code = (_release if arguments.release else _gate)(client, found, arguments, output)
    if not found:
        output.say(f"no execution of {arguments.function} is open; a deployment cannot break any")
    return code


def _listed(client: Any, arguments: Namespace, output: Output) -> list[OpenExecution]:
    found: list[OpenExecution] = []
    for execution in open_executions(client, arguments.function, qualifier=arguments.qualifier):
        found.append(execution)
        if len(found) % SHOWN_EVERY == 0:
            output.show(f"{counted(len(found), 'open execution')} listed")
    output.show("")
    return found


def _gate(client: Any, found: Sequence[OpenExecution], arguments: Namespace, output: Output) -> int:
    checked = [one for one in found if one.exposure is not Exposure.PINNED]
    pinned = [one for one in found if one.exposure is Exposure.PINNED]
    reports = _replayed(client, checked, arguments, output)
    code = int(worst(reports))
    acts = Acts("held")
    if arguments.hold and not any(report.verdict is Verdict.INTERRUPTED for report in reports):
        planned = [
            Held(execution.arn, reason_for(report, arguments.target))
            for execution, report in zip(checked, reports, strict=True)
            if would_break(report) and execution.status == "RUNNING"
        ]
        _carry_out(acts, planned, lambda one: hold(client, one.arn, one.reason), arguments, output)
        if acts.has_acted:
            code = acts.code(_code_of_hold(checked, reports, acts.listed))
    _print(reports, checked, pinned, acts, code, arguments, output)
    if found:
        _say_exposure(checked, pinned, arguments, output)
        _say_verdict(reports, code, arguments, output)
    return code


def _replayed(
    client: Any, executions: Sequence[OpenExecution], arguments: Namespace, output: Output
) -> list[ReplayReport]:
    """Replay executions; without any, the handler is not imported."""
    handlers = Handlers.parse([arguments.target])
    if not executions:
        return []
    sources = [one.source(client) for one in executions]
    return replay_all(sources, handlers, arguments, output, is_remote=True)


def _carry_out(
    acts: Acts, planned: Sequence[Held], act: Callable[[Held], Held], arguments: Namespace, output: Output
) -> None:
    """List what is planned, and do it if the command line or the terminal says so."""
    acts.has_acted = arguments.yes or _is_confirmed(acts.word, planned, arguments, output)
    if not acts.has_acted:
        acts.listed += planned
        return
    done = 0
    try:
        for one in planned:
            acts.listed.append(act(one))
            done += 1
            _say(acts.listed[-1], acts.word, output)
    except KeyboardInterrupt:
        acts.is_interrupted = True
    except Exception as error:  # noqa: BLE001  # explained, or raised again unchanged
        acts.problem = explained(error)
        output.say(f"durable-debug: {acts.problem}")
    if done < len(planned):
        left = len(planned) - done
        output.say(
            f"{'interrupted: ' if acts.is_interrupted else ''}{left} of {counted(len(planned), 'execution')} "
            f"{plural(left, 'is', 'are')} not {acts.word}; run the command again to continue"
        )


def _is_confirmed(word: str, planned: Sequence[Held], arguments: Namespace, output: Output) -> bool:
    for one in planned:
        output.say(f"would be {word}: {one.arn}: {one.reason}")
    if not planned:
        return False
    asks = output.can_ask and not arguments.dry_run
    verb = {"held": "pause", "released": "resume"}[word]
    if asks and output.is_confirmed(f"{verb} {counted(len(planned), 'execution')}?"):
        return True
    output.say("nothing was changed" + ("" if arguments.dry_run else "; add --yes to do it"))
    return False


def _code_of_hold(checked: Sequence[OpenExecution], reports: Sequence[ReplayReport], held: Sequence[Held]) -> int:
    """Return 0 if nothing that would break runs any more."""
    at_rest = {one.arn for one in held} | {one.arn for one in checked if one.status != "RUNNING"}
    left = [
        report
        for execution, report in zip(checked, reports, strict=True)
        if not (would_break(report) and execution.arn in at_rest)
    ]
    return int(worst(left))


def _release(client: Any, found: Sequence[OpenExecution], arguments: Namespace, output: Output) -> int:
    reasons: dict[str, str] = {}
    acts = Acts("released")
    at_rest = [one for one in found if one.status != "RUNNING"]
    with ReadAhead([partial(hold_reason, client, one) for one in at_rest]) as ahead:
        for execution, read_reason in zip(at_rest, ahead.results, strict=True):
            try:
                reason = read_reason()
            except Exception as error:  # noqa: BLE001  # one that cannot be read must not keep the others
                problem = f"cannot read it: {reading_problem(error, 'GetDurableExecution')}"
                acts.listed.append(Held(execution.arn, "", problem))
                _say(acts.listed[-1], acts.word, output)
                continue
            if reason is not None:
                reasons[execution.arn] = reason
    ours = [one for one in found if one.arn in reasons]
    reports: list[ReplayReport] = []
    code = int(Exit.OK)
    if arguments.target is not None:
        reports = _replayed(client, ours, arguments, output)
        ours = [one for one, report in zip(ours, reports, strict=True) if report.is_same]
        code = int(worst(reports))
    if code != Exit.INTERRUPTED:
        _carry_out(
            acts,
            [Held(one.arn, reasons[one.arn]) for one in ours],
            lambda one: replace(release(client, one.arn, f"released: {one.reason}"[:MAX_REASON]), reason=one.reason),
            arguments,
            output,
        )
    code = acts.code(code)
    _print(reports, [], [], acts, code, arguments, output)
    if found and not reasons and not acts.listed:
        output.say(f"no open execution of {arguments.function} is held by the gate")
    return code


def _print(
    reports: Sequence[ReplayReport],
    checked: Sequence[OpenExecution],
    pinned: Sequence[OpenExecution],
    acts: Acts,
    code: int,
    arguments: Namespace,
    output: Output,
) -> None:
    text = render(reports, arguments.format, command="durable-debug gate")
    if arguments.format == "json":
        document = json.loads(text)
        document["exit_code"] = code
        is_unread = any(report.verdict is Verdict.UNREADABLE for report in reports)
        document["is_partial"] |= is_unread or acts.is_interrupted or acts.problem is not None
        document["gate"] = {
            "at_risk": [one.arn for one in checked if one.exposure is Exposure.AT_RISK],
            "unknown": [one.arn for one in checked if one.exposure is Exposure.UNKNOWN],
            "pinned": [{"arn": one.arn, "version": one.version} for one in pinned],
            "acted": acts.has_acted,
            "problem": acts.problem,
            acts.word: [{"arn": one.arn, "reason": one.reason, "problem": one.problem} for one in acts.listed],
        }
        text = json_text(document) + "\n"
    if reports or arguments.format != "text" or arguments.output is not None:
        print_reports(text, arguments, output)
    write_page(reports, arguments, output)


def _say_exposure(
    checked: Sequence[OpenExecution], pinned: Sequence[OpenExecution], arguments: Namespace, output: Output
) -> None:
    at_risk = sum(one.exposure is Exposure.AT_RISK for one in checked)
    unknown = len(checked) - at_risk
    parts = [f"{at_risk:,} at risk (on $LATEST)"]
    if pinned:
        versions = Counter(str(one.version) for one in pinned)
        shown = ", ".join(f"{number:,} on version {version}" for version, number in sorted(versions.items()))
        parts.append(f"{len(pinned):,} pinned to a published version ({shown}), which a deployment does not change")
    if unknown:
        parts.append(f"{unknown:,} on a version that is not known, checked like those at risk")
    paused = sum(one.status != "RUNNING" for one in (*checked, *pinned))
    parts += [f"{paused:,} of them paused"] if paused else []
    output.say(f"{arguments.function}: {counted(len(checked) + len(pinned), 'open execution')}: {'; '.join(parts)}")


def _say_verdict(reports: Sequence[ReplayReport], code: int, arguments: Namespace, output: Output) -> None:
    """Say whether the code can be deployed, and on how many executions that rests."""
    number = counted(len(reports), "open execution")
    breaking = sum(map(would_break, reports))
    unread = sum(not report.is_same and not would_break(report) for report in reports)
    if code == Exit.OK:
        held = " while they are held" if breaking else ""
        basis = f"checked against {number}" if reports else "no open execution replays it"
        output.say(f"{arguments.target} is safe to deploy{held}: {basis}")
        return
    parts = [f"{breaking:,} of {number} would break"] if breaking else []
    parts += [f"{unread:,} of {number} could not be checked"] if unread else []
    verdict = "is not safe to deploy" if breaking else "may not be safe to deploy"
    output.say(f"{arguments.target} {verdict}: {', '.join(parts)}")


def _say(one: Held, word: str, output: Output) -> None:
    """Say at once what was done: the command may be ended before it comes to the next one."""
    if one.problem is not None:
        output.say(f"not {word}: {one.arn}: {one.problem}")
    else:
        output.say(f"{word}: {one.arn}: {one.reason}")
