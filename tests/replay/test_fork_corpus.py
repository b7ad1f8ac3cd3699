"""Forks of the whole corpus: unedited, they reach the recorded outcome; edited, the call is the first difference."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from durable_execution.comparison.call_tree import tree_of
from durable_execution.comparison.comparison import Comparison, compare
from durable_execution.errors import ForkRefusedError
from durable_execution.history.positions import MAIN
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.protocol import ErrorObject
from durable_execution.protocol.enums import BATCHES, COMBINATORS
from durable_execution.replay.replayer import Replayer
from tests.replay.corpus_cases import CORPUS
from tests.replay.programs import handler_of
from tests.replay.recording import events_of

EVERY = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 9
"""One of how many calls is forked at; `HYPOTHESIS_PROFILE=thorough` forks at all of them."""

CASES = sorted(CORPUS.glob("*/*.json"))
pytestmark = [pytest.mark.acceptance, pytest.mark.filterwarnings("ignore")]


class Corpus:
    """One case: its recording, and an engine with the program that was recorded."""

    def __init__(self, path: Path, number: int) -> None:
        case = json.loads(path.read_text(encoding="utf-8"))
        self.origin = read_history(case["history"])
        self.handler = handler_of(case["recorded_program"])
        self.engine = LocalEngine(None, time="skip", ids=CountingIds(), trace_sink=False)
        self.engine.register("flow", self.handler)
        self.calls = [one for index, one in enumerate(self.origin.operations) if (index + number) % EVERY == 0]

    def fork(self, call: RecordedOperation, **edit: Any) -> RecordedExecution:
        arn = self.engine.fork(self.origin, at=call.id, function="flow", **edit)
        self.engine.run_until_idle(skips="work")
        while edit and (asked := self.engine.fork_questions(arn)):
            self.engine.answer(arn, asked[0], 1)
            self.engine.run_until_idle(skips="work")
        return read_history(events_of(self.engine, arn), arn=arn)

    def diff(self, fork: RecordedExecution) -> Comparison:
        sides = (tree_of(one, with_outcomes=True) for one in (self.origin, fork))
        return compare(*sides, handler="flow")

    def is_in_virtual_context(self, call: RecordedOperation | None) -> bool:
        known = self.origin.by_id()
        while call is not None:
            if any(step.kind == "context" for step in call.details.get("task_scope", MAIN)):
                return True
            call = known.get(call.parent_id or "")
        return False

    def lacks_results(self) -> bool:
        return any(one.details.get("result_truncated") for one in self.origin.operations)


def _outcome(execution: RecordedExecution) -> tuple[Any, ...]:
    error = execution.error
    return execution.status, execution.result, error and (error.type, error.message)


def _is_made_of_others(call: RecordedOperation) -> bool:
    return call.type == "WAIT" or call.subtype in BATCHES or call.subtype in COMBINATORS or call.subtype == "Patch"


@pytest.fixture(params=range(len(CASES)), ids=[path.stem for path in CASES])
def case(request: pytest.FixtureRequest) -> Any:
    corpus = Corpus(CASES[request.param], request.param)
    with corpus.engine:
        yield corpus


def test_an_unedited_fork_reaches_the_recorded_outcome(case: Corpus) -> None:
    for call in case.calls:
        if case.is_in_virtual_context(call) or not call.status.is_terminal or case.lacks_results():
            with pytest.raises(ForkRefusedError):
                case.fork(call)
            continue
        fork = case.fork(call)
        assert fork.forked_from is not None
        assert fork.forked_from.call == call.path
        first = case.diff(fork).first
        is_further = (
            first is not None and first.recorded is not None and first.recorded.status in ("STARTED", "PENDING")
        )
        assert first is None or (is_further and case.origin.status == "RUNNING"), call.path
        if case.origin.status in ("SUCCEEDED", "FAILED"):
            assert _outcome(fork) == _outcome(case.origin), call.path


def test_an_edited_call_is_the_first_difference(case: Corpus) -> None:
    for number, call in enumerate(case.calls):
        edit: dict[str, Any] = {"error": ErrorObject("no", "Refused")} if number % 2 else {"result": {"forked": 1}}
        is_foreign = call.id in case.origin.foreign()
        if case.is_in_virtual_context(call) or _is_made_of_others(call) or is_foreign:
            with pytest.raises(ForkRefusedError):
                case.fork(call, **edit)
            continue
        if case.lacks_results():
            continue
        fork = case.fork(call, **edit)
        compared = case.diff(fork)
        assert compared.first is not None, call.path
        assert compared.first.recorded is not None
        if call.status.is_terminal:
            assert compared.first.recorded.id == call.id
        else:  # what is open in the recording has no recorded order
            assert compared.first.recorded.status in ("STARTED", "PENDING")
            assert call.id in {one.recorded.id for one in compared.divergences if one.recorded is not None}


def test_a_fork_replays_the_same_against_the_code_that_made_it(case: Corpus) -> None:
    for call in case.calls[:1]:
        if case.is_in_virtual_context(call) or not call.status.is_terminal or case.lacks_results():
            continue
        report = Replayer(case.handler, cause=False).replay(case.fork(call))
        assert report.root is None, report.root
