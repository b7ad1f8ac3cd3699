"""Collects the calls that an invocation repeats without a change, until they are written as runs."""

from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, Protocol

from durable_execution.observers import CallSite, OperationCall
from durable_execution.trace.runs import (
    Identity,
    ReplayRun,
    configuration_text,
    digest_of_keys,
    identity_digest,
    key_of,
)
from durable_execution.trace.siblings import Origin, SiblingRuns, around, joined, origin, origin_of_scope, task_origin

TAIL = 2
"""This many calls before the first new one get lines of their own: that is where a reader looks first."""

BATCH = 64
"""Calls that are condensed at once."""

MAX_KNOWN = 4096
MAX_INPUT = 256
"""Characters of the input of a call that is kept across invocations."""

CONTEXT = "CONTEXT"
UNKEPT = object()
"""In place of a function that may hold values of the user."""


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


Repeat = tuple[RuntimeCall | OperationCall, Mapping[str, Any] | None]
"""A call that was answered as before, and the recorded operation that answered it (None while that has not ended)."""

AnyRepeat = tuple[Any, Mapping[str, Any] | None]
"""The same where the class is compared, which takes less time than `isinstance` and which type checkers do not follow."""


class Condensed:
    """Calls at consecutive positions of a context, without what only lines of their own show.

    Attributes:
        context_id: Prefix of their ids.
        is_open: Whether they have not ended.
        first: Position of the first call.
        keys: What a digest covers of each call.
    """

    __slots__ = ("context_id", "first", "is_open", "keys")

    def __init__(self, context_id: str | None, is_open: bool, first: int, keys: list[str]) -> None:
        self.context_id, self.is_open, self.first, self.keys = context_id, is_open, first, keys


class Identities:
    """Digests of identities and configurations, kept across the invocations of a recorder."""

    def __init__(self) -> None:
        self._of_code: dict[tuple[Any, ...], tuple[Any, CallSite | None, str]] = {}
        self._configurations: dict[tuple[Any, ...], str] = {}
        self._keys: dict[str, tuple[Any, ...]] = {}
        self._digests: dict[tuple[str | None, int], tuple[Sequence[str], str]] = {}

    def keys_of(self, calls: Sequence[AnyRepeat], digest_of: Callable[[str], str]) -> list[str]:
        """Return what a digest covers of each call.

        Most calls are as they were in the previous invocation: to see that takes less time than to work it out again. An id stands
        for a position in a context.
        """
        find = self._keys.get
        keys: list[str] = []
        add = keys.append
        for call, _ in calls:
            if call.__class__ is OperationCall:
                add(self._key_of(call, digest_of))
                continue
            known = find(call.id)
            if known is not None:
                key, site, name, type_, subtype, configuration, given, function, code = known
                if (
                    (site is call.site or site == call.site)
                    and name == call.name
                    and subtype == call.subtype
                    and type_ == call.type
                    and configuration == call.configuration
                    and given == call.input
                    and (function is call.function or code == call.code_and_name)
                ):
                    add(key)
                    continue
            add(self._new_key(call, digest_of))
        return keys

    def _new_key(self, call: RuntimeCall, digest_of: Callable[[str], str]) -> str:
        """Work out what a digest covers of a call, and keep it."""
        key, function, given = self._key_of(call, digest_of), call.function, call.input
        if given is None or len(given) <= MAX_INPUT:
            _bound(self._keys)
            facts = call.site, call.name, call.type, call.subtype, call.configuration, given
            known = key, *facts, kept(function), call.code_and_name
            self._keys[call.id] = known
        return key

    def _key_of(self, call: RuntimeCall | OperationCall, digest_of: Callable[[str], str]) -> str:
        given = call.input
        configuration = self.of_configuration(call.configuration) if call.configuration else ""
        return key_of(call.id, self.of(call), configuration, digest_of(given) if given is not None else None)

    def of_keys(self, context_id: str | None, first: int, keys: Sequence[str]) -> str:
        """Return the digest of one cut: of calls in a context, from the position `first` on."""
        known = self._digests.get((context_id, first))
        if known is not None and known[0] == keys:
            return known[1]
        digest = digest_of_keys(keys)
        _bound(self._digests)
        self._digests[context_id, first] = keys, digest
        return digest

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
        condensed_count: How many others there are.
    """

    def __init__(self, identities: Identities, digest_of: Callable[[str], str]) -> None:
        self._identities = identities
        self._digest_of = digest_of
        self.calls: list[Repeat] = []
        self.taken = 0
        self._condensed: list[Condensed] = []
        self.condensed_count = 0
        self._origins: dict[str, Origin | None] = {}

    @property
    def count(self) -> int:
        """How many calls were collected so far."""
        return self.taken + len(self)

    def __len__(self) -> int:
        return self.condensed_count + len(self.calls)

    def insert(self, index: int, repeat: Repeat) -> None:
        """Add a call at the place where `count` was `index`, or at the start if the calls before were taken since."""
        at = max(index - self.taken, 0)
        if at < self.condensed_count:
            place = self._place(at)
            self._condensed[place:place] = self._condense([repeat], [])
            self.condensed_count += 1
        else:
            self.calls.insert(at - self.condensed_count, repeat)

    def condense(self) -> None:
        """Keep of the calls what a digest covers, except for the last ones, which may get lines of their own.

        Otherwise thousands of calls would live until the end of the invocation, and the garbage collector would look at them
        again and again.
        """
        calls = self.calls[:-TAIL]
        del self.calls[:-TAIL]
        self._condense(calls, self._condensed)
        self.condensed_count += len(calls)

    def take(self, *, tail: int, until: int | None = None) -> tuple[list[ReplayRun | SiblingRuns], list[Repeat]]:
        """Remove calls, and return them as runs and as the last calls, which get lines of their own.

        Args:
            tail: The number of answered calls to keep out of the runs, at most `TAIL`.
            until: Leave the calls from the place where `count` was this; None takes all.
        """
        stop = len(self) if until is None else min(max(until - self.taken, 0), len(self))
        count = min(stop, self.condensed_count)
        place = self._place(count)
        condensed, self._condensed = self._condensed[:place], self._condensed[place:]
        calls = self.calls[: stop - count]
        del self.calls[: len(calls)]
        self.condensed_count -= count
        self.taken += stop
        last: list[Repeat] = []
        while calls and len(last) < tail and calls[-1][1] is not None:
            last.append(calls.pop())
        groups: dict[tuple[str | None, bool], list[tuple[int, list[str]]]] = {}
        for each in self._condense(calls, condensed):
            groups.setdefault((each.context_id, each.is_open), []).append((each.first, each.keys))
        return list(joined(groups, self._origins, self._identities.of_keys)), last[::-1]

    def _place(self, at: int) -> int:
        """Return where in the list of condensed calls call `at` (from 0) starts, which takes splitting it as a rule."""
        start = self.condensed_count
        for place in range(len(self._condensed), 0, -1):
            if start == at:
                return place
            each = self._condensed[place - 1]
            start -= len(each.keys)
            if start < at:
                rest = Condensed(each.context_id, each.is_open, each.first + at - start, each.keys[at - start :])
                each.keys = each.keys[: at - start]
                self._condensed.insert(place, rest)
                return place
        return 0

    def _condense(self, calls: Sequence[AnyRepeat], into: list[Condensed]) -> list[Condensed]:
        """Append calls to a list of condensed ones, and return the list."""
        last = into[-1] if into else None
        following = last.first + len(last.keys) if last is not None else 0
        scope = None
        for (call, recorded), key in zip(calls, self._identities.keys_of(calls, self._digest_of), strict=True):
            if call.__class__ is OperationCall:
                self._note_origin(call)
                is_here = last is not None and call.context_id == last.context_id
            else:
                is_here = call.scope is scope
                if not is_here:
                    scope = call.scope
                    self._note_origins(scope)
                    is_here = last is not None and call.context_id == last.context_id
            if is_here and last is not None and call.position == following and (recorded is None) is last.is_open:
                last.keys.append(key)
                following += 1
            else:
                last = Condensed(call.context_id, recorded is None, call.position, [key])
                following = call.position + 1
                into.append(last)
        return into

    def _note_origins(self, scope: Any) -> None:
        """Note where the context of a call was created, and those around it."""
        while scope is not None and (prefix := scope.ids.prefix) is not None and prefix not in self._origins:
            self._origins[prefix] = origin_of_scope(prefix, scope)
            scope = around(scope)

    def _note_origin(self, call: OperationCall) -> None:
        """Note the same for the description of a call."""
        context_id, origins = call.context_id, self._origins
        if call.type == CONTEXT:
            origins[call.id] = origin(call.id, context_id, call.position, of_tasks=False)
        if context_id is not None and context_id not in origins:
            origins[context_id] = task_origin(context_id, call.parent_id, call.path.rpartition("/")[0])


def source_of(call: RuntimeCall | OperationCall) -> tuple[CallSite | None, Any, str | None]:
    """Return where a call was made, and the code (or its fingerprint) and the name of its function."""
    if isinstance(call, OperationCall):
        return call.call_site, call.body, call.function
    return call.site, *call.code_and_name


def identity_of(call: OperationCall) -> Identity:
    """Return what a call shares with all calls from the same place."""
    return call.type, call.subtype, call.name, call.call_site, call.function, call.body


def kept(function: Any) -> Any:
    """Return a function that may be kept across invocations, and something else for one that may hold values of the user."""
    if function is None:
        return None
    is_plain = function.__class__ is FunctionType and not function.__dict__ and function.__closure__ is None
    return function if is_plain and function.__defaults__ is None and function.__kwdefaults__ is None else UNKEPT


def _bound(known: dict[Any, Any]) -> None:
    if len(known) >= MAX_KNOWN:
        known.clear()
