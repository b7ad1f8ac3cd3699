"""The observer interface: every hook is optional, and notifications are values."""

import dataclasses
import inspect
from typing import Any

import pytest

from durable_execution import Observer, observers
from durable_execution.observers import AttemptStarted, CallSite, OperationCall
from tests.unit.fake_clock import START

CALL = OperationCall("1", None, None, 1, "order/pay", "STEP", "Step", "pay")
HOOKS = [name for name, _ in inspect.getmembers(Observer, inspect.isfunction) if name.startswith("on_")]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_may_be_left_out(hook: str) -> None:
    assert getattr(Observer(), hook)(None) is None
    assert inspect.getdoc(getattr(Observer, hook))


def test_there_is_a_hook_for_every_notification() -> None:
    def hook_of(name: str) -> str:
        return "on" + "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)

    notifications = [
        name
        for name, value in vars(observers).items()
        if dataclasses.is_dataclass(value) and name != "OperationCall" and value.__module__ == observers.__name__
    ]
    assert sorted(map(hook_of, notifications)) == sorted(HOOKS)


def test_no_trace_header_by_default() -> None:
    assert Observer().trace_header(CALL) is None


def test_a_notification_does_not_change() -> None:
    notification: Any = AttemptStarted(CALL, 1, START)
    with pytest.raises(dataclasses.FrozenInstanceError):
        notification.attempt = 2
    assert notification == AttemptStarted(CALL, 1, START)


def test_a_call_site_reads_like_a_place() -> None:
    assert str(CallSite("shop.py", 12, "process_order")) == "shop.py:12 in process_order"
