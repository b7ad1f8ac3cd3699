"""Which branch a value decides, and which of several suspects is named."""

import importlib
import linecache
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from durable_execution import DurableContext, durable_execution
from durable_execution.call_site import CallSite
from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side
from durable_execution.history.reading import read_history
from durable_execution.lint import RULES, LintFinding
from durable_execution.replay import Replayer
from durable_execution.replay.cause.evidence import CauseSearch
from durable_execution.replay.cause.explained import applied
from durable_execution.replay.cause.observed_cause import Decision, decision_on, findings_for, with_suspects
from durable_execution.replay.cause.origin import fix_of
from durable_execution.replay.cause.reproduction import variants_here
from durable_execution.replay.cause.value_sources import Dependence, Source
from durable_execution.replay.suspects import Suspect, SuspectKind
from tests.replay.recording import history_of


@durable_execution
async def iterates_a_set(event: Any, ctx: DurableContext) -> None:
    for name in set("ab"):
        await ctx.step(lambda _: None, name=f"{name} {time.time()}")


def place(source: str, mark: str) -> int:
    return next(number for number, line in enumerate(source.splitlines(), start=1) if mark in line)


DIRECT = """
async def flow(event, ctx):
    await ctx.step(a)
    if datetime.now().hour > 12:  # value, branch
        await ctx.step(b)  # call
"""
BY_NAME = """
async def flow(event, ctx):
    now = clock()  # value
    late = now.hour > 18
    await ctx.step(a)
    if late and event:  # branch
        await ctx.step(b)  # call
    if event:
        pass
"""
LOOP = """
async def flow(event, ctx):
    names = os.listdir(".")  # value
    for name in names:  # branch
        await ctx.step(name)  # call
"""
TERNARY = """
async def flow(event, ctx):
    await ctx.step(a if random() > 0.5 else b)  # value, branch, call
"""
UNRELATED = """
async def flow(event, ctx):
    started = time()  # value
    if event:
        await ctx.step(b)  # call
"""
ELSEWHERE = """
def helper():
    return time()  # value

async def flow(event, ctx):
    if helper():
        await ctx.step(b)  # call
"""
ONE_LINE = """
async def flow(event, ctx): await ctx.step(b) if time() > 5 else None  # value, branch, call
"""
MATCH = """
async def flow(event, ctx):
    kind = choice([1, 2])  # value
    match kind:  # branch
        case 1:
            await ctx.step(b)  # call
"""


@pytest.mark.parametrize(
    "source",
    [DIRECT, BY_NAME, TERNARY, MATCH, ONE_LINE],
    ids=["direct", "by name", "ternary", "match", "one line"],
)
def test_branches(source: str) -> None:
    found = decision_on(source, value_line=place(source, "value"), call_line=place(source, "call"))
    assert found == Decision(place(source, "branch"), "branches")


def test_loops() -> None:
    found = decision_on(LOOP, value_line=place(LOOP, "value"), call_line=place(LOOP, "call"))
    assert found == Decision(place(LOOP, "branch"), "iterates")


@pytest.mark.parametrize("source", [UNRELATED, ELSEWHERE])
def test_values_that_decide_nothing_here(source: str) -> None:
    assert decision_on(source, value_line=place(source, "value"), call_line=place(source, "call")) is None


def test_a_call_that_is_not_made_any_more_has_no_line() -> None:
    assert decision_on(BY_NAME, value_line=place(BY_NAME, "value"), call_line=None) is not None


def test_source_that_cannot_be_parsed() -> None:
    assert decision_on("def (", value_line=1, call_line=1) is None


@pytest.mark.parametrize(
    ("what", "shown"), [("self.skus - sold", "sorted(self.skus - sold)"), ("set(line for l", "sorted(...)")]
)
def test_the_fix_of_an_order_sorts_the_set_that_is_iterated(what: str, shown: str) -> None:
    assert f"`{shown}`" in fix_of(Dependence(Source.ORDER, what), "the value")


CARRIED_BACK = """
async def flow(event, ctx):
    late = other = False
    for item in event:
        if late:  # branch
            await ctx.step(b)  # call
        late = other
        other = time() > 5  # value
"""
AFTER_THE_CALL = """
async def flow(event, ctx):
    now = time()  # value
    await ctx.step(b)  # call
    if now:
        await ctx.step(c)
"""
TWO_BRANCHES = """
async def flow(event, ctx):
    now = time()  # value
    if now > 1:
        await ctx.step(a)
    if now > 2:  # branch
        await ctx.step(b)  # call
"""
INNER = """
async def flow(event, ctx):
    now = time()
    async def inner():
        now = time()  # value
        if now:  # branch
            await ctx.step(b)  # call
    if now:
        await inner()
"""


@pytest.mark.parametrize("source", [CARRIED_BACK, TWO_BRANCHES, INNER], ids=["by a loop", "two", "inner function"])
def test_the_last_branch_before_the_call_in_the_function_of_the_value(source: str) -> None:
    found = decision_on(source, value_line=place(source, "value"), call_line=place(source, "call"))
    assert found == Decision(place(source, "branch"), "branches")


def test_a_branch_behind_the_call_does_not_decide_it() -> None:
    source = AFTER_THE_CALL
    assert decision_on(source, value_line=place(source, "value"), call_line=place(source, "call")) is None


@pytest.mark.parametrize("more", range(3))
def test_a_branch_is_found_behind_any_number_of_statements(more: int) -> None:
    before = "        await ctx.step(a)\n" * more
    source = (
        f"async def flow(event, ctx):\n    now = time()  # value\n    if event:\n{before}"
        "        if now:  # branch\n            await ctx.step(b)  # call\n"
    )
    found = decision_on(source, value_line=place(source, "value"), call_line=place(source, "call"))
    assert found == Decision(place(source, "branch"), "branches")


FLOW = """\
def helper():
    return time.time()


async def flow(event, ctx):
    early = time.time()
    await ctx.step(a)
    late = uuid.uuid4()
    if early:
        await ctx.step(b)
    if late:
        await ctx.step(c)
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "flow.py"
    path.write_text(FLOW, encoding="utf-8")
    return str(path)


def suspect(what: str, *stack: CallSite, after: int = 0, kind: SuspectKind = SuspectKind.CLOCK) -> Suspect:
    return Suspect(kind, what, stack, after)


def difference(site: CallSite | None, kind: DivergenceKind = DivergenceKind.INSERTED) -> Divergence:
    return Divergence(
        kind=kind,
        severity=Severity.ERROR,
        handler="flow:flow",
        path="flow/b",
        context_path="flow",
        position=2,
        recorded=Side("STEP", "Step", "c"),
        replayed=Side("STEP", "Step", "b", call_site=site) if site is not None else None,
        likely=None,
        effect="",
        fix="",
    )


def test_suspects_that_decide_come_first_then_those_of_the_function_then_the_nearest(file: str) -> None:
    elsewhere = suspect("far()", CallSite(file, 2, "helper"), after=9)
    undecided = [suspect(f"read{after}()", CallSite(file, 8, "flow"), after=after) for after in (1, 3, 2)]
    deciding = suspect("time.time()", CallSite(file, 6, "flow"))
    found = with_suspects(difference(CallSite(file, 10, "flow")), [elsewhere, *undecided, deciding], [])
    names = [one.partition(": ")[2] for one in found.suspects]
    assert names == ["time.time()", "read3()", "read2()", "read1()", "far()"]
    assert found.cause is not None
    assert (found.cause.file, found.cause.line) == (file, 6)
    assert found.cause.text == "flow.py:9 branches on time.time(), called outside a step at flow.py:6"


@pytest.mark.parametrize(("stack", "line"), [([2, 6], 9), ([2, 8], 11)])
def test_without_a_replayed_call_the_outermost_function_is_asked(file: str, stack: list[int], line: int) -> None:
    inner, outer = CallSite(file, stack[0], "helper"), CallSite(file, stack[1], "flow")
    found = with_suspects(difference(None), [suspect("time.time()", inner, outer)], [])
    assert found.cause is not None
    assert found.cause.text == f"flow.py:{line} branches on time.time(), called outside a step at flow.py:2"


@pytest.mark.parametrize("stack", [("helper", "flow"), ("helper", "flow", "main")])
def test_a_helper_of_the_calling_function_decides_where_the_function_calls_it(
    file: str, stack: tuple[str, ...]
) -> None:
    lines = {"helper": 2, "flow": 6, "main": 99}
    found = with_suspects(
        difference(CallSite(file, 10, "flow")),
        [suspect("time.time()", *(CallSite(file, lines[name], name) for name in stack))],
        [],
    )
    assert found.cause is not None
    assert found.cause.text == "flow.py:9 branches on time.time(), called outside a step at flow.py:2"


def test_what_decides_nothing_is_a_guess_and_none_for_a_name(file: str) -> None:
    read = [suspect(f"read{after}()", CallSite(file, 2, "helper"), after=after) for after in (1, 2)]
    found = with_suspects(difference(CallSite(file, 10, "flow")), read, [])
    assert found.cause is not None
    assert found.cause.text == "perhaps read2(), called outside a step at flow.py:2"
    for kind in (DivergenceKind.RENAMED, DivergenceKind.CHANGED_KIND):
        found = with_suspects(difference(CallSite(file, 10, "flow"), kind), read, [])
        assert found.cause is None
        assert len(found.suspects) == 2


def test_what_has_no_value_is_not_suspected(file: str) -> None:
    before = difference(CallSite(file, 10, "flow"))
    slept = suspect("time.sleep()", CallSite(file, 6, "flow"), kind=SuspectKind.SLEEP)
    assert with_suspects(before, [slept], []) == before


def test_five_suspects_are_shown_and_a_line_of_the_source_is_one_of_them(file: str) -> None:
    read = [suspect(f"read{after}()", CallSite(file, 2, "helper"), after=after) for after in range(7)]
    finding = LintFinding(file, 9, 1, "DUR104", "names", "flow")
    found = with_suspects(difference(CallSite(file, 10, "flow")), read, [finding])
    assert [one.partition(": ")[2] for one in found.suspects] == [f"read{after}()" for after in (6, 5, 4, 3, 2)]
    found = with_suspects(difference(CallSite(file, 10, "flow"), DivergenceKind.REORDERED), read, [finding])
    assert found.suspects == ("flow.py:9: names", *(f"flow.py:2: read{after}()" for after in (6, 5, 4, 3)))
    assert found.cause is not None
    assert (found.cause.line, found.cause.is_from_source) == (9, True)
    assert applied(found).fix == RULES["DUR104"].fix, (
        "the rule knows what to write; the kind of the difference does not"
    )


@pytest.mark.parametrize(
    ("line", "function", "is_named"), [(9, "flow", True), (10, "flow", True), (11, "flow", False), (2, "helper", False)]
)
def test_a_line_of_the_source_counts_in_the_function_of_the_call_up_to_the_call(
    file: str, line: int, function: str, is_named: bool
) -> None:
    finding = LintFinding(file, line, 1, "DUR104", "names", function)
    assert (with_suspects(difference(CallSite(file, 10, "flow")), [], [finding]).cause is not None) is is_named
    assert with_suspects(difference(CallSite("other.py", 10, "flow")), [], [finding]).cause is None
    assert with_suspects(difference(None), [], [finding]).cause is not None, "no call is made, so each line may decide"


def test_the_lines_of_a_handler_that_no_replay_can_observe() -> None:
    found = findings_for(iterates_a_set)
    assert [(one.rule, one.function) for one in found] == [("DUR109", "iterates_a_set")]
    assert findings_for(len) == []


IMPORTED = {
    "an enum": (
        """
        import enum, os
        FLAGS = os.environ.get("SHOP_FLAGS", "A B")  # CAUSE
        Kind = enum.Enum("Kind", FLAGS)

        def value():
            return [one for one in Kind if one.value > 0][-1].name
        """
    ),
    "a parser": (
        """
        import configparser, os

        def loaded():
            parser = configparser.ConfigParser({"place": os.getenv("SHOP_FLAGS", "A B")})  # CAUSE
            parser.read_string("[shop]\\nregion = %(place)s")
            return parser

        CONFIG = loaded()

        def value():
            return CONFIG.get("shop", "region")
        """
    ),
    "a logger": (
        """
        import logging, os
        LOGGER = logging.Logger("imported")

        def level():
            name = os.environ.get("SHOP_FLAGS", "A B")  # CAUSE
            return logging.DEBUG if name == "A B" else logging.ERROR

        LOGGER.setLevel(level())

        def value():
            return "quiet" if LOGGER.isEnabledFor(logging.WARNING) else "silent"
        """
    ),
    "a variable that is set and reset": (
        """
        import contextvars, uuid
        ROOT = uuid.uuid4().hex  # CAUSE
        TRACE = contextvars.ContextVar("trace", default=ROOT)

        def value():
            token = TRACE.set("inner")
            TRACE.reset(token)
            return TRACE.get()
        """
    ),
    "the default of a class": (
        """
        import time
        from dataclasses import dataclass

        @dataclass
        class Policy:
            name: str
            until: float = time.time()  # CAUSE

        def value():
            policy = Policy("standard")
            return f"{policy.name} {policy.until}"
        """
    ),
    "an attribute of a class, beside a clock in its object": (
        """
        import os, time

        class Gateway:
            region = os.environ.get("SHOP_FLAGS", "A B").upper()  # CAUSE

            def __init__(self):
                self.since = time.time()

            def route(self):
                return f"{self.region}-1"

        def value():
            gateway = Gateway()
            return gateway.route()
        """
    ),
    "an attribute of a subclass": (
        """
        from .base import Post

        def value():
            carrier = Post()
            return carrier.key
        """
    ),
    "what a decorator gives a class": (
        """
        import uuid

        def keyed(kind):
            kind.key = uuid.uuid4().hex  # CAUSE
            return kind

        @keyed
        class Express:
            pass

        def value():
            kind = Express
            return kind.key
        """
    ),
    "an attribute of an object of the module": (
        """
        import uuid

        class Yard:
            def __init__(self):
                self.plates = [uuid.uuid4().hex for _ in range(9)]  # CAUSE

            def next(self):
                return min(self.plates)

        yard = Yard()  # CAUSE

        def value():
            return yard.next()
        """
    ),
    "an attribute of objects of an object of the module": (
        """
        import uuid

        class Truck:
            def __init__(self, name):
                self.name, self.plate = name, uuid.uuid4().hex  # CAUSE

        class Yard:
            def __init__(self, names):
                self.trucks = [Truck(name) for name in names]

            def next(self):
                return min(self.trucks, key=lambda truck: truck.plate)

        yard = Yard([f"truck{number}" for number in range(400)])  # CAUSE

        def value():
            return yard.next().name
        """
    ),
    "a list that is shuffled": (
        """
        import random
        DOORS = [f"door{number}" for number in range(500)]
        random.shuffle(DOORS)  # CAUSE

        def value():
            return DOORS[3]
        """
    ),
    "what a metaclass collects": (
        """
        import os
        EU = os.environ.get("SHOP_FLAGS", "A B") == "A B"  # CAUSE

        class Collected(type):
            kinds = {}

            def __new__(mcs, name, bases, members, enabled=True):
                made = super().__new__(mcs, name, bases, members)
                if enabled and bases:
                    mcs.kinds[name] = made
                return made

        class Carrier(metaclass=Collected):
            pass

        class Ferry(Carrier, enabled=EU):
            pass

        class Truck(Carrier):
            pass

        def value():
            return " ".join(Collected.kinds)
        """
    ),
    "what decorators register": (
        """
        import os
        BETA = os.environ.get("SHOP_FLAGS", "A B") == "A B"  # CAUSE
        KINDS = {}

        def register(function):
            KINDS[function.__name__] = function
            return function

        @register
        def truck():
            return 1

        if BETA:
            @register
            def ferry():
                return 2

        def value():
            return " ".join(KINDS)
        """
    ),
    "what a function sets in an object of another module": (
        """
        import os
        from .base import SETTINGS

        def configure():
            flags = os.environ.get("SHOP_FLAGS", "A B")  # CAUSE
            SETTINGS.pool.names = flags

        configure()

        def value():
            return SETTINGS.pool.names
        """
    ),
    "objects of a class": (
        """
        import time
        from .base import Named
        NAMED = [Named(f"n{time.time_ns()}")]  # CAUSE

        def value():
            found = {}
            for one in NAMED:
                found[one.name] = 1
            return next(iter(found))
        """
    ),
}
BASE = """
import random
from types import SimpleNamespace

SETTINGS = SimpleNamespace(pool=SimpleNamespace(names=""))

class Carrier:
    def __init_subclass__(cls):
        cls.key = f"k{random.random()}"  # CAUSE

class Post(Carrier):
    pass

class Named:
    def __init__(self, name):
        self.name = name
"""
HANDLER = """
from durable_execution import durable_execution
from .values import value

@durable_execution
async def handler(event, ctx):
    await ctx.step(lambda step: 1, name="first")
    await ctx.step(lambda step: 1, name=f"named {value()}")
"""


@pytest.mark.parametrize("kind", IMPORTED)
def test_a_value_of_the_import_is_followed_to_what_the_import_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules are not recorded: two imports of the same files are compared, and the source is followed."""
    package = tmp_path / "imported_values"
    package.mkdir()
    texts = {"__init__": "", "base": BASE, "values": textwrap.dedent(IMPORTED[kind]), "handler": HANDLER}
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    execution = read_history(history_of(_imported(monkeypatch, "A"), {})[0])
    handlers = [_imported(monkeypatch, flags) for flags in ("A B", "A")]
    variants = [
        replace(one, name=f"replay {number}")
        for number, handler in enumerate(handlers)
        for one in variants_here(handler, execution, seconds=30, count=1)
    ]
    divergences = Replayer(handlers[0], cause=False).replay(execution).divergences or ()
    (root, *_) = CauseSearch([variants], ()).explain(divergences)
    assert root.cause is not None
    assert "# CAUSE" in linecache.getline(root.cause.file, root.cause.line), root.cause.text


def _imported(monkeypatch: pytest.MonkeyPatch, flags: str) -> Any:
    monkeypatch.setenv("SHOP_FLAGS", flags)
    for name in [one for one in sys.modules if one.startswith("imported_values")]:
        monkeypatch.delitem(sys.modules, name)
    handler = importlib.import_module("imported_values.handler").handler
    for name in [one for one in sys.modules if one.startswith("imported_values")]:
        del sys.modules[name]
    return handler
