"""Notes of what had not been sent when the process died."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from durable_execution.protocol import Wire
from durable_execution.runtime import client
from durable_execution.runtime.batcher import CheckpointBatcher
from durable_execution.runtime.client import LambdaService
from durable_execution.runtime.service import CheckpointAnswer, StatePage


@pytest.fixture
def descriptor(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        monkeypatch.setattr(client.notebook, "_descriptor", file.fileno())
        yield file.fileno()


def written(descriptor: int) -> str:
    return os.pread(descriptor, 1_000_000, 0).decode()


def start(name: str) -> Wire:
    return {"Id": name, "Type": "STEP", "Action": "START"}


def test_notes_are_read_as_they_were_written(descriptor: int) -> None:
    note = client.notebook.writer()
    assert note is not None
    note("first", start("a\nö\u2028"))
    note("first", start("b"))
    assert client.read_notes(written(descriptor)) == ("first", [start("a\nö\u2028"), start("b")])
    note("second", start("c"))
    assert client.read_notes(written(descriptor)) == ("second", [start("c")])
    assert written(descriptor).count("\n") == 1, "what was sent is not kept, or the file would grow without end"


def test_a_line_that_was_cut_off_is_left_out(descriptor: int) -> None:
    note = client.notebook.writer()
    assert note is not None
    note("token", start("a"))
    note("token", start("b"))
    text = written(descriptor)
    assert client.read_notes(text[:-1]) == ("token", [start("a")])
    assert client.read_notes("") is None
    assert client.read_notes(text[:5]) is None


def test_each_invocation_begins_anew(descriptor: int) -> None:
    for token in ("of the first", "of the second"):
        note = client.notebook.writer()
        assert note is not None
        note(token, start("a"))
    assert client.read_notes(written(descriptor)) == ("of the second", [start("a")])


def test_nobody_notes_where_nobody_asked() -> None:
    assert client.notebook.writer() is None
    assert LambdaService(object()).note_unsent is None  # type: ignore[arg-type]


def test_what_waits_while_a_call_is_made_is_noted_with_the_token_it_will_be_sent_with() -> None:
    noted: list[tuple[str, str]] = []

    class Noting:
        def __init__(self) -> None:
            self.called = asyncio.Event()
            self.go_on = asyncio.Event()

        def note_unsent(self, token: str, update: Wire) -> None:
            noted.append((token, update["Id"]))

        async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
            self.called.set()
            await self.go_on.wait()
            return CheckpointAnswer(token + "+", [])

        async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
            raise AssertionError("there is one page")

    async def scenario() -> None:
        service = Noting()
        ignore: Any = lambda *_: None  # noqa: E731
        batcher = CheckpointBatcher(
            client=service,
            execution_arn="arn",
            token="t",
            merge=ignore,
            on_failure=ignore,
            on_revoked=ignore,
            announcer=None,
        )
        sender = asyncio.get_running_loop().create_task(batcher.run())
        batcher.add(start("a"))
        stored = batcher.store({"Id": "a", "Type": "STEP", "Action": "SUCCEED"})
        await service.called.wait()
        batcher.add(start("b"))
        service.go_on.set()
        await stored
        await asyncio.sleep(0)
        sender.cancel()

    asyncio.run(scenario())
    assert noted == [("t", "a"), ("t", "b"), ("t+", "b")]
