"""An id generator that gives the next span a chosen id."""

from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator


class ChosenIds(IdGenerator):
    """Generates the ids of one invocation's spans; each is chosen right before its span starts."""

    def __init__(self) -> None:
        self._trace_id: int | None = None
        self._span_id: int | None = None
        self._others: IdGenerator = RandomIdGenerator()

    def fall_back_to(self, source: IdGenerator) -> None:
        """Set the generator for ids that are not chosen."""
        self._others = source

    def choose(self, trace_id: int, span_id: int) -> None:
        """Choose the ids of the next span."""
        self._trace_id = trace_id
        self._span_id = span_id

    def generate_span_id(self) -> int:
        """Return the chosen span id, once."""
        chosen, self._span_id = self._span_id, None
        return chosen if chosen is not None else self._others.generate_span_id()

    def generate_trace_id(self) -> int:
        """Return the chosen trace id, once; only spans without a parent ask for it."""
        chosen, self._trace_id = self._trace_id, None
        return chosen if chosen is not None else self._others.generate_trace_id()

    def is_trace_id_random(self) -> bool:
        """Return False: these ids hold a time and a hash."""
        return False
