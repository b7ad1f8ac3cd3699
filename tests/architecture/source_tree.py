"""The project's own source, as modules and functions with their lengths."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = {"durable_execution": REPOSITORY / "src", "durable_debugger": REPOSITORY / "debugger"}


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method and how many lines it takes, its docstring and decorators left out."""

    name: str
    line: int
    lines: int


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the project."""

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def place(self) -> str:
        """Path as seen from the root of the repository."""
        return str(self.path.relative_to(REPOSITORY))

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield Function(node.name, node.lineno, _body_lines(node))


@cache
def modules() -> tuple[Module, ...]:
    """Every module of both packages."""
    return tuple(
        _read(path, base) for package, base in PACKAGES.items() for path in sorted((base / package).rglob("*.py"))
    )


def _read(path: Path, base: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    name = ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
    return Module(name, path, ast.parse(text, filename=str(path)), text.count("\n"))


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    has_docstring = ast.get_docstring(node, clean=False) is not None
    body = node.body[1:] if has_docstring else node.body
    return (node.end_lineno or node.lineno) - body[0].lineno + 1 if body else 0
