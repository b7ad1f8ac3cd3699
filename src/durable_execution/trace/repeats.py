"""Collects the calls that an invocation repeats without a change, until they are written as runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from durable_execution.observers import CallSite, OperationCall
from durable_execution.trace.runs import Identity, ReplayRun, configuration_text, identity_digest, key_of
from durable_execution.trace.siblings import Origin, SiblingRuns, joined, origin, origin_of_scope, task_origin

TAIL = 2
"""This many calls before the first new one get lines of their own: that is where a reader looks first."""

MAX_KNOWN = 4096
CONTEXT = "CONTEXT"


class RuntimeCall(Protocol):
    """A call in the runtime. Its complete description is expensive, and only needed for a line of its own."""

    id: str
    position: int
    type: str
    subtype: str
    name: str | None
    site: CallSite | None
    configuration: dict[str, Any] | None
    input: str | None
    is_virtual: bool
    function: Any
    items: Sequence[Any] | None
    scope: Any

    @property
    def parent_id(self) -> str | None:
        """Id of the CONTEXT operation that it is recorded under."""
        ...

    @property
    def context_id(self) -> str | None:
        """Prefix of its id."""
        ...

    @property
    def path(self) -> str:
        """Its readable path."""
        ...

    @property
    def code(self) -> Any:
        """The code of a step's function."""
        ...

    @property
    def function_name(self) -> str | None:
        """The qualified name of that function."""
        ...

    def info(self) -> OperationCall:
        """Return the description of the call."""
        ...


Repeat = tuple[RuntimeCall | OperationCall, Mapping[str, Any] | None, datetime]
"""A call that was answered as before, the recorded operation that answered it (None while that has not ended), and when."""


class Identities:
    """Digests of identities and configurations, kept across the invocations of a recorder."""

    def __init__(self) -> None:
        self._of_code: dict[tuple[Any, ...], tuple[Any, CallSite | None, str]] = {}
        self._configurations: dict[tuple[Any, ...], str] = {}

    def of(self, call: RuntimeCall) -> str:
        """Return the digest of a call's identity."""
        code, name = (call.code, call.function_name) if call.function is not None else (None, None)
        site = call.site
        place = call.type, call.subtype, call.name, id(site), id(code), name
        known = self._of_code.get(place)
        if known is None or known[0] is not code or known[1] is not site:
            known = code, site, identity_digest(identity_of(call.info()))
            _bound(self._of_code)
            self._of_code[place] = known
        return known[2]

    def of_configuration(self, configuration: Mapping[str, Any]) -> str:
        """Return a call's configuration as text."""
        try:
            items = tuple(configuration.items())
            known = self._configurations.get(items)
        except TypeError:  # a value that cannot be hashed
            return configuration_text(configuration)
        if known is None:
            _bound(self._configurations)
            known = self._configurations[items] = configuration_text(configuration)
        return known


class Repeats:
    """The repeated calls of one invocation that are not written yet.

    Args:
        identities: Kept across invocations.
        digest_of: Returns the digest of a payload.

    Attributes:
        taken: How many calls were removed.
        calls: Append to it. What a digest covers of a call is looked at in `take`: that is cheaper for all calls at once.
    """

    def __init__(self, identities: Identities, digest_of: Callable[[str], str]) -> None:
        self._identities = identities
        self._digest_of = digest_of
        self.calls: list[Repeat] = []
        self.taken = 0
        self._origins: dict[str, Origin | None] = {}

    @property
    def count(self) -> int:
        """How many calls were collected so far."""
        return self.taken + len(self.calls)

    def insert(self, index: int, repeat: Repeat) -> None:
        """Add a call at the place where `count` was `index`, or at the start if the calls before were taken since."""
        self.calls.insert(max(index - self.taken, 0), repeat)

    def take(self, *, tail: int, until: int | None = None) -> tuple[list[ReplayRun | SiblingRuns], list[Repeat]]:
        """Remove calls, and return them as runs and as the last calls, which get lines of their own.

        Args:
            tail: The number of answered calls to keep out of the runs.
            until: Leave the calls from the place where `count` was this; None takes all.
        """
        stop = len(self.calls) if until is None else max(until - self.taken, 0)
        calls, self.calls = self.calls[:stop], self.calls[stop:]
        self.taken += len(calls)
        last: list[Repeat] = []
        while calls and len(last) < tail and calls[-1][1] is not None:
            last.append(calls.pop())
        return list(self._runs(calls)), last[::-1]

    def _runs(self, calls: list[Repeat]) -> Iterator[ReplayRun | SiblingRuns]:
        groups: dict[tuple[str | None, bool], list[tuple[int, str]]] = {}
        digest_of, configured = self._digest_of, self._identities.of_configuration
        for call, recorded, _ in calls:
            configuration, given = call.configuration, call.input
            if isinstance(call, OperationCall):
                context_id, identity = call.context_id, identity_digest(identity_of(call))
                if call.type == CONTEXT:
                    self._origins[call.id] = origin(call.id, context_id, call.position, of_tasks=False)
            else:
                context_id, identity = call.scope.ids.prefix, self._identities.of(call)
            key = key_of(
                call.id,
                identity,
                configured(configuration) if configuration else "",
                digest_of(given) if given is not None else None,
            )
            group = context_id, recorded is None
            found = groups.get(group)
            if found is None:
                found = groups[group] = []
                if context_id is not None and context_id not in self._origins:
                    self._origins[context_id] = (
                        task_origin(context_id, call.parent_id, call.path.rpartition("/")[0])
                        if isinstance(call, OperationCall)
                        else origin_of_scope(context_id, call.scope)
                    )
            found.append((call.position, key))
        return joined(groups, self._origins)


def identity_of(call: OperationCall) -> Identity:
    """Return what a call shares with all calls from the same place."""
    return call.type, call.subtype, call.name, call.call_site, call.function, call.body


def _bound(known: dict[Any, Any]) -> None:
    if len(known) >= MAX_KNOWN:
        known.clear()
