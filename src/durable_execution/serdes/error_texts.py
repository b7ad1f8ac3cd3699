"""How serializers describe a value in an error: enough to find the problem, without the secrets in it.

Errors of serializers end up in histories, logs, spans and reports, where a payload does not belong.
"""

import inspect
import re
import reprlib
from typing import TYPE_CHECKING, Any

from durable_execution.counts import counted
from durable_execution.errors import SerializationError
from durable_execution.redaction import HIDDEN, default_rules, redacted

if TYPE_CHECKING:
    import pydantic

ENCRYPT_IT = (
    "A secret is written as asterisks and cannot be read back. Declare the field as str or bytes and encrypt the value with "
    "EncryptedSerDes, or keep the secret in a secret store and pass its name"
)
ENDLESS = "it contains itself, or is nested too deeply for JSON"
MAX_SHOWN = 60
MAX_READ = 4096
MAX_PROBLEMS = 5
_INPUT_VALUE = r"(?s)input_value=.*?(?=, input_type=)"
"""A pattern, as the ones below. Each is compiled with the first error that it describes: a cold start has none."""


class UnstorableError(SerializationError):
    """A value that no annotation makes storable. The message says what to do instead."""


class UnavailableError(SerializationError):
    """Stored text cannot be fetched or opened where this code runs: the value may be right, and so may the code."""


def refuse_not_run(value: Any) -> None:
    """Refuse a coroutine or a generator, also inside dictionaries, lists and tuples.

    Raises:
        UnstorableError: The value is one, or holds one. The message says what to write.
    """
    pending, seen = [value], set[int]()
    while pending:
        each = pending.pop()
        what = "it is" if each is value else "it holds"
        if isinstance(each, (dict, list, tuple)):
            if id(each) not in seen:
                seen.add(id(each))
                pending.extend(each.values() if isinstance(each, dict) else each)
        elif inspect.iscoroutine(each):
            name = getattr(each, "__qualname__", "the function")
            each.close()  # so that Python does not warn that it was never awaited
            raise UnstorableError(f"{what} the coroutine of {name}(...), which has not run: write `await {name}(...)`")
        elif inspect.isgenerator(each) or inspect.isasyncgen(each):
            name = getattr(each, "__qualname__", "the function")
            raise UnstorableError(f"{what} the generator {name}, which has not run: return a list of its items")


CONFIGURATIONS = {
    "step": "StepConfig",
    "create_callback": "CallbackConfig",
    "wait_for_callback": "WaitForCallbackConfig",
    "invoke": "InvokeConfig",
    "map": "MapConfig",
    "parallel": "ParallelConfig",
    "run_in_child_context": "ChildConfig",
    "wait_for_condition": "WaitForConditionConfig",
    "with_retry": "WithRetryConfig",
}
"""The configuration of each operation that has one."""
_UNKNOWN_OPTION = r"(?:Durable|Blocking)Context\.(\w+)\(\) got an unexpected keyword argument '(\w+)'"

_NEEDLESS_AWAIT = r"^object \w+ can't be used in 'await' expression$|^'\w+' object can't be awaited$"


def advice(error: BaseException) -> str:
    """What to write, as a sentence to append, if an error was raised because an operation was called in a wrong way."""
    unknown = re.search(_UNKNOWN_OPTION, str(error)) if isinstance(error, TypeError) else None
    if unknown is not None and unknown[1] in CONFIGURATIONS:
        return f". Options go into the configuration: write config={CONFIGURATIONS[unknown[1]]}(...)"
    if isinstance(error, TypeError) and re.search(_NEEDLESS_AWAIT, str(error)):
        return ". The call returned its value already: leave out `await`"
    return _missing_await(error)


def _missing_await(error: BaseException) -> str:
    if isinstance(error, AttributeError) and inspect.iscoroutine(error.obj):
        name = error.obj.__qualname__
        return f". {name}(...) has not run: write `await {name}(...)`"
    if isinstance(error, TypeError) and "'coroutine'" in str(error):
        return ". A coroutine has not run: put `await` before the call that returned it"
    return ""


def stored(text: str) -> str:
    """Describe stored text: the start of an object or array with its secrets hidden, or else only its length."""
    if text.lstrip()[:1] in ("{", "["):
        return f"stored text {default_rules().payload(text[:MAX_READ])[:MAX_SHOWN]!r}"
    return f"stored text of {counted(len(text), 'character')}"


def shown(value: Any) -> str:
    """Describe a value in a few words. Text and bytes are described by their type, because they may be secrets."""
    if isinstance(value, (str, bytes, bytearray)):
        return f"a value of type {type(value).__name__}"
    try:
        return redacted(reprlib.repr(value))[:MAX_SHOWN]
    except Exception:  # noqa: BLE001  # a foreign __repr__ can raise anything
        return f"a value of type {type(value).__name__}"


def reason(error: BaseException) -> str:
    """The message of an error, without secrets and without the input that pydantic quotes."""
    if isinstance(error, RecursionError) or "Circular reference" in str(error):
        return ENDLESS
    return redacted(re.sub(_INPUT_VALUE, f"input_value={HIDDEN}", str(error)))


def validation_problems(error: "pydantic.ValidationError") -> str:
    """The fields that do not match, and why, without their values."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    found = [
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" if problem["loc"] else problem["msg"]
        for problem in problems[:MAX_PROBLEMS]
    ]
    more = len(problems) - len(found)
    return redacted("; ".join(found)) + (f"; and {more} more" if more > 0 else "")
