"""`durable-debug gate FUNCTION MODULE:HANDLER`: checks whether a deployment would break open executions.

With `--hold` it pauses those that would break, before the deployment; with `--release` it resumes them afterwards. Both
list what they would do, and do it with `--yes`. What is done already is left alone, so both can be run again at any time.
"""

import json
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from durable_execution.counts import counted
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


def run_gate(arguments: Namespace, output: Output) -> int:
    """Check every open execution of a function."""
    if arguments.target is None and not arguments.release:
        raise CommandError("no handler given; add the code to deploy, for example `shop.orders:process_order`")
    arguments.yes = arguments.yes and not arguments.dry_run
    with acting_client(arguments) as client:
        found = _listed(client, arguments, output)
        if not found:
            output.say(f"no execution of {arguments.function} is open; a deployment cannot break any")
            return Exit.OK
        return (
            _release(client, found, arguments, output) if arguments.release else _gate(client, found, arguments, output)
        )


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
    handlers = Handlers.parse([arguments.target])
    reports = replay_all([one.source(client) for one in checked], handlers, arguments, output)
    code = int(worst(reports))
    held: list[Held] = []
    if arguments.hold and not any(report.verdict is Verdict.INTERRUPTED for report in reports):
        held = _hold(client, checked, reports, arguments, output)
        if arguments.yes:
            code = _code_of_hold(checked, reports, held)
    _print(reports, checked, pinned, held, code, arguments, output)
    _say_exposure(checked, pinned, arguments, output)
    if checked:
        verdict = "is safe to deploy" if code == Exit.OK else "is not safe to deploy"
        condition = " while they are held" if held and code == Exit.OK else ""
        output.say(
            f"{arguments.target} {verdict}{condition}: checked against {counted(len(checked), 'open execution')}"
        )
    return code


def _hold(
    client: Any,
    checked: Sequence[OpenExecution],
    reports: Sequence[ReplayReport],
    arguments: Namespace,
    output: Output,
) -> list[Held]:
    planned = [
        Held(execution.arn, reason_for(report, arguments.target))
        for execution, report in zip(checked, reports, strict=True)
        if would_break(report) and execution.status == "RUNNING"
    ]
    return _carry_out(planned, "held", lambda one: hold(client, one.arn, one.reason), arguments, output)


def _carry_out(
    planned: Sequence[Held], word: str, act: Callable[[Held], Held], arguments: Namespace, output: Output
) -> list[Held]:
    """List what is planned, and do it if the command line or the terminal says so."""
    if not arguments.yes:
        for one in planned:
            output.say(f"would be {word}: {one.arn}: {one.reason}")
        asks = bool(planned) and output.can_ask and not arguments.dry_run
        verb = {"held": "pause", "released": "resume"}[word]
        arguments.yes = asks and output.is_confirmed(f"{verb} {counted(len(planned), 'execution')}?")
        if not arguments.yes:
            if planned:
                output.say("nothing was changed" + ("" if arguments.dry_run else "; add --yes to do it"))
            return list(planned)
    done: list[Held] = []
    for one in planned:
        done.append(act(one))
        _say(done[-1], word, output)
    return done


def _code_of_hold(checked: Sequence[OpenExecution], reports: Sequence[ReplayReport], held: Sequence[Held]) -> int:
    """Return 0 if nothing that would break runs any more, 3 if some of it could not be paused."""
    if any(one.problem for one in held):
        return Exit.UNLOADABLE
    at_rest = {one.arn for one in held} | {one.arn for one in checked if one.status != "RUNNING"}
    left = [
        report
        for execution, report in zip(checked, reports, strict=True)
        if not (would_break(report) and execution.arn in at_rest)
    ]
    return int(worst(left))


def _release(client: Any, found: Sequence[OpenExecution], arguments: Namespace, output: Output) -> int:
    reasons: dict[str, str] = {}
    problems: list[Held] = []
    for execution in found:
        try:
            reason = hold_reason(client, execution)
        except Exception as error:  # noqa: BLE001  # one that cannot be read must not keep the others
            problems.append(Held(execution.arn, "", f"cannot read it: grant lambda:GetDurableExecution: {error}"))
            continue
        if reason is not None:
            reasons[execution.arn] = reason
    ours = [one for one in found if one.arn in reasons]
    reports: list[ReplayReport] = []
    code = int(Exit.OK)
    if arguments.target is not None:
        handlers = Handlers.parse([arguments.target])
        reports = replay_all([one.source(client) for one in ours], handlers, arguments, output)
        ours = [one for one, report in zip(ours, reports, strict=True) if report.is_same]
        code = int(worst(reports))
    for problem in problems:
        _say(problem, "released", output)
    planned = [Held(one.arn, reasons[one.arn]) for one in ours]
    done = _carry_out(
        planned,
        "released",
        lambda one: replace(release(client, one.arn, f"released: {one.reason}"[:MAX_REASON]), reason=one.reason),
        arguments,
        output,
    )
    if arguments.target is not None:
        _print(reports, [], [], done, code, arguments, output)
    if not reasons and not problems:
        output.say(f"no open execution of {arguments.function} is held by the gate")
    return Exit.UNLOADABLE if problems or any(one.problem for one in done) else code


def _print(
    reports: Sequence[ReplayReport],
    checked: Sequence[OpenExecution],
    pinned: Sequence[OpenExecution],
    held: Sequence[Held],
    code: int,
    arguments: Namespace,
    output: Output,
) -> None:
    text = render(reports, arguments.format)
    if arguments.format == "json":
        document = json.loads(text)
        document["exit_code"] = code
        document["gate"] = {
            "at_risk": [one.arn for one in checked if one.exposure is Exposure.AT_RISK],
            "unknown": [one.arn for one in checked if one.exposure is Exposure.UNKNOWN],
            "pinned": [{"arn": one.arn, "version": one.version} for one in pinned],
            "acted": arguments.yes,
            "released" if arguments.release else "held": [
                {"arn": one.arn, "reason": one.reason, "problem": one.problem} for one in held
            ],
        }
        text = json_text(document) + "\n"
    if reports or arguments.format != "text":
        print_reports(text, arguments, output)
    write_page(reports, arguments, output)


def _say_exposure(
    checked: Sequence[OpenExecution], pinned: Sequence[OpenExecution], arguments: Namespace, output: Output
) -> None:
    at_risk = sum(one.exposure is Exposure.AT_RISK for one in checked)
    unknown = len(checked) - at_risk
    parts = [f"{at_risk} at risk (on $LATEST)"]
    if pinned:
        versions = Counter(str(one.version) for one in pinned)
        shown = ", ".join(f"{number} on version {version}" for version, number in sorted(versions.items()))
        parts.append(f"{len(pinned)} pinned to a published version ({shown}), which a deployment does not change")
    if unknown:
        parts.append(f"{unknown} on a version that is not known, checked like those at risk")
    paused = sum(one.status != "RUNNING" for one in (*checked, *pinned))
    parts += [f"{paused} of them paused"] if paused else []
    output.say(f"{arguments.function}: {counted(len(checked) + len(pinned), 'open execution')}: {'; '.join(parts)}")


def _say(one: Held, word: str, output: Output) -> None:
    """Say at once what was done: the command may be ended before it comes to the next one."""
    if one.problem is not None:
        output.say(f"not {word}: {one.arn}: {one.problem}")
    else:
        output.say(f"{word}: {one.arn}: {one.reason}")
