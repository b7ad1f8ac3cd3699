"""Many recordings, many handlers, from files and from a running engine."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution import DurableContext, durable_execution
from durable_execution.history.reading import UnreadableHistoryError
from durable_execution.local import LocalEngine
from durable_execution.replay import (
    Handlers,
    ReplayReport,
    Source,
    UnusableHandlerError,
    Verdict,
    check,
    fetch_history,
    history_files,
    load_handler,
    load_history,
    running_executions,
)
from tests.replay import workflows
from tests.replay.recording import history_of

MODULE = "tests.replay.workflows"


@pytest.fixture
def history(tmp_path: Path) -> Path:
    events, arn = history_of(workflows.plain, function="plain")
    path = tmp_path / "order.history.json"
    path.write_text(json.dumps({"DurableExecutionArn": arn, "Events": events}, default=str), encoding="utf-8")
    return path


def source(path: Path) -> Source:
    return Source(path.name, lambda: load_history(path))


def test_a_history_from_a_file(history: Path) -> None:
    (report,) = check([source(history)], Handlers.parse([f"{MODULE}:plain"]))
    assert (report.verdict, report.source) == (Verdict.SAME, "order.history.json")


def test_directories_are_searched(history: Path) -> None:
    nested = history.parent / "more" / "b.json"
    nested.parent.mkdir()
    nested.write_text("[]", encoding="utf-8")
    assert list(history_files([history.parent])) == [nested, history]
    assert list(history_files([history])) == [history]


def test_handlers_by_function_and_by_rule(history: Path) -> None:
    for references in ([f"plain={MODULE}:plain"], [f"{MODULE}:{{function}}"], [f"other={MODULE}:x", f"{MODULE}:plain"]):
        (report,) = check([source(history)], Handlers.parse(references))
        assert report.verdict is Verdict.SAME


def test_a_function_without_a_handler_is_named(history: Path) -> None:
    (report,) = check([source(history)], Handlers.parse([f"other={MODULE}:plain"]))
    assert report.exit_code == 2
    assert "add plain=MODULE:HANDLER" in (report.error or "")


def test_two_handlers_for_the_same_are_refused() -> None:
    with pytest.raises(UnusableHandlerError, match="keep one"):
        Handlers.parse(["a:b", "c:d"])


def test_progress_is_told_and_the_rest_goes_on(history: Path, tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken.json", tmp_path / "empty.json"
    broken.write_text('[{"EventType": ', encoding="utf-8")
    empty.write_text("[]", encoding="utf-8")
    told: list[ReplayReport] = []
    sources = [source(path) for path in (broken, empty, tmp_path / "absent.json", history)]
    reports = list(check(sources, workflows.plain, on_report=told.append))
    assert told == reports
    assert [report.verdict for report in reports] == ["unreadable", "unreadable", "unreadable", "same"]
    assert [report.exit_code for report in reports] == [3, 3, 3, 0]
    assert "truncated" in (reports[0].error or "")
    assert "no events" in (reports[1].error or "")


def test_a_file_that_is_no_history_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(UnreadableHistoryError, match=r"x\.json"):
        load_history(path)


def module(directory: Path, name: str, text: str) -> str:
    path = directory / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("name", "text", "handler", "words"),
    [
        ("rh_raises", "raise RuntimeError('at import')", "h", "RuntimeError: at import at "),
        ("rh_exits", "import sys; sys.exit(3)", "h", "SystemExit"),
        ("rh_syntax", "def (", "h", "SyntaxError"),
        ("rh_needs", "import no_such_module_anywhere", "h", "no_such_module_anywhere"),
        ("rh_plain", "def h(event, context): ...", "h", "is not a durable handler"),
        ("rh_absent", "from tests.replay.workflows import plain", "plane", "did you mean plain"),
    ],
)
def test_handlers_that_cannot_be_loaded(tmp_path: Path, name: str, text: str, handler: str, words: str) -> None:
    with pytest.raises(UnusableHandlerError) as caught:
        load_handler(f"{module(tmp_path, name, text)}:{handler}")
    assert words in str(caught.value)


@pytest.mark.parametrize("reference", ["", "module", ":handler", "module:"])
def test_references_that_name_nothing(reference: str) -> None:
    with pytest.raises(UnusableHandlerError, match=r"package\.module:handler"):
        load_handler(reference)


def test_modules_that_do_not_exist() -> None:
    with pytest.raises(UnusableHandlerError, match="no module"):
        load_handler("no_such_package.flow:handler")
    with pytest.raises(UnusableHandlerError, match="no such file"):
        load_handler("no/such/file.py:handler")


def versioned(name: str) -> Any:
    async def flow(event: Any, ctx: DurableContext) -> None:
        await ctx.step(workflows.body("a"), name=name)
        await ctx.create_callback("approval")
        callback = await ctx.create_callback("second")
        await callback.result()

    return durable_execution(flow)


def test_running_executions_against_new_code() -> None:
    with LocalEngine(None, time="skip", trace_sink=False) as engine:
        engine.register("flow", versioned("a"))
        engine.register("ended", workflows.plain)
        arns = [engine.start("flow", {"n": number}) for number in range(3)]
        engine.run("ended", {})
        engine.run_until_idle()
        found = list(running_executions(engine.client, "flow"))
        assert sorted(one.name for one in found) == sorted(arns)
        assert [one.verdict for one in check(found, versioned("a"))] == ["same"] * 3
        breaking = list(check(found, versioned("b")))
        assert [(one.root.kind, one.root.path) for one in breaking if one.root] == [("renamed", "flow/a")] * 3
        assert list(running_executions(engine.client, "ended")) == []
        assert fetch_history(engine.client, arns[0]).arn == arns[0]


def test_a_long_history_is_fetched_page_by_page() -> None:
    class Paged:
        def __init__(self) -> None:
            self.events, _ = history_of(workflows.plain)

        def get_durable_execution_history(self, *, Marker: str = "0", **_: Any) -> dict[str, Any]:  # noqa: N803
            start = int(Marker)
            page: dict[str, Any] = {"Events": self.events[start : start + 2]}
            return page | ({"NextMarker": str(start + 2)} if start + 2 < len(self.events) else {})

    paged = Paged()
    assert len(fetch_history(paged, "arn").events) == len(paged.events)


def test_an_execution_that_has_gone_does_not_stop_the_others() -> None:
    def gone() -> Any:
        raise UnreadableHistoryError("it has been deleted")

    reports = list(check([Source("a", gone), Source("b", gone)], workflows.plain))
    assert [one.error for one in reports] == ["it has been deleted"] * 2


def test_a_wait_of_another_length_is_a_warning_that_counts() -> None:
    def make(seconds: int) -> Any:
        async def flow(event: Any, ctx: DurableContext) -> None:
            await ctx.wait(timedelta(seconds=seconds), name="w")

        return durable_execution(flow)

    events, _ = history_of(make(5))
    (report,) = check([Source("x", lambda: _read(events))], make(9))
    assert (report.verdict, report.exit_code) == (Verdict.DIVERGED, 1)
    assert report.root is not None
    assert (report.root.kind, report.root.severity) == ("configuration", "warning")


def _read(events: Any) -> Any:
    from durable_execution.history.reading import read_history

    return read_history(events)
