"""The shape of the source: sizes, names, docstrings. `make test TESTS=tests/architecture OPTIONS=-s` prints the sizes."""

import ast
from collections import Counter
from statistics import median, quantiles

from tests.architecture.import_graph import cycles, importers, only_importers
from tests.architecture.source_tree import REPOSITORY, modules

LONGEST_FILE = 500
LONGEST_FUNCTION = 60
SHORTEST_FILE = 60
KEPT_SMALL: dict[str, str] = {
    "src/durable_execution/telemetry/novelty.py": "decides what an invocation reports; shared by both views through one object",
    "src/durable_execution/telemetry/safe_meter.py": "a user's function; it needs neither a provider nor the other modules",
}
"""Files of 60 lines or fewer with one importer, each with the reason why it is a file of its own."""
MOST_SMALL = 20
MOST_CYCLES = 2
MOST_ONE_IMPORTER = 15
KEPT_APART: dict[str, str] = {
    "debugger/durable_debugger/cli/look.py": "the verbs that read; `replay` shows what it finds in the same way",
    "debugger/durable_debugger/model/headline.py": "the words of the first screen; the importer holds the state they describe",
    "debugger/durable_debugger/model/playback.py": "the moments of a recording, without cursor, folds and search",
    "debugger/durable_debugger/screens/dialogs.py": "screens of their own",
    "debugger/durable_debugger/screens/inspection.py": "actions, registered by name; loaded with the first screen",
    "debugger/durable_debugger/screens/timing.py": "actions, registered by name; loaded with the first screen",
    "debugger/durable_debugger/screens/replaying.py": "a replay in another process, while the screen goes on",
    "src/durable_execution/comparison/alignment.py": "aligns any two sequences; knows nothing of operations",
    "src/durable_execution/replay/cause/followed_attributes.py": "the attributes of a slice, without its steps",
    "src/durable_execution/comparison/relocation.py": "names moves among rows that are compared already",
    "src/durable_execution/context/combining_context.py": "the methods with many overloads, apart from the others",
    "src/durable_execution/explain/resting.py": "what an open execution waits for; the importer holds all other states",
    "src/durable_execution/history/tree.py": "arranges operations; the importer reads files",
    "debugger/durable_debugger/cli/ide.py": "other debugger's processes and files; `replay` only chooses it",
    "src/durable_execution/trace/call_text.py": "pure text; the importer keeps the state of an invocation",
    "src/durable_execution/trace/local_variables.py": "looks at frames, which only runs where locals are recorded",
    "src/durable_execution/trace/virtual_contexts.py": "follows contexts without a record; the importer writes lines",
    "src/durable_execution/redaction/secret_shapes.py": "data: the formats of tokens, keys and cards",
    "src/durable_execution/replay/workers/replay_pdb.py": "loads pdb, which no other replay needs",
    "src/durable_execution/replay/workers/worker.py": "the script of a process of its own",
    "src/durable_execution/replay/lines/line_recorder.py": "records what the interpreter reports; the importer compares replays",
    "src/durable_execution/lint/program.py": "follows names across files; knows no rule",
    "src/durable_execution/lint/logged.py": "follows values to logs; knows no rule",
    "src/durable_execution/local/http/function_process.py": "the script of a process of its own",
    "src/durable_execution/local/http/parsing.py": "checks requests without a server",
    "src/durable_execution/local/store/tables.py": "the schema of the store and its changes",
    "src/durable_execution/operations/batch_codec.py": "the stored form of a batch, in the format of AWS's SDK",
    "src/durable_execution/replay/explore.py": "answers what was open when the recording ended, one case at a time",
    "src/durable_execution/replay/isolation/landlock.py": "system calls of Linux, made with ctypes",
    "src/durable_execution/replay/replayed_tree.py": "arranges the calls of a replay like those of a recording",
    "src/durable_execution/replay/cause/line_alignment.py": "pairs two recordings line by line; the importer follows what differs",
    "src/durable_execution/replay/cause/found_origins.py": "what makes a difference at one statement; the importer goes from statement to statement",
    "src/durable_execution/replay/cause/followed_calls.py": "functions that end differently; the importer follows names",
    "src/durable_execution/replay/cause/handed_over.py": "values without a name; the importer follows names",
    "src/durable_execution/replay/cause/slicing.py": "follows one pair of replays; the importer chooses the pair",
    "src/durable_execution/replay/isolation/sandbox.py": "what a process may do; the importer replays in it",
    "src/durable_execution/replay/cause/skipped_writes.py": "reads functions that did not run; the importer follows those that did",
    "src/durable_execution/replay/lines/tracers.py": "one class for each way of Python to report lines",
    "src/durable_execution/replay/isolation/tripwires.py": "finds what was open before the sandbox closed",
    "src/durable_execution/replay/lines/value_shape.py": "tells whether a value changed; the importer renders it",
    "src/durable_execution/replay/lines/value_text.py": "values as short, redacted text, without running their code",
    "src/durable_execution/runtime/batcher.py": "collects updates for a checkpoint call; knows no operation",
    "src/durable_execution/runtime/transport.py": "HTTP; the importer chooses between it and a client of boto3",
    "src/durable_execution/runtime/signature.py": "AWS's signature; the importer sends what is signed",
    "src/durable_execution/runtime/reply.py": "the bytes of an HTTP answer; the importer decides what to do with it",
    "src/durable_execution/telemetry/history_calls.py": "reads events; the importer makes spans",
    "src/durable_execution/telemetry/live.py": "loads OpenTelemetry, once an application has a provider",
    "src/durable_execution/telemetry/metrics.py": "instruments; the importer assembles observers",
    "src/durable_execution/telemetry/sdk_spans.py": "needs OpenTelemetry's SDK, which its importer does without",
    "src/durable_execution/testing/planned_run.py": "drives a run; the importer checks what came of it",
    "src/durable_execution/testing/workflow_plan.py": "random workflows as values; the importer runs them",
    "src/durable_execution/trace/lines.py": "builds the text of lines; the importer observes",
}
"""Modules whose only importer is their neighbour, each with the idea that is its own."""
NO_NAMES = {"_lib", "lib", "utils", "util", "helpers", "helper", "common", "misc", "shared"}


def test_a_module_says_why_it_exists() -> None:
    silent = [module.place for module in modules() if not ast.get_docstring(module.tree)]
    assert not silent, "no docstring: " + ", ".join(silent)


def test_a_module_is_a_noun_that_says_what_is_inside() -> None:
    vague = [module.place for module in modules() if not NO_NAMES.isdisjoint(module.name.split("."))]
    assert not vague, "name it after the one idea it holds: " + ", ".join(vague)


def test_a_file_can_be_read_in_one_sitting() -> None:
    long = [f"{module.place}: {module.lines} lines" for module in modules() if module.lines > LONGEST_FILE]
    assert not long, "holds more than one idea: " + ", ".join(long)


def test_a_function_can_be_seen_at_once() -> None:
    long = [
        f"{module.place}:{function.line} {function.name}: {function.lines} lines"
        for module in modules()
        for function in module.functions()
        if function.lines > LONGEST_FUNCTION
    ]
    assert not long, "\n".join(long)


def test_most_functions_and_files_are_short() -> None:
    functions = [function.lines for module in modules() for function in module.functions() if function.lines]
    files = [module.lines for module in modules()]
    nine_in_ten = quantiles(functions, n=10)[-1]
    print(
        f"\n{len(files)} files, median {median(files):.0f} lines, longest {max(files)}"
        f"\n{len(functions)} functions, median {median(functions):.0f} lines, nine in ten under {nine_in_ten:.0f}, "
        f"longest {max(functions)}"
    )
    assert median(functions) <= 9
    assert nine_in_ten <= 35
    assert 150 <= median(files) <= 220, "ADR 0013 has the reasons"


def test_few_files_are_small() -> None:
    """Files of packages say what is in a folder, so they do not count."""
    small = [
        module.place
        for module in modules()
        if module.lines <= SHORTEST_FILE and module.path.name not in {"__init__.py", "__main__.py"}
    ]
    print(f"\n{len(small)} files of {SHORTEST_FILE} lines or fewer")
    assert len(small) <= MOST_SMALL, "fold one into the module that uses it: " + ", ".join(small)


def test_a_small_file_has_two_importers_or_a_reason() -> None:
    found = importers()
    slivers = [
        module.place
        for module in modules()
        if 0 < module.lines <= SHORTEST_FILE
        and module.path.name not in {"__init__.py", "__main__.py"}
        and len(found[module.name]) < 2
        and module.place not in KEPT_SMALL
    ]
    assert not slivers, "fold them into the module that uses them, or give a reason: " + ", ".join(slivers)


def test_imports_form_few_cycles() -> None:
    """Counts every import: at the top, in functions, and for types only."""
    found = cycles()
    print(f"\n{len(found)} cycles: " + ", ".join(f"{group[0]} and {len(group) - 1} more" for group in found))
    assert len(found) <= MOST_CYCLES, "\n".join(" <-> ".join(group) for group in found)


def test_few_modules_serve_one_neighbour() -> None:
    found = {each.module.place: each.importer.path.name for each in only_importers()}
    others = [f"{place} <- {importer}" for place, importer in found.items() if place not in KEPT_APART]
    print(f"\n{len(found)} modules with one importer, in the same folder; {len(others)} without a reason")
    assert len(others) <= MOST_ONE_IMPORTER, "fold one into its importer, or give a reason:\n" + "\n".join(others)
    gone = [place for place in KEPT_APART if not (REPOSITORY / place).is_file()]
    assert not gone, "no longer there: " + ", ".join(gone)


def test_every_exception_from_the_floor_is_needed() -> None:
    small = {module.place for module in modules() if module.lines <= SHORTEST_FILE}
    assert not set(KEPT_SMALL) - small


def test_a_basename_is_used_once() -> None:
    for package in ("durable_execution", "durable_debugger"):
        names = Counter(
            module.path.name
            for module in modules()
            if module.name.startswith(f"{package}.")
            and module.path.name not in {"__init__.py", "__main__.py"}
            and ".views." not in module.name  # the view of X is called X
        )
        assert not {name for name, count in names.items() if count > 1}
