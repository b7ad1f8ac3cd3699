"""Imports a file under the name that it has in its package: for handlers that are named by file."""

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

RELATIVE = re.compile(r"^\s*from\s+(\.+)", re.MULTILINE)


def import_file(path: Path) -> ModuleType:
    """Import a file, once.

    A file in a package is a module of the package, so that its relative imports work and its exceptions have the names they
    were recorded under. So is a file with relative imports in a package without `__init__.py`.

    Raises:
        ImportError: It is not a Python file, or Python finds another module under its name.
        Exception: What the module raises.
    """
    full = path.resolve()
    root, name = place_of(full)
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(full):
        return known
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    if "." in name:
        module = importlib.import_module(name)
        if getattr(module, "__file__", None) == str(full):
            return module
        raise ImportError(
            f"{path} is {name}, and Python finds another module of that name first: {module.__file__}. Uninstall that package, "
            "or run the command in its directory"
        )
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def place_of(file: Path) -> tuple[Path, str]:
    """Return the directory from which a resolved path is imported, and its dotted name there."""
    depth, folder = 0, file.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        depth, folder = depth + 1, folder.parent
    depth = max(depth, _relative_depth(file))
    parts = file.parts[len(file.parts) - 1 - depth : -1]
    if not depth or not all(part.isidentifier() for part in (*parts, file.stem)):
        return file.parent, file.stem
    return file.parents[depth], ".".join([*parts, *([] if file.stem == "__init__" else [file.stem])])


def _relative_depth(file: Path) -> int:
    """Return how many packages up a file's relative imports reach; 0 if it has none."""
    try:
        found = RELATIVE.findall(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return 0
    return min(max(map(len, found), default=0), len(file.parts) - 2)
