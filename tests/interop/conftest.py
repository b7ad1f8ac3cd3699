"""What tests beside AWS's SDK share."""

import pytest
from aws_durable_execution_sdk_python import state


@pytest.fixture(autouse=True)
def prompt_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's SDK looks ten times a second whether an invocation has ended, and an invocation ends only then."""
    monkeypatch.setattr(state, "_STOP_SIGNAL_POLL_SECONDS", 0.002)
