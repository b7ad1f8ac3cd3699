"""Records programs on the local engine, as the API would show their histories."""

from collections.abc import Callable, Mapping
from typing import Any

from durable_execution import DurableHandler, durable_execution
from durable_execution.history.reading import RecordedExecution, read_history
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.protocol import Wire
from durable_execution.trace import MemorySink, read_traces

FUNCTION = "flow"


def recorded(
    function: Callable[..., Any],
    payload: Any = None,
    *,
    callbacks: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    skips: Any = None,
    traces: bool = False,
) -> RecordedExecution:
    """Run a function as a handler on the local engine, as far as it goes, and read its history.

    Args:
        function: What to run; it is not decorated yet.
        payload: Its payload.
        callbacks: As in `history_of`.
        functions: As in `history_of`.
        skips: What the clock skips; None skips every wait, or only work where callbacks are answered.
        traces: Whether its replay traces are read with the history.
    """
    sink = MemorySink()
    events, arn = history_of(
        durable_execution(function), payload, callbacks=callbacks, functions=functions, sink=sink, skips=skips
    )
    return read_history(events, arn=arn, traces=read_traces(sink.texts[arn]) if traces else ())


def history_of(
    handler: DurableHandler[Any],
    payload: Any = None,
    *,
    callbacks: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    sink: MemorySink | None = None,
    function: str = FUNCTION,
    skips: Any = None,
) -> tuple[list[Wire], str]:
    """The events of an execution that has come to its end, or waits for something nobody gives it; and its ARN.

    Args:
        handler: What to run.
        payload: Its payload.
        callbacks: Answers by the callback's name: a JSON text, or `{"error": ...}`.
        functions: Functions it invokes.
        sink: Where its replay traces go.
        function: Name it is registered under.
        skips: What the clock skips.
    """
    with LocalEngine(None, time="skip", ids=CountingIds(), trace_sink=sink or False) as engine:
        for name, target in (functions or {}).items():
            engine.register(name, target)
        engine.register(function, handler)
        arn = engine.start(function, payload if payload is not None else {})
        engine.run_until_idle(skips=skips or ("everything" if not callbacks else "work"))
        for name, answer in (callbacks or {}).items():
            _complete(engine, engine.wait_for_callback_id(arn, name), answer)
            engine.run_until_idle(skips="work")
        return events_of(engine, arn), arn


def events_of(engine: LocalEngine, arn: str) -> list[Wire]:
    """All events of an execution, page by page."""
    events: list[Wire] = []
    marker: str | None = None
    while True:
        more: dict[str, Any] = {"Marker": marker} if marker else {}
        page = engine.client.get_durable_execution_history(
            DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=1000, **more
        )
        events += page["Events"]
        marker = page.get("NextMarker")
        if not marker:
            return events


def _complete(engine: LocalEngine, callback_id: str, answer: Any) -> None:
    if isinstance(answer, Mapping) and "error" in answer:
        engine.client.send_durable_execution_callback_failure(
            CallbackId=callback_id, Error={"ErrorType": "Rejected", "ErrorMessage": answer["error"]}
        )
        return
    engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=str(answer).encode())
