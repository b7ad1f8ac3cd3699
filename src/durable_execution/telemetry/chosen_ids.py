"""An id source that gives the next span the id it was told."""

from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator


class ChosenIds(IdGenerator):
    """Ids for the spans of one invocation, set right before each is started."""

    def __init__(self) -> None:
        self._trace_id: int | None = None
        self._span_id: int | None = None
        self._others: IdGenerator = RandomIdGenerator()

    def fall_back_to(self, source: IdGenerator) -> None:
        """Where ids come from that were not chosen."""
        self._others = source

    def choose(self, trace_id: int, span_id: int) -> None:
        """The ids of the span that is started next."""
        self._trace_id = trace_id
        self._span_id = span_id

    def generate_span_id(self) -> int:
        """The chosen one, once."""
        chosen, self._span_id = self._span_id, None
        return chosen if chosen is not None else self._others.generate_span_id()

    def generate_trace_id(self) -> int:
        """The chosen one, once; asked for only by spans without a parent."""
        chosen, self._trace_id = self._trace_id, None
        return chosen if chosen is not None else self._others.generate_trace_id()

    def is_trace_id_random(self) -> bool:
        """Ours carry a time and a hash."""
        return False
