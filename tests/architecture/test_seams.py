"""Time, chance and sleep come in through one module each: what replays must not ask the machine."""

import ast
from collections.abc import Iterator

from tests.architecture.source_tree import Module, modules

ASKS_THE_MACHINE = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.sleep",
    "random.random", "random.uniform", "random.randint", "random.choice", "random.Random", "random.SystemRandom",
    "uuid.uuid1", "uuid.uuid4", "uuid4", "os.urandom", "secrets.token_hex", "secrets.token_bytes",
}  # fmt: skip

MAY_ASK = {
    "durable_execution.clock": "is the clock",
    "durable_execution.retry": "spreads retries; the decision is recorded",
    "durable_execution.runtime.transport": "makes client tokens, which only the service compares; waits between attempts",
    "durable_execution.local.id_source": "makes the ids of executions and invocations",
    "durable_execution.local.http.function_process": "is a script for a process of its own, without the rest of this package",
    "durable_execution.replay.isolation.audit_hook": "waits for threads that may never end, which only real time can tell",
    "durable_execution.replay.explore": "stops code that never ends, which only real time can tell",
    "durable_execution.replay.replayer": "stops code that never ends, which only real time can tell",
    "durable_execution.replay.reorder": "stops code that never ends; shuffles completions from a given seed",
    "durable_execution.replay.checks": "stops code that never ends, which only real time can tell",
    "durable_execution.replay.workers.pool": "ends processes that never answer, which only real time can tell",
    "durable_execution.replay.workers.supervisor": "ends processes that never answer; makes keys that handlers cannot guess",
    "durable_execution.replay.workers.worker": "waits for processes that are about to end",
    "durable_execution.replay.workers.cause_finder": "ends a search that takes too long, which only real time can tell",
    "durable_execution.replay.cause.reproduction": "stops code that never ends, which only real time can tell",
    "durable_execution.replay.workers.channel": "chooses a descriptor that handlers cannot guess",
    "durable_execution.replay.surroundings": "moves the clock and seeds random numbers of a process that replays",
    "durable_execution.operations.replay_safe": "seeds a generator from the execution, so that replays draw the same",
}


def dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{dotted(value)}.{attribute}"
        case _:
            return ""


def questions(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in ASKS_THE_MACHINE or ".".join(name.split(".")[-2:]) in ASKS_THE_MACHINE:
                yield f"{module.place}:{node.lineno} {name}"


def test_only_the_seams_ask_the_machine() -> None:
    asked = [question for module in modules() if module.name not in MAY_ASK for question in questions(module)]
    assert not asked, "take a Clock, or the seam for ids and chance, instead:\n" + "\n".join(asked)


def test_every_exception_is_still_needed() -> None:
    needed = {module.name for module in modules() if any(questions(module))}
    assert set(MAY_ASK) <= needed, f"no longer needed: {set(MAY_ASK) - needed}"
