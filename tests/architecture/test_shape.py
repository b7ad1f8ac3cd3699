"""The shape of the source: sizes, names, docstrings. `pytest -s` prints the sizes."""

import ast
from statistics import median, quantiles

import pytest

from tests.architecture.source_tree import Module, modules

LONGEST_FILE = 500
LONGEST_FUNCTION = 60
NO_NAMES = {"_lib", "lib", "utils", "util", "helpers", "helper", "common", "misc", "shared"}


def by_name(module: Module) -> str:
    return module.name


@pytest.mark.parametrize("module", modules(), ids=by_name)
def test_a_module_says_why_it_exists(module: Module) -> None:
    assert ast.get_docstring(module.tree), f"{module.place} has no docstring"


@pytest.mark.parametrize("module", modules(), ids=by_name)
def test_a_module_is_a_noun_that_says_what_is_inside(module: Module) -> None:
    assert NO_NAMES.isdisjoint(module.name.split(".")), f"{module.place}: name it after the one idea it holds"


@pytest.mark.parametrize("module", modules(), ids=by_name)
def test_a_file_can_be_read_in_one_sitting(module: Module) -> None:
    assert module.lines <= LONGEST_FILE, f"{module.place} has {module.lines} lines: it holds more than one idea"


@pytest.mark.parametrize("module", modules(), ids=by_name)
def test_a_function_can_be_seen_at_once(module: Module) -> None:
    long = [f"{module.place}:{f.line} {f.name}: {f.lines}" for f in module.functions() if f.lines > LONGEST_FUNCTION]
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
