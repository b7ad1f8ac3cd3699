"""Collects the calls that an invocation repeats without a change, until they are written as runs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from durable_execution.observers import CallSite, OperationCall
from durable_execution.trace.runs import Identity, ReplayRun, configuration_text, identity_digest, key_of
from durable_execution.trace.siblings import Origin, SiblingRuns, around, joined, origin, origin_of_scope, task_origin

TAIL = 2
"""This many calls before the first new one get lines of their own: that is where a reader looks first."""

BATCH = 64
"""Calls that are condensed at once."""

MAX_KNOWN = 4096
MAX_INPUT = 256
"""Characters of the input of a call that is kept across invocations."""

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
    def code_and_name(self) -> tuple[Any, str | None]:
        """The code and the qualified name of the function of a step or a context."""
        ...

    def info(self) -> OperationCall:
        """Return the description of the call."""
        ...


Repeat = tuple[RuntimeCall | OperationCall, Mapping[str, Any] | None, datetime]
"""A call that was answered as before, the recorded operation that answered it (None while that has not ended), and when."""

Condensed = tuple[str | None, bool, int, str]
"""The same call: the prefix of its id, whether it has not ended, its position, and the key that a digest covers."""


class Identities:
    """Digests of identities and configurations, kept across the invocations of a recorder."""

    def __init__(self) -> None:
        self._of_code: dict[tuple[Any, ...], tuple[Any, CallSite | None, str]] = {}
        self._configurations: dict[tuple[Any, ...], str] = {}
        self._condensed: dict[str, tuple[tuple[Any, ...], Condensed]] = {}

    def condense(self, call: RuntimeCall, *, is_open: bool, digest_of: Callable[[str], str]) -> Condensed:
        """Return what a digest covers of a call in the runtime.

        Most calls are as they were in the previous invocation: to see that takes less time than to work it out again. An id stands
        for a position in a context.
        """
        given = call.input
        facts = (call.site, call.name, call.type, call.subtype, *call.code_and_name, call.configuration, given, is_open)
        known = self._condensed.get(call.id)
        if known is not None and known[0] == facts:
            return known[1]
        configuration = self.of_configuration(call.configuration) if call.configuration else ""
        key = key_of(call.id, self.of(call), configuration, digest_of(given) if given is not None else None)
        condensed = call.scope.ids.prefix, is_open, call.position, key
        if given is None or len(given) <= MAX_INPUT:
            _bound(self._condensed)
            self._condensed[call.id] = facts, condensed
        return condensed

    def of(self, call: RuntimeCall | OperationCall) -> str:
        """Return the digest of a call's identity."""
        site, code, name = source_of(call)
        place = call.type, call.subtype, call.name, id(site), id(code), name
        known = self._of_code.get(place)
        if known is None or known[0] is not code or known[1] is not site:
            identity = identity_of(call if isinstance(call, OperationCall) else call.info())
            known = code, site, identity_digest(identity)
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
        calls: The latest ones. Append to it, and call `condense` when there are `BATCH` of them.
    """

    def __init__(self, identities: Identities, digest_of: Callable[[str], str]) -> None:
        self._identities = identities
        self._digest_of = digest_of
        self.calls: list[Repeat] = []
        self.taken = 0
        self._condensed: list[Condensed] = []
        self._origins: dict[str, Origin | None] = {}

    @property
    def count(self) -> int:
        """How many calls were collected so far."""
        return self.taken + len(self)

    def __len__(self) -> int:
        return len(self._condensed) + len(self.calls)

    def insert(self, index: int, repeat: Repeat) -> None:
        """Add a call at the place where `count` was `index`, or at the start if the calls before were taken since."""
        at, condensed = max(index - self.taken, 0), self._condensed
        if at < len(condensed):
            condensed[at:at] = self._condense([repeat])
        else:
            self.calls.insert(at - len(condensed), repeat)

    def condense(self) -> None:
        """Keep of the calls what a digest covers, except for the last ones, which may get lines of their own.

        Otherwise thousands of calls would live until the end of the invocation, and the garbage collector would look at them
        again and again.
        """
        self._condensed += self._condense(self.calls[:-TAIL])
        del self.calls[:-TAIL]

    def take(self, *, tail: int, until: int | None = None) -> tuple[list[ReplayRun | SiblingRuns], list[Repeat]]:
        """Remove calls, and return them as runs and as the last calls, which get lines of their own.

        Args:
            tail: The number of answered calls to keep out of the runs, at most `TAIL`.
            until: Leave the calls from the place where `count` was this; None takes all.
        """
        stop = len(self) if until is None else min(max(until - self.taken, 0), len(self))
        condensed, self._condensed = self._condensed[:stop], self._condensed[stop:]
        calls = self.calls[: stop - len(condensed)]
        del self.calls[: len(calls)]
        self.taken += stop
        last: list[Repeat] = []
        while calls and len(last) < tail and calls[-1][1] is not None:
            last.append(calls.pop())
        condensed += self._condense(calls)
        groups: dict[tuple[str | None, bool], list[tuple[int, str]]] = {}
        for context_id, is_open, position, key in condensed:
            group = groups.get((context_id, is_open))
            if group is None:
                group = groups[context_id, is_open] = []
            group.append((position, key))
        return list(joined(groups, self._origins)), last[::-1]

    def _note_origins(self, scope: Any) -> None:
        """Note where the context of a call was created, and those around it."""
        while scope is not None and (prefix := scope.ids.prefix) is not None and prefix not in self._origins:
            self._origins[prefix] = origin_of_scope(prefix, scope)
            scope = around(scope)

    def _condense(self, calls: Sequence[Repeat]) -> list[Condensed]:
        condense, digest_of, origins = self._identities.condense, self._digest_of, self._origins
        found: list[Condensed] = []
        for call, recorded, _ in calls:
            if isinstance(call, OperationCall):
                found.append(self._condensed_call(call, is_open=recorded is None))
                continue
            condensed = condense(call, is_open=recorded is None, digest_of=digest_of)
            if condensed[0] is not None and condensed[0] not in origins:
                self._note_origins(call.scope)
            found.append(condensed)
        return found

    def _condensed_call(self, call: OperationCall, *, is_open: bool) -> Condensed:
        """Condense the description of a call."""
        context_id, origins = call.context_id, self._origins
        if call.type == CONTEXT:
            origins[call.id] = origin(call.id, context_id, call.position, of_tasks=False)
        if context_id is not None and context_id not in origins:
            origins[context_id] = task_origin(context_id, call.parent_id, call.path.rpartition("/")[0])
        identities, given = self._identities, call.input
        configuration = identities.of_configuration(call.configuration) if call.configuration else ""
        digest = self._digest_of(given) if given is not None else None
        return context_id, is_open, call.position, key_of(call.id, identities.of(call), configuration, digest)


def source_of(call: RuntimeCall | OperationCall) -> tuple[CallSite | None, Any, str | None]:
    """Return where a call was made, and the code (or its fingerprint) and the name of its function."""
    if isinstance(call, OperationCall):
        return call.call_site, call.body, call.function
    return call.site, *call.code_and_name


def identity_of(call: OperationCall) -> Identity:
    """Return what a call shares with all calls from the same place."""
    return call.type, call.subtype, call.name, call.call_site, call.function, call.body


def _bound(known: dict[Any, Any]) -> None:
    if len(known) >= MAX_KNOWN:
        known.clear()
