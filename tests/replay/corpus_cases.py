"""What the corpus is made of: programs, edits of them, and what replaying the one against the other must say.

`python -m tests.replay.corpus_cases [TITLE …]` records the programs, or some of them, and writes `corpus/`.
"""

import json
import sys
from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
Body = list[dict[str, Any]]
Edit = Callable[[Body], None]

CORPUS = Path(__file__).parent / "corpus"


def step(name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"op": "step", **({"name": name} if name else {}), **more}


def wait(name: str | None = None, seconds: int = 5, **more: Any) -> dict[str, Any]:
    return {"op": "wait", **({"name": name} if name else {}), "seconds": seconds, **more}


def call(op: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"op": op, **({"name": name} if name else {}), **more}


def child(name: str | None, *body: dict[str, Any], **more: Any) -> dict[str, Any]:
    return call("child", name, body=list(body), **more)


def map_(name: str | None, items: Any, *body: dict[str, Any], **more: Any) -> dict[str, Any]:
    return call("map", name, items=items, body=list(body), **more)


def parallel(name: str | None, *branches: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return call("parallel", name, branches=[{"body": branch} for branch in branches], **more)


def result(value: Any) -> dict[str, Any]:
    return {"op": "return", "value": value}


ORDER: Body = [
    step("validate", value=True),
    step("charge", value={"id": "p1"}, **{"as": "payment"}),
    wait("confirmation"),
    step("reserve_stock", value=3),
    step("ship", value="s1"),
    result({"var": "payment"}),
]
NESTED: Body = [
    step("begin"),
    child("prepare", step("load", value=1), wait("settle", 2), step("check", value=2), step("store", value=3)),
    wait("pause", 3),
    step("finish", value="done"),
]
FAN_OUT: Body = [
    step("list", value=[1, 2, 3], **{"as": "items"}),
    map_("each", {"var": "items"}, step("fetch", value=1), step("save", value=2)),
    step("sum", value=6),
]
FLAT: Body = [
    step("list", value=[1, 2, 3]),
    map_("each", [1, 2, 3], step("fetch", value=1), step("save", value=2), flat=True),
    step("sum", value=6),
]
VIRTUAL: Body = [
    step("begin"),
    child("quiet", step("one"), wait("rest", 2), step("two"), child("inner", step("kernel"), value=1), virtual=True),
    step("end"),
]
TASKS: Body = [
    call("together", calls=[
        call("sequence", body=[step("first"), wait("second", 2), step("third")]),
        call("sequence", body=[wait("fourth", 3), step("fifth")]),
        step("beside"),
    ]),
    step("end"),
]  # fmt: skip
FLAT_WAITS: Body = [
    map_("each", [1, 2, 3], step("fetch", value=1), wait("settle", 2), step("save", value=2), flat=True),
    step("sum", value=6),
]
BRANCHES: Body = [
    parallel(
        "notify",
        [step("email", value="e"), wait("hold", 2), step("log_email")],
        [step("sms", value="s"), step("log_sms")],
    ),
    step("close"),
]
APPROVAL: Body = [
    step("request", value=1),
    call("callback", "approval", timeout=3600, **{"as": "approval"}),
    step("announce"),
    call("callback_result", of="approval", **{"as": "answer"}),
    step("record"),
    result({"var": "answer"}),
]
CALLER: Body = [
    step("prepare", value=1),
    call("invoke", "billing", function="billing", payload={"amount": 5}, **{"as": "bill"}),
    step("archive"),
    result({"var": "bill"}),
]
RETRIES: Body = [
    step("flaky", failures=2, value=1),
    step("between", value=2),
    step("flaky_again", failures=1, value=3),
    wait("rest", 2),
    step("end"),
]
CONTEST: Body = [
    call("race", "first", calls=[
        step("quick", value="q"),
        wait("slow", 60),
        call("sequence", body=[wait("slower", 90), step("never")]),
        call("race", calls=[wait("third", 70), wait("fourth", 80)]),
    ]),
    child("inside", call("any", calls=[
        call("sequence", body=[step("one"), wait("pause", 30), step("two")]),
        call("sequence", body=[step("three"), wait("rest", 5), step("four", value=4)]),
    ])),
    call("race", "begun", calls=[step("now", value=1), call("sequence", body=[step("early"), wait("late", 60)])], tasks=True),
    step("end"),
]  # fmt: skip
RESTING: Body = [
    call("together", calls=[
        call("sequence", body=[call("callback", "approval", **{"as": "cb"}), call("callback_result", of="cb")]),
        step("a", value=1),
        step("b", value=2),
    ]),
    step("end"),
]  # fmt: skip
RESTING_TASK: Body = [
    call("together", calls=[
        call("sequence", body=[call("callback", "approval", **{"as": "cb"}), call("callback_result", of="cb")]),
        call("sequence", body=[step("a", value=1), wait("settle", 2), step("b", value=2)]),
    ]),
    step("end"),
]  # fmt: skip
RESTING_BRANCHES: Body = [
    parallel("both", RESTING_TASK, [step("quick"), wait("settle", 2), step("slow")]),
    step("close"),
]
UNNAMED: Body = [step(value=1), wait(seconds=2), step(value=2), step(value=3), wait(seconds=3), step(value=4)]


@dataclass(frozen=True, slots=True)
class Case:
    """A program, and what replaying another one against its recording must say.

    Attributes:
        title: Names the file.
        body: The recorded program.
        edit: Changes it into the replayed one; None replays it as it is.
        kind: Expected kind of the root; None expects silence.
        path: Expected path of the root.
        callbacks: Answers of callbacks by name.
        keep: How many events of the recording are kept; None keeps all.
        mangle: What else happens to the recording.
    """

    title: str
    body: Body
    edit: Edit | None = None
    kind: str | None = None
    path: str | None = None
    callbacks: dict[str, Any] = field(default_factory=dict)
    keep: int | None = None
    mangle: str | None = None


def at(body: Body, *places: Any) -> Any:
    """Something inside a program."""
    found: Any = body
    for place in places:
        found = found[place]
    return found


def insert(index: int, statement: dict[str, Any], *places: Any) -> Edit:
    return lambda body: at(body, *places).insert(index, statement)


def remove(index: int, *places: Any, count: int = 1) -> Edit:
    return lambda body: at(body, *places).__delitem__(slice(index, index + count))


def rename(index: int, name: str, *places: Any) -> Edit:
    return lambda body: at(body, *places, index).__setitem__("name", name)


def replace(index: int, statement: dict[str, Any], *places: Any) -> Edit:
    return lambda body: at(body, *places).__setitem__(index, statement)


def swap(left: int, right: int, *places: Any) -> Edit:
    def exchange(body: Body) -> None:
        inner = at(body, *places)
        inner[left], inner[right] = inner[right], inner[left]

    return exchange


def both(first: Edit, second: Edit) -> Edit:
    def edit(body: Body) -> None:
        first(body)
        second(body)

    return edit


def put(key: str, value: Any, *places: Any) -> Edit:
    return lambda body: at(body, *places).__setitem__(key, value)


IN_CHILD = (1, "body")
IN_BRANCH = (0, "branches", 0, "body")

DIVERGENT = [
    Case("skipped-first", ORDER, remove(0), "skipped", "flow/validate"),
    Case("skipped-before-wait", ORDER, remove(1), "skipped", "flow/charge"),
    Case("skipped-wait", ORDER, remove(2), "skipped", "flow/confirmation"),
    Case("skipped-after-wait", ORDER, remove(3), "skipped", "flow/reserve_stock"),
    Case("skipped-last", ORDER, remove(4), "skipped", "flow/ship"),
    Case("skipped-two", ORDER, remove(3, count=2), "skipped", "flow/reserve_stock"),
    Case("skipped-in-child", NESTED, remove(2, *IN_CHILD), "skipped", "flow/prepare/check"),
    Case("skipped-last-in-child", NESTED, remove(3, *IN_CHILD), "skipped", "flow/prepare/store"),
    Case("skipped-in-map", FAN_OUT, remove(0, 1, "body"), "skipped", "flow/each#0/fetch"),
    Case("skipped-in-flat-map", FLAT, remove(0, 1, "body"), "skipped", "flow/each#0/fetch"),
    Case("skipped-in-branch", BRANCHES, remove(1, *IN_BRANCH), "skipped", "flow/notify#0/hold"),
    Case("skipped-callback", APPROVAL, lambda body: [remove(3)(body), remove(1)(body), None][-1], "skipped",
         "flow/approval", {"approval": "yes"}),
    Case("skipped-invoke", CALLER, remove(1), "skipped", "flow/billing"),
    Case("skipped-child", NESTED, remove(1), "skipped", "flow/prepare"),
    Case("skipped-map", FAN_OUT, remove(1), "skipped", "flow/each"),
    Case("skipped-retried", RETRIES, remove(0), "skipped", "flow/flaky"),
    Case("inserted-first", ORDER, insert(0, step("greet")), "inserted", "flow/greet"),
    Case("inserted-before-wait", ORDER, insert(2, step("audit")), "inserted", "flow/audit"),
    Case("inserted-wait", ORDER, insert(1, wait("cool_down", 30)), "inserted", "flow/cool_down"),
    Case("inserted-after-wait", ORDER, insert(3, step("audit")), "inserted", "flow/audit"),
    Case("inserted-in-child", NESTED, insert(1, step("more"), *IN_CHILD), "inserted", "flow/prepare/more"),
    Case("inserted-in-map", FAN_OUT, insert(1, step("more"), 1, "body"), "inserted", "flow/each#0/more"),
    Case("inserted-in-flat-map", FLAT, insert(0, step("more"), 1, "body"), "inserted", "flow/each#0/more"),
    Case("inserted-in-branch", BRANCHES, insert(0, step("more"), *IN_BRANCH), "inserted", "flow/notify#0/more"),
    Case("inserted-child", NESTED, insert(1, child("extra", step("inner"))), "inserted", "flow/extra"),
    Case("inserted-between-retries", RETRIES, insert(1, step("more")), "inserted", "flow/more"),
    Case("inserted-before-callback", APPROVAL, insert(1, step("more")), "inserted", "flow/more", {"approval": "yes"}),
    Case("inserted-map", ORDER, insert(1, map_("lines", [1, 2], step("line"))), "inserted", "flow/lines"),
    Case("inserted-last", NESTED, insert(4, step("more")), "inserted", "flow/more"),
    Case("inserted-last-in-child", NESTED, insert(4, step("more"), *IN_CHILD), "inserted", "flow/prepare/more"),
    Case("inserted-last-in-flat-map", FLAT, insert(2, step("more"), 1, "body"), "inserted", "flow/each#0/more"),
    Case("kind-step-to-wait", ORDER, replace(3, wait("reserve_stock")), "changed_kind", "flow/reserve_stock"),
    Case("kind-wait-to-step", ORDER, replace(2, step("confirmation")), "changed_kind", "flow/confirmation"),
    Case("kind-child-to-step", NESTED, replace(1, step("prepare")), "changed_kind", "flow/prepare"),
    Case("kind-step-to-child", ORDER, replace(3, child("reserve_stock", step("x"))), "changed_kind",
         "flow/reserve_stock"),
    Case("kind-invoke-to-step", CALLER, replace(1, step("billing")), "changed_kind", "flow/billing"),
    Case("kind-map-to-child", FAN_OUT, replace(1, child("each", step("fetch"))), "changed_kind", "flow/each"),
    Case("kind-in-child", NESTED, replace(2, wait("check"), *IN_CHILD), "changed_kind", "flow/prepare/check"),
    Case("kind-nested-to-flat", FAN_OUT, put("flat", True, 1), "changed_kind", "flow/each#0"),
    Case("kind-flat-to-nested", FLAT, put("flat", False, 1), "changed_kind", "flow/each#0"),
    Case("renamed-step", ORDER, rename(1, "charge_card"), "renamed", "flow/charge"),
    Case("renamed-wait", ORDER, rename(2, "settling"), "renamed", "flow/confirmation"),
    Case("renamed-last", ORDER, rename(4, "ship_parcel"), "renamed", "flow/ship"),
    Case("renamed-child", NESTED, rename(1, "preparation"), "renamed", "flow/prepare"),
    Case("renamed-in-child", NESTED, rename(2, "verify", *IN_CHILD), "renamed", "flow/prepare/check"),
    Case("renamed-in-map", FAN_OUT, rename(1, "store", 1, "body"), "renamed", "flow/each#0/save"),
    Case("renamed-callback", APPROVAL, rename(1, "consent"), "renamed", "flow/approval", {"approval": "yes"}),
    Case("renamed-invoke", CALLER, rename(1, "invoicing"), "renamed", "flow/billing"),
    Case("reordered-steps", ORDER, swap(3, 4), "reordered", "flow/reserve_stock"),
    Case("reordered-around-wait", ORDER, swap(1, 2), "reordered", "flow/charge"),
    Case("reordered-in-child", NESTED, swap(2, 3, *IN_CHILD), "reordered", "flow/prepare/check"),
    Case("reordered-in-branch", BRANCHES, swap(0, 2, *IN_BRANCH), "reordered", "flow/notify#0/email"),
    Case("reordered-unnamed-kinds", UNNAMED, swap(0, 1), "reordered", "flow/step(1)"),
    Case("branches-fewer-items", FAN_OUT, put("items", [1, 2], 1), "branch_count", "flow/each"),
    Case("branches-more-items", FAN_OUT, put("items", [1, 2, 3, 4], 1), "branch_count", "flow/each"),
    Case("branches-fewer", BRANCHES, remove(1, 0, "branches"), "branch_count", "flow/notify"),
    Case("branches-fewer-flat", FLAT, put("items", [1], 1), "branch_count", "flow/each"),
    Case("branches-fewer-flat-with-waits", FLAT_WAITS, put("items", [1, 2], 0), "branch_count", "flow/each"),
    Case("branches-fewer-flat-running", FLAT_WAITS, put("items", [1, 2], 0), "branch_count", "flow/each", keep=12),
    Case("branches-none-flat-running", FLAT_WAITS, put("items", [], 0), "branch_count", "flow/each", keep=12),
    Case("branches-more-items-flat", FLAT_WAITS, put("items", [1, 2, 3, 4], 0), "branch_count", "flow/each"),
    Case("branches-fewer-flat-parallel", [call("parallel", "notify", branches=[{"body": [step("email")]},
         {"body": [step("sms"), wait("hold", 2)]}, {"body": [wait("quiet", 3), step("letter")]}], flat=True),
         step("end")], remove(2, 0, "branches"), "branch_count", "flow/notify"),
    Case("configuration-wait", ORDER, put("seconds", 60, 2), "configuration", "flow/confirmation"),
    Case("configuration-wait-in-child", NESTED, put("seconds", 9, *IN_CHILD, 1), "configuration", "flow/prepare/settle"),
    Case("configuration-callback-timeout", APPROVAL, put("timeout", 60, 1), "configuration", "flow/approval",
         {"approval": "yes"}),
    Case("configuration-callback-without-timeout", APPROVAL, lambda body: body[1].pop("timeout"), "configuration",
         "flow/approval", {"approval": "yes"}),
    Case("configuration-wait-for-callback-timeout", [step("a"), call("wait_for_callback", "approve", timeout=60), step("b")],
         put("timeout", 90, 1), "configuration", "flow/approve/approve create callback id", {"approve": "yes"}),
    Case("branches-changed-places", [call("parallel", "notify", branches=[{"name": "one", "body": [step("email")]},
         {"name": "two", "body": [step("sms")]}]), step("end")], swap(0, 1, 0, "branches"), "renamed", "flow/notify#0"),
    Case("configuration-invoke-target", CALLER, put("function", "ledger", 1), "configuration", "flow/billing"),
    Case("input-invoke-payload", CALLER, put("payload", {"amount": 6}, 1), "input", "flow/billing"),
    Case("result-of-child", NESTED, put("value", 41, 1), "result", "flow/prepare"),
    Case("outcome-result", ORDER, put("value", "other", 5), "outcome", "flow"),
    Case("skipped-in-virtual-child", VIRTUAL, remove(1, *IN_CHILD), "skipped", "flow/quiet/rest"),
    Case("skipped-last-in-virtual-child-running", VIRTUAL, remove(2, *IN_CHILD, count=2), "skipped",
         "flow/quiet/two", keep=9),
    Case("renamed-in-child-in-virtual-child", VIRTUAL, rename(0, "core", *IN_CHILD, 3, "body"), "renamed",
         "flow/quiet/inner/kernel"),
    Case("renamed-in-map-by-item", [map_("each", ["x", "y", "z"], step("do_{index}"), wait(seconds=1)), step("end")],
         rename(0, "done_{index}", 0, "body"), "renamed", "flow/each#0/do_0"),
    Case("renamed-in-a-task", TASKS, rename(0, "initial", 0, "calls", 0, "body"), "renamed", "flow~1/first"),
    Case("inserted-last-in-a-task", TASKS, insert(3, step("more"), 0, "calls", 0, "body"), "inserted", "flow~1/more"),
    Case("skipped-last-in-a-task", TASKS, remove(2, 0, "calls", 0, "body"), "skipped", "flow~1/third"),
    Case("skipped-in-a-task-in-a-branch", [parallel("p", TASKS, [step("q")]), step("after")],
         remove(0, 0, "branches", 0, "body", 0, "calls", 1, "body"), "skipped", "flow/p#0~2/fourth"),
    Case("inserted-in-a-task-in-a-child", [child("c", *TASKS), step("after")],
         insert(1, step("more"), 0, "body", 0, "calls", 0, "body"), "inserted", "flow/c~1/more"),
    Case("running-skipped", ORDER, remove(1), "skipped", "flow/charge", keep=7),
    Case("running-inserted-before-wait", ORDER, insert(1, step("audit")), "inserted", "flow/audit", keep=7),
    Case("running-renamed-wait", ORDER, rename(2, "settling"), "renamed", "flow/confirmation", keep=7),
    Case("unnamed-removed-wait", UNNAMED, remove(1), "skipped", "flow/wait(1)"),
    Case("large-result-skipped-inside", [child("big", step("part", value={"large": 200_000}, **{"as": "part"}),
         step("rest", value={"large": 200_000}), value={"all": [{"var": "part"}, {"large": 100_000}]}), step("after")],
         remove(1, 0, "body"), "skipped", "flow/big/rest"),
    Case("wait-for-callback-renamed", [step("a"), call("wait_for_callback", "approve"), step("b")],
         rename(1, "consent"), "renamed", "flow/approve", {"approve": "yes"}),
    Case("failed-step-handled-then-skipped", [{"op": "try", "body": [step("bad", failures=9, attempts=1)],
         "except": [step("recover")]}, step("end")], lambda body: at(body, 0, "except").clear(), "skipped",
         "flow/recover"),
    Case("renamed-in-the-winner-of-a-race", CONTEST, rename(2, "last", 1, "body", 0, "calls", 1, "body"), "renamed",
         "flow/inside/step(1)#1/four"),
    Case("skipped-in-the-winner-of-a-race", CONTEST, remove(0, 1, "body", 0, "calls", 1, "body"), "skipped",
         "flow/inside/step(1)#1/three"),
    Case("inserted-after-a-race", CONTEST, insert(3, step("more")), "inserted", "flow/more"),
    Case("together-skipped", [call("together", calls=[step("a"), step("b"), step("c")]), step("end")],
         remove(1, 0, "calls"), "skipped", "flow/b"),
    Case("resting-skipped", RESTING, remove(2, 0, "calls"), "skipped", "flow/b"),
    Case("resting-skipped-two", RESTING, remove(1, 0, "calls", count=2), "skipped", "flow/a"),
    Case("resting-skipped-in-a-task", RESTING_TASK, remove(2, 0, "calls", 1, "body"), "skipped", "flow~2/b"),
    Case("resting-skipped-in-a-child", [child("c", *RESTING), step("after")], remove(2, 0, "body", 0, "calls"), "skipped",
         "flow/c/b"),
    Case("resting-skipped-in-a-virtual-child", [child("c", *RESTING, virtual=True), step("after")],
         remove(2, 0, "body", 0, "calls"), "skipped", "flow/c/b"),
    Case("resting-skipped-in-a-map", [map_("each", [1, 2], *RESTING)], remove(2, 0, "body", 0, "calls"), "skipped",
         "flow/each#0/b"),
    Case("resting-skipped-in-a-flat-map", [map_("each", [1, 2], *RESTING, flat=True)], remove(2, 0, "body", 0, "calls"),
         "skipped", "flow/each#0/b"),
    Case("resting-skipped-in-a-branch", RESTING_BRANCHES, remove(2, 0, "branches", 0, "body", 0, "calls", 1, "body"),
         "skipped", "flow/both#0~2/b"),
    Case("raises-in-a-running-one", ORDER, insert(2, {"op": "fail"}), "unfinished", "flow/confirmation", keep=7),
    Case("raises-in-a-child-of-a-running-one", NESTED, insert(1, {"op": "fail"}, *IN_CHILD), "unfinished",
         "flow/prepare/settle", keep=8),
    Case("raises-in-a-task-of-a-running-one", RESTING_TASK, insert(1, {"op": "fail"}, 0, "calls", 1, "body"), "unfinished",
         "flow~2/settle"),
    Case("raises-in-a-branch-of-a-running-one", RESTING_BRANCHES,
         insert(1, {"op": "fail"}, 0, "branches", 0, "body", 0, "calls", 1, "body"), "unfinished", "flow/both#0~2/settle"),
    Case("moved-into-a-child", NESTED, lambda body: body[1]["body"].insert(0, body.pop(0)), "skipped", "flow/begin"),
    Case("moved-out-of-a-child", NESTED, lambda body: body.insert(1, body[1]["body"].pop(0)), "inserted", "flow/load"),
    Case("moved-into-a-loop", ORDER, replace(3, {"op": "for", "items": [1, 2, 3], "body": [step("reserve_stock", value=3)]}),
         "inserted", "flow/reserve_stock(2)"),
    Case("split-step", ORDER, both(rename(3, "find_stock"), insert(4, step("take_stock"))),
         "renamed", "flow/reserve_stock"),
    Case("merged-steps", [step("a"), step("find_stock"), step("take_stock"), wait("pause"), step("end")],
         both(remove(2), rename(1, "reserve_stock")), "renamed", "flow/find_stock"),
]  # fmt: skip

SILENT = [
    Case("order", ORDER),
    Case("nested", NESTED),
    Case("fan-out", FAN_OUT),
    Case("flat", FLAT),
    Case("branches", BRANCHES),
    Case("approval", APPROVAL, callbacks={"approval": "yes"}),
    Case("approval-rejected", [step("a"), call("callback", "cb", **{"as": "cb"}), {"op": "try", "body": [
         call("callback_result", of="cb")], "except": [step("recover")]}], callbacks={"cb": {"error": "no"}}),
    Case("approval-pending", APPROVAL, keep=10, callbacks={"approval": "yes"}),
    Case("caller", CALLER),
    Case("retries", RETRIES),
    Case("unnamed", UNNAMED),
    Case("empty", []),
    Case("one-step", [step("only", value=1)]),
    Case("one-wait", [wait("only")]),
    Case("running-at-wait", ORDER, keep=7),
    Case("running-in-retry", RETRIES, keep=4),
    Case("running-in-child", NESTED, keep=8),
    Case("just-started", ORDER, keep=1),
    Case("new-call-behind-the-end-of-a-running-one", ORDER, insert(3, step("audit")), keep=7),
    Case("changed-behind-the-end-of-a-running-one", ORDER, replace(4, wait("other")), keep=7),
    Case("gather-of-waits", [call("together", calls=[wait("a", 9), wait("b", 3), wait("c", 6)]), step("end")]),
    Case("gather-of-everything", [call("together", calls=[step("a", value=1), wait("b", 3), child("c", wait("d", 5),
         step("e")), map_("f", [1, 2], step("g"))]), step("end")]),
    Case("gather-awaited-backwards", [call("together", calls=[wait("a", 2), step("b"), wait("c", 8)],
         order=[2, 1, 0]), step("end")]),
    Case("gather-with-retries", [call("together", calls=[step("a", failures=2), step("b", failures=1), wait("c", 1)]),
         step("end")]),
    Case("branches-suspend-differently", [parallel("p", [wait(seconds=9), step("x")], [step("y"), wait(seconds=1),
         step("z")], [step("w", failures=1)]), step("end")]),
    Case("branches-one-at-a-time", [parallel("p", [wait(seconds=2)], [wait(seconds=3)], max_concurrency=1)]),
    Case("map-limited", [map_("m", list(range(7)), wait(seconds=1), step("s{index}"), max_concurrency=2)]),
    Case("map-limited-running", [map_("m", list(range(7)), wait(seconds=1), step("s"), max_concurrency=2)], keep=12),
    Case("map-first-successful", [map_("m", [1, 2, 3], wait(seconds=2), step("s"), min_successful=1)]),
    Case("map-tolerates-failures", [map_("m", [1, 2, 3], step("s{index}", failures=9, attempts=1),
         tolerated_failure_count=3)]),
    Case("map-exceeds-tolerance", [map_("m", [1, 2, 3, 4], step("s", failures=9, attempts=1),
         tolerated_failure_count=1, max_concurrency=1), step("end")]),
    Case("map-empty", [map_("m", []), step("end")]),
    Case("map-nested-in-map", [map_("outer", [1, 2], map_("inner", [1, 2], step("s")), step("t"))]),
    Case("flat-in-nested", [map_("outer", [1, 2], map_("inner", [1, 2], wait(seconds=1), step("s"), flat=True))]),
    Case("flat-with-waits", [map_("m", [1, 2, 3], wait(seconds=1), step("s"), flat=True), step("end")]),
    Case("flat-parallel", [parallel("p", [step("a"), wait(seconds=2)], [step("b")], flat=True), step("end")]),
    Case("child-without-checkpoints", [child("v", step("a"), wait(seconds=1), virtual=True), step("b")]),
    Case("child-in-child-in-child", [child("a", child("b", child("c", step("d"), wait(seconds=1)))), step("e")]),
    Case("child-fails-and-is-handled", [{"op": "try", "body": [child("c", step("a"), {"op": "fail"})],
         "except": [step("recover")]}, wait(seconds=1), step("end")]),
    Case("step-fails-the-execution", [step("a"), step("bad", failures=9, attempts=2)]),
    Case("handler-fails", [step("a"), {"op": "fail", "message": "no stock"}]),
    Case("branch-on-a-result", [step("a", value=2, **{"as": "a"}), {"op": "if", "value": {"var": "a"}, "equals": 2,
         "then": [step("two"), wait(seconds=1)], "else": [wait("one")]}, step("end")]),
    Case("loop-over-a-result", [step("list", value=["x", "y"], **{"as": "list"}), {"op": "for", "items":
         {"var": "list"}, "body": [step("do_{item}"), wait(seconds=1)]}, step("end")]),
    Case("same-name-often", [{"op": "for", "items": [1, 2, 3, 4], "body": [step("again"), wait("pause", 1)]}]),
    Case("polling", [call("wait_for_condition", "ready", polls=4), step("end")]),
    Case("polling-running", [call("wait_for_condition", "ready", polls=4), step("end")], keep=7),
    Case("wait-for-callback", [call("wait_for_callback", "approve", **{"as": "x"}), step("end"),
         result({"var": "x"})], callbacks={"approve": "yes"}),
    Case("at-most-once", [step("once", at_most_once=True, value=1), wait(seconds=1), step("end")]),
    Case("large-child", [child("big", step("part", value={"large": 200_000}), wait(seconds=1), step("rest"),
         value={"large": 300_000}), wait(seconds=1), step("after")]),
    Case("large-map", [map_("m", [1, 2, 3], step("s", value={"large": 90_000}, **{"as": "s"}),
         value={"var": "s"}), wait(seconds=1), step("after")]),
    Case("large-step", [step("big", value={"large": 280_000}), wait(seconds=1), step("after")]),
    Case("payloads-excluded", [step("a", value=2, **{"as": "a"}), {"op": "if", "value": {"var": "a"}, "equals": 2,
         "then": [step("two"), wait(seconds=1)], "else": [wait("one")]}, step("end")], mangle="without-payloads"),
    Case("foreign-checkpoint", ORDER, mangle="foreign"),
    Case("foreign-checkpoint-in-child", NESTED, mangle="foreign-in-child"),
    Case("newest-events-first", NESTED, mangle="reversed"),
    Case("pages-of-a-history", FAN_OUT, mangle="pages"),
    Case("numeric-timestamps", NESTED, mangle="numeric-timestamps"),
    Case("without-invocation-events", RETRIES, mangle="without-invocations"),
    Case("without-step-starts", ORDER, mangle="without-step-starts"),
    Case("custom-sub-types", [step("a", sub_type="Agent"), child("b", step("c"), sub_type="Tool"), wait(seconds=1)]),
    Case("virtual-child-in-a-virtual-child", [step("a"), child("b", child("c", step("d"), virtual=True), virtual=True),
         step("e")]),
    Case("virtual-child-in-a-flat-map", [map_("m", [1, 2, 3], child("v", step("a"), step("b"), virtual=True), flat=True),
         wait("pause", 7), step("end")]),
    Case("task-in-a-flat-map", [map_("m", [1, 2], call("together", calls=[call("sequence", body=[step("a"), wait("b", 2)])]),
         flat=True), step("end")]),
    Case("virtual-child-in-a-task", [call("together", calls=[step("a"), call("sequence", body=[child("b", step("c"),
         virtual=True)])]), step("e")]),
    Case("tasks", TASKS),
    Case("tasks-running", TASKS, keep=8),
    Case("losers-of-a-race", CONTEST),
    Case("losers-of-a-race-running", CONTEST, keep=9),
    Case("race-not-decided-beside-others", [call("together", calls=[call("race", calls=[wait("a", 50), wait("b", 40)]),
         step("c"), child("d", wait("e", 5), step("f"))]), step("end")], keep=10),
    Case("reserved-and-not-awaited-yet", [call("together", calls=[step("a"), wait("b", 4)], order=[1, 0],
         lazy=True), step("end")], keep=4),
    Case("all-with-a-failure", [{"op": "try", "body": [call("all", calls=[call("sequence", body=[wait("a", 50), step("b")]),
         step("bad", failures=9, attempts=1)])], "except": [step("recover")]}, step("end")]),
    Case("resting", RESTING),
    Case("resting-in-a-task", RESTING_TASK),
    Case("resting-in-branches", RESTING_BRANCHES),
    Case("resting-and-a-call-added", RESTING, insert(3, step("more"), 0, "calls")),
    Case("resting-and-changed-behind", RESTING, rename(1, "other")),
    Case("about-to-fail", APPROVAL, callbacks={"approval": {"error": "no"}}, keep=8),
    Case("empty-result", [step("a", value=None), wait(seconds=1), step("b", value="")]),
]  # fmt: skip


def changed(case: Case) -> Body:
    """The program that is replayed."""
    body = deepcopy(case.body)
    if case.edit is not None:
        case.edit(body)
    return body


def write(only: Collection[str] = ()) -> None:
    """Record every case, or only some, and write it to its file."""
    from tests.replay.corpus_recording import record_case

    for folder, cases in (("divergent", DIVERGENT), ("silent", SILENT)):
        target = CORPUS / folder
        target.mkdir(parents=True, exist_ok=True)
        for known in target.glob("*.json"):
            if known.stem not in {case.title for case in cases}:
                known.unlink()
        for case in cases:
            if only and case.title not in only:
                continue
            text = json.dumps(record_case(case), indent=1, ensure_ascii=False, default=str).replace(
                f"{REPOSITORY}/", ""
            )
            (target / f"{case.title}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1:])
