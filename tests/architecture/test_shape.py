"""The shape of the source: sizes, names, docstrings. `make test TESTS=tests/architecture OPTIONS=-s` prints the sizes."""

import ast
from statistics import median, quantiles

from tests.architecture.source_tree import modules

LONGEST_FILE = 500
LONGEST_FUNCTION = 60
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
    files = [module.lines for module in modules() if module.lines > 5]
    nine_in_ten = quantiles(functions, n=10)[-1]
    print(
        f"\n{len(files)} files, median {median(files):.0f} lines, longest {max(files)}"
        f"\n{len(functions)} functions, median {median(functions):.0f} lines, nine in ten under {nine_in_ten:.0f}, "
        f"longest {max(functions)}"
    )
    assert median(functions) <= 9
    assert nine_in_ten <= 35
    assert median(files) <= 250
