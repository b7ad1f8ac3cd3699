"""The edit that makes a difference is named from the source that the replay trace kept, and only where it has one."""

import base64
import importlib.util
import itertools
import sys
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from durable_execution import DurableHandler, durable_execution
from durable_execution.divergence import Divergence, DivergenceKind, Evidence
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay import FORMATS, Replayer, render
from durable_execution.replay.cause.edits import edit_at_call, recorded_sources
from durable_execution.trace import MemorySink, Redaction, TraceRecorder, read_traces, write_traces
from durable_execution.trace.sources import MAX_BYTES, MAX_FILES, RecordedSource, source_texts, without_secrets
from tests.replay.recording import history_of

HELPER = """
def is_large(total):
    # a comment
    return total > 100
"""
FLOW = """
import time
from edited_prices import is_large
from durable_execution import durable_execution

def one(step):
    return 120

@durable_execution
async def flow(event, ctx):
    started = time.time()
    total = await ctx.step(one, name="total")
    if is_large(total):
        await ctx.step(one, name="review")
    await ctx.step(one, name="charge")
    await ctx.step(one, name="ship")
    return total if started else 0
"""


class Project:
    """A handler and a module beside it, in files that are edited between recording and replay."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, flow: str = FLOW, helper: str = HELPER) -> DurableHandler[Any]:
        for name, text in (("edited_prices", helper), ("edited_flow", flow)):
            file = self.folder / f"{name}.py"
            file.write_text(text, encoding="utf-8")
            specification = importlib.util.spec_from_file_location(name, file)
            assert specification is not None
            assert specification.loader is not None
            module = importlib.util.module_from_spec(specification)
            sys.modules[name] = module
            exec(compile(text, str(file), "exec"), vars(module))  # never a stale bytecode file
        handler: DurableHandler[Any] = sys.modules["edited_flow"].flow
        return handler


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delitem(sys.modules, "edited_flow", raising=False)
    monkeypatch.delitem(sys.modules, "edited_prices", raising=False)
    return Project(tmp_path)


def recorded(project: Project, helper: str = HELPER) -> RecordedExecution:
    sink = MemorySink()
    events, arn = history_of(project.load(helper=helper), sink=sink)
    return read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))


EDITS = {
    "condition": (FLOW, HELPER.replace("> 100", "> 200"), "edited_prices.py:4", "`return total > 100` became `return total > 200`"),
    "removed": (FLOW.replace('    await ctx.step(one, name="charge")\n', ""), HELPER, "edited_flow.py:15", "was removed"),
    "added": (
        FLOW.replace("    if is_large", '    await ctx.step(one, name="fraud")\n    if is_large'), HELPER, "edited_flow.py:13",
        '`await ctx.step(one, name="fraud")` was added',
    ),
    "renamed": (FLOW.replace('"charge"', '"pay"'), HELPER, "edited_flow.py:15", "became"),
    "result": (FLOW.replace("return total if", "return str(total) if"), HELPER, "edited_flow.py:17", "`return str(total) if"),
    "raised": (FLOW.replace("return total if", "return event['none'] if"), HELPER, "edited_flow.py:17", "`return event['none'] if"),
}  # fmt: skip


FIXES = {
    "renamed": 'keep `name="charge"`',
    "result": "let running executions finish",
    "raised": "correct edited_flow.py:17, where today's code raises; if it should, let running executions finish",
}


def test_a_computed_name_is_restored_by_undoing_the_edit(project: Project) -> None:
    flow = FLOW.replace('"charge"', 'f"charge {total}"')
    sink = MemorySink()
    events, arn = history_of(project.load(flow), sink=sink)
    recording = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    root = Replayer(project.load(flow.replace("charge {", "pay {"))).replay(recording).root
    assert root is not None
    assert root.fix == 'undo the edit until running executions have finished: the name is "charge 120" there'


LOOP = """
from durable_execution import durable_execution

def one(step):
    return 120

@durable_execution
async def flow(event, ctx):
    for sku in ("A1", "B2"):
        await ctx.step(one, name="pick")
        await ctx.step(one, name=f"pack_{sku}")
    await ctx.step(one, name="ship")
"""
SPLIT = '    for sku in ("A1", "B2"):\n        await ctx.step(one, name=f"pack'


def test_a_loop_that_an_edit_put_around_the_recorded_call_is_the_cause(project: Project) -> None:
    sink = MemorySink()
    events, arn = history_of(project.load(LOOP), sink=sink)
    recording = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    root = Replayer(project.load(LOOP.replace('        await ctx.step(one, name=f"pack', SPLIT))).replay(recording).root
    assert root is not None
    expected = 'edited_flow.py:11 was edited after the recording: `for sku in ("A1", "B2"):` was added (changed)'
    assert root.likely == expected
    assert "sorted" not in root.fix, "the loop runs in the recorded order"


def edited_loop(project: Project, old: str, new: str, flow: str = LOOP) -> Divergence:
    """The difference that an edit of a workflow makes."""
    sink = MemorySink()
    events, arn = history_of(project.load(flow), sink=sink)
    recording = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    root = Replayer(project.load(flow.replace(old, new))).replay(recording).root
    assert root is not None
    return root


PACK = '        await ctx.step(one, name="pack")\n'
PACKED = LOOP.replace('name=f"pack_{sku}"', 'name="pack"')


@pytest.mark.parametrize(
    ("new", "became"),
    [
        (PACK.removeprefix("    "), ""),
        (PACK.removeprefix("    ").replace("one", "one, None"), " and became `await ctx.step(one, None, name"),
    ],
    ids=["as it is", "changed"],
)
def test_a_call_that_left_a_loop_is_moved_even_where_its_line_changed(project: Project, new: str, became: str) -> None:
    """Its text alone may be the same: only the indentation shows that it left the loop."""
    new = new.replace("one, None, name", "(one), name")
    root = edited_loop(project, PACK, new, PACKED)
    likely = root.likely or ""
    assert likely.startswith("edited_flow.py:11 was edited after the recording: `await ctx.step(one, name="), likely
    assert 'moved out of the loop `for sku in ("A1", "B2")` on line 9' in likely
    assert (" and became `" in likely) is bool(became)
    assert root.fix.startswith('make the call where it was, or move it only `if ctx.patched("pack"):`, ')


def test_a_call_that_went_into_a_new_condition_is_moved(project: Project) -> None:
    root = edited_loop(project, '    await ctx.step(one, name="ship")', '    if event:\n        await ctx.step(one, name="ship")\n    await ctx.step(one, name="bill")')  # fmt: skip
    assert "moved into the new `if event` on line 12" in (root.likely or ""), root.likely


def test_an_execution_that_diverged_at_run_time_is_explained_by_the_edit(project: Project) -> None:
    """Its file has the code that the diverged invocation ran: no replay is needed to see what was deployed."""
    sink = MemorySink()
    events, arn = history_of(project.load(LOOP), sink=sink)
    recording = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    sources = recorded_sources(recording)
    edited = LOOP.replace('    await ctx.step(one, name="ship")', '    await ctx.step(one, name="send")')
    root = Replayer(project.load(edited)).replay(recording).root
    assert root is not None
    found = edit_at_call(replace(root, cause=None), sources)
    assert found is not None
    assert str(found) == 'edited_flow.py:12 was edited after the recording: the name "ship" became "send" (changed)'
    assert edit_at_call(replace(root, replayed=None), sources) is None
    project.load("# a later edit\n" + edited)
    assert edit_at_call(root, sources) is None, "the file is not the one that ran"


def test_lines_that_are_only_indented_are_no_edit(project: Project) -> None:
    wide = LOOP.replace("        await", "            await")
    root = edited_loop(project, 'name="ship"', 'name="send"', wide).likely
    assert root == 'edited_flow.py:12 was edited after the recording: the name "ship" became "send" (changed)'


def test_code_that_is_the_recorded_code_is_not_said_to_be_edited(project: Project) -> None:
    """Two calls in the place of one look like a call that was split; the source says that it was not."""
    flow = FLOW.replace("import time\n", "import time\nimport edited_prices\n").replace(
        '    await ctx.step(one, name="charge")\n',
        "    for name in edited_prices.names():\n        await ctx.step(one, name=name)\n",
    )
    helper = HELPER + "\nNAMES = ['charge']\n\ndef names():\n    return list(NAMES)\n"
    sink = MemorySink()
    events, arn = history_of(project.load(flow, helper), sink=sink)
    recording = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    today = project.load(flow, helper)
    sys.modules["edited_prices"].__dict__["NAMES"][:] = ["pay", "settle"]
    root = Replayer(today).replay(recording).root
    assert root is not None
    assert "split" not in (root.likely or ""), root.likely
    assert "after the recording" not in (root.likely or "")
    assert "patched" not in root.fix


CHARGE = '    ctx.step(one, name="charge")\n'
PAUSE = '    ctx.wait(timedelta(days=3), name="pause")\n'
ASSESS = "def assess(step) -> int:\n    return 100\n\n"
PLAIN = (
    FLOW.replace("import time\n", "import time\nfrom datetime import timedelta\n")
    .replace("await ", "")
    .replace("async ", "")
    .replace("def one(", f"{ASSESS}def one(")
    .replace(CHARGE, PAUSE + CHARGE)
)
USED_AT_ONCE = """    score = ctx.step(assess, name="fraud")
    if score > 700:
        ctx.step(one, name="refuse")
        return None
"""


@pytest.mark.parametrize("before", [PAUSE, CHARGE], ids=["wait", "step"])
def test_a_call_that_was_only_added_leaves_the_recorded_call_where_it_is(project: Project, before: str) -> None:
    """The replay ends where the new call's result is used. Only the source shows that the recorded call still follows."""
    sink = MemorySink()
    events, arn = history_of(project.load(PLAIN), sink=sink)
    recording = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    added = Replayer(project.load(PLAIN.replace(before, USED_AT_ONCE + before))).replay(recording).root
    assert added is not None
    assert added.likely is not None
    assert added.likely.endswith('`score = ctx.step(assess, name="fraud")` and 3 more lines were added (changed)')
    assert added.fix == (
        'make the new call only `if ctx.patched("fraud"):`, which returns False for executions that already went past this point'
    )
    assert added.kind is DivergenceKind.INSERTED, "not a call in the place of another"


def test_a_call_that_took_the_place_of_another_leaves_that_to_old_executions(project: Project) -> None:
    sink = MemorySink()
    events, arn = history_of(project.load(PLAIN), sink=sink)
    recording = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    root = Replayer(project.load(PLAIN.replace(PAUSE, USED_AT_ONCE))).replay(recording).root
    assert root is not None
    assert root.fix.endswith("and the recorded call in `else:`")


def test_an_edit_is_found_in_a_copy_of_the_code_beside_the_recorded_one(project: Project, tmp_path: Path) -> None:
    recording = recorded(project)
    copy = tmp_path / "copy"
    copy.mkdir()
    root = Replayer(Project(copy).load(FLOW.replace('"charge"', '"pay"'))).replay(recording).root
    assert root is not None
    assert "edited_flow.py:15 was edited after the recording" in (root.likely or "")


OTHER = """
async def other(event, ctx):
    await ctx.step(one, name="total")
"""


def test_a_line_that_another_handler_of_the_file_gained_did_not_move_there(project: Project) -> None:
    line = '    await ctx.step(one, name="charge")\n'
    sink = MemorySink()
    events, arn = history_of(project.load(FLOW + OTHER), sink=sink)
    recording = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    root = Replayer(project.load(FLOW.replace(line, "") + OTHER + line)).replay(recording).root
    assert root is not None
    assert str(root.likely).endswith('`await ctx.step(one, name="charge")` was removed (changed)')


def test_a_handler_of_the_same_name_in_a_different_file_is_not_the_recorded_code(project: Project) -> None:
    second = FLOW.replace("from edited_prices import is_large\n", HELPER).replace('"charge"', '"pay"')
    recording = recorded(project, second)
    root = Replayer(sys.modules["edited_prices"].flow).replay(recording).root
    assert root is not None
    assert "the code is the recorded code" not in str(root.likely)


def test_a_second_edit_is_explained_with_its_own_lines(project: Project) -> None:
    sink = MemorySink()
    events, arn = history_of(project.load(LOOP), sink=sink)
    recording = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    for above in ("", "\n\n\n"):
        flow = above + LOOP.replace('        await ctx.step(one, name=f"pack', SPLIT)
        root = Replayer(project.load(flow)).replay(recording).root
        assert root is not None
        assert (root.likely or "").startswith(f"edited_flow.py:{11 + len(above)} was edited")


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_named_with_its_line(project: Project, name: str) -> None:
    recording = recorded(project)
    flow, helper, where, what = EDITS[name]
    root = Replayer(project.load(flow, helper)).replay(recording).root
    assert root is not None
    assert root.cause is not None
    assert root.cause.evidence is Evidence.CHANGED
    assert (root.likely or "").startswith(f"{where} was edited after the recording: "), root.likely
    assert what in (root.likely or "")
    assert (root.likely or "").endswith("(changed)")
    assert FIXES.get(name, "ctx.patched(") in root.fix


SECRET = FLOW.replace("def one(", 'PASSWORD = "first-one-1"\n\ndef one(').replace("120", "len(PASSWORD)")
"""A workflow whose code depends on a secret that is written in it."""


def with_secret(sink: MemorySink, project: Project, flow: str) -> RecordedExecution:
    events, arn = history_of(project.load(flow, HELPER.replace("> 100", "> 10")), sink=sink)
    return read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))


def test_a_changed_secret_is_named_and_not_shown(project: Project) -> None:
    """The recorded source lacks it, and so do the lines of today's code in the report."""
    flow = SECRET.replace("if is_large(total):", "if is_large(total) and len(PASSWORD) > 10:")
    recording = with_secret(MemorySink(), project, flow)
    today = project.load(flow.replace("first-one-1", "second-1"), HELPER.replace("> 100", "> 10"))
    report = Replayer(today).replay(recording)
    assert report.root is not None
    assert 'edited after the recording: the hidden value in `PASSWORD = "⊘"` changed' in (report.root.likely or "")
    for form in FORMATS:
        assert "second-1" not in render([report], form)


def test_code_beside_a_secret_is_compared(project: Project) -> None:
    recording = with_secret(MemorySink(), project, SECRET)
    today = SECRET.replace('name="charge"', 'name="pay" if PASSWORD != "second-1" else ""')
    report = Replayer(project.load(today, HELPER.replace("> 100", "> 10"))).replay(recording)
    assert report.root is not None
    assert report.root.cause is not None
    assert report.root.cause.evidence is Evidence.CHANGED
    for form in FORMATS:
        text = render([report], form)
        assert "second-1" not in text
        assert "first-one-1" not in text
    assert "PASSWORD !=" in (report.root.likely or "")


def test_earlier_versions_recorded_the_source_with_its_secrets(project: Project) -> None:
    """It is hidden when it is read, and when a trace is exported."""
    packed = base64.b64encode(zlib.compress(SECRET.encode())).decode()
    line = {"record": "source", "file": "flow.py", "digest": "d", "zlib": packed}
    source = source_texts([line])["flow.py"]
    assert source == RecordedSource(SECRET.replace("first-one-1", "⊘"), "d")
    (exported,) = without_secrets([line])
    assert zlib.decompress(base64.b64decode(exported["zlib"])).decode() == source.text
    assert {**exported, "zlib": packed} == line


@pytest.mark.parametrize("kept", [None, -1])
def test_a_source_that_expands_without_end_or_is_cut_is_neither_read_nor_exported(kept: int | None) -> None:
    data = zlib.compress(b"#" * (MAX_BYTES + 1) if kept is None else SECRET.encode())[:kept]
    line = {"record": "source", "file": "flow.py", "zlib": base64.b64encode(data).decode()}
    tracemalloc.start()
    assert source_texts([line]) == {}
    assert without_secrets([line]) == ()
    assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BYTES
    tracemalloc.stop()


def test_no_more_sources_are_read_than_a_trace_keeps() -> None:
    packed = base64.b64encode(zlib.compress(b"a = 1")).decode()
    lines = ({"record": "source", "file": f"{number}.py", "zlib": packed} for number in itertools.count())
    assert len(source_texts(lines)) == MAX_FILES


def test_rules_of_the_recorder_hide_in_the_source(project: Project) -> None:
    flow = FLOW.replace("def one(", 'STREET = "Elm Road 5"\n\ndef one(')
    sink = MemorySink()
    recorder = TraceRecorder(sink, sources=True, redaction=Redaction().with_keys({"street"}))
    events, arn = history_of(durable_execution(observers=[recorder])(project.load(flow).function))
    recording = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    text = next(source.text for source in source_texts(recording.traces[0].sources).values() if "flow" in source.text)
    assert text == flow.replace("Elm Road 5", "⊘")
    root = Replayer(project.load(flow.replace('"charge"', '"pay"'))).replay(recording).root
    assert root is not None
    assert "became" in (root.likely or "")
    assert "STREET" not in (root.likely or "")


def test_a_long_line_is_cut_around_its_first_difference(project: Project) -> None:
    long = HELPER.replace(
        "> 100", "> 100 and total is not None and isinstance(total, int) and total < 10**9 and total != 0"
    )
    recording = recorded(project, long)
    root = Replayer(project.load(helper=long.replace("!= 0", "!= 120"))).replay(recording).root
    assert root is not None
    assert "total != 0` became `" in (root.likely or ""), root.likely
    assert "total != 120`" in (root.likely or "")
    assert "return total" not in (root.likely or "")


def test_an_edit_that_does_not_run_before_the_call_is_not_named(project: Project) -> None:
    recording = recorded(project)
    flow = FLOW.replace('"review"', '"check"').replace("return total if started else 0", "return 0")
    helper = HELPER.replace("# a comment", "# another comment") + "\ndef unused():\n    return 3\n"
    root = Replayer(project.load(flow, helper)).replay(recording).root
    assert root is not None
    assert "edited_flow.py:14 was edited after the recording" in (root.likely or "")


def test_nothing_is_said_to_be_edited_without_a_recorded_source(project: Project) -> None:
    events, arn = history_of(project.load())
    root = Replayer(project.load(EDITS["renamed"][0])).replay(read_history(events, arn=arn)).root
    assert root is not None
    assert root.cause is None or root.cause.evidence is not Evidence.CHANGED


def test_the_source_survives_a_round_trip_and_can_be_left_out(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = recorded(project)
    again = read_traces("".join(write_traces(recording.traces)))
    texts = {Path(file).name: source.text for file, source in source_texts(again[0].sources).items()}
    assert texts == {"edited_flow.py": FLOW, "edited_prices.py": HELPER}
    monkeypatch.setenv("DURABLE_REPLAY_TRACE_SOURCE", "0")
    assert recorded(project).traces[0].sources == ()
    assert source_texts([{"record": "source", "file": "a.py", "zlib": "not base64!"}, {"record": "source"}]) == {}
