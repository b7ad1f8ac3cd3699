"""Runs the program of one page: `python -m tests.docs.run_page PAGE`, or `run(page)` in this process."""

import sys
from pathlib import Path
from types import ModuleType

from tests.docs.pages import program


def run(page: Path) -> None:
    """Run it as a module of its own, so that annotations and handlers find their names."""
    module = ModuleType("page_" + page.stem.replace("-", "_"))
    module.__file__ = str(page)
    sys.modules[module.__name__] = module
    try:
        exec(compile(program(page), str(page), "exec"), vars(module))
    finally:
        del sys.modules[module.__name__]


if __name__ == "__main__":
    run(Path(sys.argv[1]))
