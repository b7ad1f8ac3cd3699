"""The linter: what it finds, across files, and what it leaves alone."""

from pathlib import Path

import pytest

from durable_execution.lint import RULES, lint_paths, lint_sources

HEAD = """
import asyncio, os, random, subprocess, threading, time, uuid
from datetime import datetime, timedelta
import requests
from durable_execution import durable_execution, durable_step

@durable_step
async def work(step, n=0): ...

@durable_execution
async def flow(event, ctx):
"""


def codes(body: str, head: str = HEAD) -> list[str]:
    text = head + "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    return [found.rule for found in lint_sources({"flow.py": text})]


WRONG = {
    "DUR101": "now = datetime.now()\nif now.hour > 3: await ctx.step(work())",
    "DUR102": "if random.random() > 0.5: await ctx.step(work())",
    "DUR103": "key = uuid.uuid4()\nawait ctx.step(work(key))",
    "DUR104": "if os.environ.get('FAST'): await ctx.step(work())",
    "DUR105": "data = requests.get('https://example.com')\nawait ctx.step(work(data))",
    "DUR106": "text = open('x').read()\nawait ctx.step(work(text))",
    "DUR107": "time.sleep(3)\nawait ctx.step(work())",
    "DUR108": "subprocess.run(['ls'])\nawait ctx.step(work())",
    "DUR109": "for name in {'a', 'b'}:\n    await ctx.step(work(name), name=name)",
    "DUR110": "done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)",
    "DUR111": "await asyncio.wait_for(ctx.step(work()), 3)",
    "DUR201": "async def body(step):\n    await ctx.wait(timedelta(seconds=1))\nawait ctx.step(body, name='b')",
    "DUR202": "total = []\nasync def body(step):\n    total.append(1)\nawait ctx.step(body, name='b')",
    "DUR203": "await ctx.step(lambda s: 1)\nawait ctx.step(lambda s: 2)",
    "DUR204": "try:\n    await ctx.step(work())\nexcept BaseException:\n    pass",
    "DUR205": "ctx.wait(timedelta(seconds=1))",
}


@pytest.mark.parametrize("code", WRONG)
def test_each_rule_finds_its_own(code: str) -> None:
    assert codes(WRONG[code]) == [code]


@pytest.mark.parametrize("code", WRONG)
def test_a_comment_ignores_it(code: str) -> None:
    for comment in ("# durable: ignore", f"# durable: ignore[{code}]", f"# noqa: {code}"):
        lines = "\n".join(f"{line}  {comment}" for line in WRONG[code].splitlines())
        assert codes(lines) == []
    assert codes("\n".join(f"{line}  # durable: ignore[DUR999]" for line in WRONG[code].splitlines())) == [code]


RIGHT = [
    "await ctx.step(lambda s: datetime.now(), name='now')",
    "await ctx.step(lambda s: requests.get('x'), name='get')",
    "now = await ctx.now()\nif now.hour > 3: await ctx.step(work())",
    "if ctx.random().random() > 0.5: await ctx.step(work())",
    "ctx.logger.info('at %s', datetime.now())",
    "for name in sorted({'a', 'b'}):\n    await ctx.step(work(name), name=name)",
    "names = {one for one in {'a', 'b'}}\nawait ctx.step(work(sum(len(name) for name in names)))",
    "names = {'a', 'b'}\nif any(name > 'a' for name in names): await ctx.step(work())",
    "import sqlite3\nrows = sqlite3.connect(':memory:').execute('select 1').fetchall()",
    "table = os.environ['TABLE']\nawait ctx.step(work(table))",
    "rng = random.Random(7)",
    "fast = await ctx.step(lambda s: os.environ.get('FAST'), name='fast')\nif fast: await ctx.step(work())",
    "await asyncio.sleep(0)",
    "await asyncio.wait_for(ctx.step(work()), timeout=None)",
    "async with asyncio.timeout(None):\n    await ctx.step(work())",
    "await asyncio.wait([ctx.step(work())])",
    "async def body(step):\n    async with asyncio.timeout(3):\n        return 1\nawait ctx.step(body, name='b')",
    "calls = [ctx.step(work(n), name=n) for n in event]\nawait asyncio.gather(*calls)",
    "async def body(step):\n    own = []\n    own.append(1)\n    return own\nawait ctx.step(body, name='b')",
    "try:\n    await ctx.step(work())\nexcept Exception:\n    pass",
    "try:\n    await ctx.step(work())\nexcept BaseException:\n    raise",
    "await ctx.step(work(1))\nawait ctx.step(work(2))",
]


@pytest.mark.parametrize("body", RIGHT)
def test_deterministic_code_is_left_alone(body: str) -> None:
    assert codes(body) == []


@pytest.mark.parametrize(
    "body",
    [
        "async with asyncio.timeout(3):\n    await ctx.step(work())",
        "await asyncio.wait([ctx.step(work())], timeout=3)",
        "await asyncio.wait_for(ctx.step(work()), timeout=event)",
    ],
)
def test_time_limits_of_asyncio_are_found(body: str) -> None:
    assert codes(body) == ["DUR111"]


def test_a_set_in_an_order_that_matters_is_found() -> None:
    for body in (
        "first = [n for n in {'a', 'b'}][0]",
        "text = ''.join(n for n in {'a', 'b'})",
        "min((n for n in {'a'}), key=len)",
        "sum(n / 3 for n in {1, 2})",
    ):
        assert codes(body) == ["DUR109"], body


COMPUTES = "def total(n):\n    return n * 2\n"


@pytest.mark.parametrize(
    "body",
    [
        "with concurrent.futures.ThreadPoolExecutor() as pool:\n    sums = list(pool.map(total, event))",
        "with concurrent.futures.ThreadPoolExecutor() as pool:\n    sums = [pool.submit(total, n).result() for n in event]",
        "sums = await asyncio.to_thread(total, event)",
        "thread = threading.Thread(target=total, args=(event,))\nthread.start()\nthread.join()",
        "sums = await asyncio.get_running_loop().run_in_executor(None, total, event)",
    ],
)
def test_threads_that_only_compute_are_left_alone_and_what_they_run_is_checked(body: str) -> None:
    head = f"import concurrent.futures\n{HEAD}"
    assert codes(COMPUTES + body, head) == []
    assert codes(COMPUTES.replace("n * 2", "requests.get(n)") + body, head) == ["DUR105"]
    assert codes(body.replace("total", "random.randrange"), head) == ["DUR102"]


def test_functions_are_followed_across_files() -> None:
    sources = {
        "shop/flow.py": (
            "from durable_execution import durable_execution\nfrom shop.rules import is_late\n"
            "@durable_execution\nasync def flow(event, ctx):\n    if is_late(): await ctx.wait(event)\n"
        ),
        "shop/rules.py": (
            "from shop import clock\ndef is_late(): return clock.hour() > 18\ndef unused(): return clock.hour()\n"
        ),
        "shop/clock.py": "from datetime import datetime as dt\ndef hour(): return dt.now().hour\n",
        "shop/script.py": "import time\nprint(time.time())\n",
    }
    (found,) = lint_sources(sources)
    assert (found.file, found.rule, found.function) == ("shop/clock.py", "DUR101", "hour")
    assert found.reached == ("flow", "is_late", "hour")
    assert "flow → is_late → hour" in found.message


def test_bodies_of_branches_are_orchestration_and_bodies_of_steps_are_not() -> None:
    assert codes("async def each(inner, item):\n    if random.random() > 0.5: await inner.step(work())\n"
                 "await ctx.map([1], each, 'm')") == ["DUR102"]  # fmt: skip
    assert codes("await ctx.parallel([lambda inner: inner.step(work(random.random()))], 'p')") == ["DUR102"]
    assert codes("async def submit(callback_id, step):\n    requests.post('x')\n"
                 "await ctx.wait_for_callback(submit, 'cb')") == []  # fmt: skip


def test_a_module_level_flag_that_decides_is_found() -> None:
    head = HEAD.replace("@durable_step", "FLAG = os.environ.get('FLAG')\n\n@durable_step", 1)
    assert codes("if FLAG: await ctx.step(work())", head) == ["DUR104"]


def test_code_without_a_handler_has_no_findings() -> None:
    assert lint_sources({"x.py": "import time\ndef f():\n    return time.time()\n"}) == []


def test_a_file_that_cannot_be_parsed_is_a_finding() -> None:
    (found,) = lint_sources({"x.py": "def f(:"})
    assert (found.rule, found.line, found.what) == ("DUR901", 1, "invalid syntax")


def test_a_file_is_read_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    text = f'{HEAD}    """Für Kunden."""\n    if time.time() > 5: await ctx.step(work())\n'
    for name, declared in (("latin", "# -*- coding: latin-1 -*-\n"), ("undeclared", "")):
        (tmp_path / f"{name}.py").write_bytes((declared + text).encode("latin-1"))
    latin, undeclared = lint_paths([tmp_path])
    assert (Path(latin.file).name, latin.rule) == ("latin.py", "DUR101")
    assert (Path(undeclared.file).name, undeclared.rule) == ("undeclared.py", "DUR901")
    assert "it declares no encoding and is not UTF-8" in undeclared.what


def test_directories_without_what_others_installed(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    for place in (tmp_path, tmp_path / ".venv"):
        (place / "flow.py").write_text(HEAD + "    " + WRONG["DUR205"], encoding="utf-8")
    assert [Path(found.file) for found in lint_paths([tmp_path])] == [tmp_path / "flow.py"]


def test_every_rule_says_what_to_write() -> None:
    assert set(WRONG) | {"DUR901"} == set(RULES)
    assert all(rule.name and rule.fix for rule in RULES.values())


def test_the_examples_are_clean(repository: Path) -> None:
    assert [str(found) for found in lint_paths([repository / "examples"])] == []


FLOW_FILE = (
    "{imports}\nfrom durable_execution import durable_execution, durable_step\n\n"
    "@durable_step\nasync def work(step, n=0): ...\n\n"
    "@durable_execution\nasync def flow(event, ctx):\n    {body}\n"
)


def across(imports: str, body: str, **files: str) -> list[tuple[str, str]]:
    """The findings in a flow that imports other files, as file and rule."""
    sources = {f"shop/{name.replace('__init', '__init__')}.py": text for name, text in files.items()}
    sources["shop/flow.py"] = FLOW_FILE.format(imports=imports, body=body)
    return [(found.file, found.rule) for found in lint_sources(sources)]


CLOCK = "from datetime import datetime as dt\nnow = dt.now\ndef hour(): return dt.now().hour\n"


@pytest.mark.parametrize(
    ("imports", "body", "found"),
    [
        ("from shop.clock import *", "await ctx.step(work(now()))", ("shop/flow.py", "DUR101")),
        ("from shop.clock import *", "await ctx.step(work(dt.now()))", ("shop/flow.py", "DUR101")),
        ("from shop.clock import *", "await ctx.step(work(hour()))", ("shop/clock.py", "DUR101")),
        ("from .clock import hour as time_of_day", "await ctx.step(work(time_of_day()))", ("shop/clock.py", "DUR101")),
        ("import shop.clock as c", "await ctx.step(work(c.now()))", ("shop/flow.py", "DUR101")),
        ("import shop.clock", "await ctx.step(work(shop.clock.hour()))", ("shop/clock.py", "DUR101")),
        ("from shop import tools", "await ctx.step(work(tools.hour()))", ("shop/clock.py", "DUR101")),
        ("from shop.tools import *", "await ctx.step(work(hour()))", ("shop/clock.py", "DUR101")),
        ("from shop.tools import read as look", "await ctx.step(work(look('x')))", ("shop/flow.py", "DUR106")),
        ("from time import *", "await ctx.step(work(time()))", ("shop/flow.py", "DUR101")),
        ("from random import *", "await ctx.step(work(randint(1, 3)))", ("shop/flow.py", "DUR102")),
        ("import random", "pick = random.choice\n    await ctx.step(work(pick([1])))", ("shop/flow.py", "DUR102")),
    ],
)
def test_star_imports_and_aliases_are_followed_across_files(imports: str, body: str, found: tuple[str, str]) -> None:
    assert across(imports, body, clock=CLOCK, tools="from shop.clock import *\nread = open\n", __init="") == [found]


def test_names_that_a_star_does_not_give_are_left_alone() -> None:
    hidden = "__all__ = ['other']\nfrom datetime import datetime\nnow = datetime.now\n"
    assert across("from shop.clock import *", "await ctx.step(work(now()))", clock=hidden) == []
    assert across("from shop.clock import *\ndef now(): return 1", "await ctx.step(work(now()))", clock=CLOCK) == []


NESTED = [
    "def outer():\n    def inner():\n        return time.time()\n    return inner()\nawait ctx.step(work(outer()))",
    "def one():\n    return time.time()\ndef two():\n    return one()\nawait ctx.step(work(two()))",
    "await ctx.step(work(sorted(event, key=lambda one: time.time())))",
    "def stamp(one):\n    return (time.time(), one)\nstamped = list(map(stamp, event))\nawait ctx.step(work(stamped))",
    "async def part():\n    await ctx.step(work(time.time()))\nawait asyncio.gather(part(), part())",
    (
        "class Helper:\n    def at(self):\n        return self.now()\n    def now(self):\n        return time.time()\n"
        "async def inner(child):\n    def deep():\n        return time.time()\n    await child.step(work(deep()))\n"
        "await ctx.run_in_child_context(inner, 'inner')"
    ),
]


@pytest.mark.parametrize("body", NESTED)
def test_nested_functions_are_looked_into(body: str) -> None:
    assert codes(body) == ["DUR101"]


def test_an_alias_of_the_context_is_a_context() -> None:
    assert codes("c = ctx\nc.wait(timedelta(seconds=1))") == ["DUR205"]


SETS = [
    "await ctx.map({'a', 'b'}, work, 'all')",
    "names = set(event)\nawait ctx.map(names, work, 'all')",
    "names = set(event)\nawait ctx.map(list(names), work, 'all')",
    (
        "names = set(event) | {'c'}\nasync def inner(child):\n    await child.map(names, work, 'all')\n"
        "await ctx.run_in_child_context(inner, 'inner')"
    ),
    "first = next(iter(set(event)))\nawait ctx.step(work(first))",
    "left = set(event)\nawait ctx.step(work(left.pop()))",
    "for name in dict.fromkeys(set(event)):\n    await ctx.step(work(name), name=name)",
    "for name in set(event).union('x'):\n    await ctx.step(work(name), name=name)",
]


@pytest.mark.parametrize("body", SETS)
def test_the_order_of_a_set_is_found_where_it_is_used(body: str) -> None:
    assert codes(body) == ["DUR109"]


def test_a_sorted_set_given_to_map_is_left_alone() -> None:
    assert codes("await ctx.map(sorted(set(event)), work, 'all')") == []
    assert codes("names = set(event)\nnames = sorted(names)\nawait ctx.map(names, work, 'all')") == []


LOGS = """
import logging
log = logging.getLogger("shop")
seen = {}

def note(what, **fields):
    seen[what] = seen.get(what, 0) + 1
    log.info("%s %s", what, fields)

def note_all(*values):
    for_later = values
    note("all", values=for_later)

def stamped(value):
    log.info("stamped")
    return f"{value}"
"""


@pytest.mark.parametrize(
    "body",
    [
        "note('at', when=datetime.now())",
        "note_all(uuid.uuid4())",
        "started = time.time()\nawait ctx.step(work())\nnote('took', seconds=time.time() - started)",
        "names = [uuid.uuid4().hex]\nshown = names[0]\nprint(shown)",
    ],
)
def test_values_that_are_only_logged_are_left_alone(body: str) -> None:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    assert lint_sources({"flow.py": f"from logs import *\n{HEAD}{lines}", "logs.py": LOGS}) == []


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("name = stamped(datetime.now())\nawait ctx.step(work(), name=name)", "DUR101"),
        ("now = time.time()\nnote('at', now=now)\nif now > 3: await ctx.step(work())", "DUR101"),
        ("now = time.time()\ndef body():\n    return now\nnote('at', now=now)\nawait ctx.step(work(body()))", "DUR101"),
    ],
    ids=["returned", "decides as well", "used in a nested function"],
)
def test_a_value_that_is_logged_and_used_is_found(body: str, rule: str) -> None:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    found = lint_sources({"flow.py": f"from logs import *\n{HEAD}{lines}", "logs.py": LOGS})
    assert [one.rule for one in found] == [rule]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("longest = max(one.result() for one in as_completed(jobs))\nawait ctx.step(work(longest))", []),
        ("first = [one.result() for one in as_completed(jobs)][0]\nawait ctx.step(work(first))", ["DUR110"]),
        ("text = Path(__file__).with_name('rates.json').read_text()\nawait ctx.step(work(text))", []),
        ("with open(__file__) as file: text = file.read()\nawait ctx.step(work(text))", []),
        ("with open(__file__, 'a') as file: file.write('x')\nawait ctx.step(work())", ["DUR106"]),
        ("text = Path('rates.json').read_text()\nawait ctx.step(work(text))", ["DUR106"]),
    ],
)
def test_what_gives_the_same_in_any_order_or_comes_with_the_code_is_left_alone(body: str, found: list[str]) -> None:
    head = f"from concurrent.futures import as_completed\nfrom pathlib import Path\n{HEAD}"
    assert codes(body, head) == found
