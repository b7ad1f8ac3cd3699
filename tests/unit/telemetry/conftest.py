"""What every test about telemetry begins with: no current span, and no trace header from outside, nobody who sends."""

from collections.abc import Iterator

import pytest
from opentelemetry.context import Context, attach, detach

from tests.unit.telemetry.scenarios import stop_sending


@pytest.fixture(autouse=True)
def nothing_is_current(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests that open an invocation by hand do not always end it."""
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    token = attach(Context())
    yield
    detach(token)
    stop_sending()
