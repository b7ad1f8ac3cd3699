"""A workflow on the local engine, with time that skips and faults on demand."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from durable_execution import DurableHandler, durable_execution
from durable_execution.clock import Clock
from durable_execution.local import ExecutionResult, LocalEngine
from durable_execution.observers import Observer
from durable_execution.protocol import ExecutionStatus, Wire
from durable_execution.runtime.service import ServiceClient
from tests.scenarios.styles import Style, in_style

Wrapping = Callable[[ServiceClient], ServiceClient]
FUNCTION = "workflow"


@dataclass(slots=True)
class Subject:
    """A handler as the engine calls it, with something between it and the service.

    Attributes:
        handler: The handler.
        wrapping: Made anew for every invocation.
        observers: Told of every invocation.
        answers: What the handler has answered; exceptions it has raised stand among them.
    """

    handler: DurableHandler[Any]
    wrapping: Wrapping | None = None
    observers: Sequence[Observer] = ()
    answers: list[Wire | Exception] = field(default_factory=list)

    @property
    def function(self) -> Any:
        """The undecorated handler."""
        return self.handler.function

    def invoke(
        self,
        event: Any,
        lambda_context: Any = None,
        *,
        client: ServiceClient,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
    ) -> Wire:
        """Run one invocation."""
        service = self.wrapping(client) if self.wrapping is not None else client
        everybody = (*observers, *self.observers)
        try:
            answer = self.handler.invoke(event, lambda_context, client=service, observers=everybody, clock=clock)
        except Exception as error:
            self.answers.append(error)
            raise
        self.answers.append(answer)
        return answer


class Scenario:
    """Runs workflows written as `async def` in one of the two styles.

    Attributes:
        engine: The engine.
        style: `async` or `blocking`.
    """

    def __init__(self, engine: LocalEngine, style: Style) -> None:
        self.engine = engine
        self.style: Style = style

    def handler(self, function: Callable[..., Any], **options: Any) -> DurableHandler[Any]:
        """A handler of the workflow, in this scenario's style."""
        made: DurableHandler[Any] = durable_execution(**options)(in_style(function, self.style))
        return made

    def subject(
        self,
        function: Callable[..., Any],
        *,
        wrapping: Wrapping | None = None,
        observers: Sequence[Observer] = (),
        **options: Any,
    ) -> Subject:
        """Register the workflow, with something between it and the service."""
        subject = Subject(self.handler(function, **options), wrapping, observers)
        self.engine.register(FUNCTION, subject)
        return subject

    def run(self, function: Callable[..., Any], payload: Any = None, **options: Any) -> ExecutionResult:
        """Run the workflow to its end."""
        self.engine.register(FUNCTION, self.handler(function, **options))
        return self.engine.run(FUNCTION, payload)

    def result(self, function: Callable[..., Any], payload: Any = None, **options: Any) -> Any:
        """What the workflow returns; it must succeed."""
        ended = self.run(function, payload, **options)
        assert ended.status is ExecutionStatus.SUCCEEDED, ended.error
        return ended.result

    def start(self, function: Callable[..., Any], payload: Any = None, **options: Any) -> str:
        """Start the workflow, and return its execution's ARN."""
        self.engine.register(FUNCTION, self.handler(function, **options))
        return self.engine.start(FUNCTION, payload)

    def answer(self, arn: str, callback: str | None, value: Any = None) -> None:
        """Complete a callback with a value."""
        body = {} if value is None else {"Result": json.dumps(value)}
        callback_id = self.engine.wait_for_callback_id(arn, callback)
        self.engine.client.send_durable_execution_callback_success(CallbackId=callback_id, **body)

    def refuse(self, arn: str, callback: str | None, error_type: str, message: str) -> None:
        """Complete a callback with an error."""
        error = {"ErrorType": error_type, "ErrorMessage": message}
        callback_id = self.engine.wait_for_callback_id(arn, callback)
        self.engine.client.send_durable_execution_callback_failure(CallbackId=callback_id, Error=error)

    def ended(self, arn: str) -> ExecutionResult:
        """How an execution ends."""
        return self.engine.wait(arn)

    def history(self, arn: str) -> list[dict[str, Any]]:
        """Every event of an execution, with data."""
        events: list[dict[str, Any]] = []
        marker: str | None = None
        while True:
            page = self.engine.client.get_durable_execution_history(
                DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=1000, Marker=marker
            )
            events += page["Events"]
            marker = page.get("NextMarker")
            if not marker:
                return events

    def happened(self, arn: str) -> list[str]:
        """Types of the events, each with the name of its operation."""
        return [f"{event['EventType']} {event.get('Name', '')}".strip() for event in self.history(arn)]

    def invocations(self, arn: str) -> int:
        """How many invocations an execution has had."""
        return sum(event["EventType"] == "InvocationCompleted" for event in self.history(arn))
