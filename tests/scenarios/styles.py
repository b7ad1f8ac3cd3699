"""One workflow in both handler styles: the `async def` that is written down, and the plain `def` derived from it.

The derived function is the written one without its `async` and `await` words: the operations of a blocking context are
called the same. So every scenario is stated once and is shown to hold for both.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any, Literal, TypeVar

Style = Literal["async", "blocking"]
F = TypeVar("F", bound=Callable[..., Any])


class WithoutAwait(ast.NodeTransformer):
    """Turns coroutine functions into plain ones."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:  # the name ast asks for
        """`async def` becomes `def`."""
        self.generic_visit(node)
        plain = ast.FunctionDef(
            name=node.name, args=node.args, body=node.body, decorator_list=node.decorator_list, returns=node.returns
        )
        return ast.copy_location(plain, node)

    def visit_Await(self, node: ast.Await) -> ast.AST:  # the name ast asks for
        """`await x` becomes `x`."""
        self.generic_visit(node)
        return node.value


def in_style(function: F, style: Style) -> F:
    """The function itself, or the plain `def` that does the same."""
    return function if style == "async" else _blocking(function)


def _blocking(function: F) -> F:
    source, first_line = inspect.getsourcelines(function)
    tree = WithoutAwait().visit(ast.parse(textwrap.dedent("".join(source))))
    definition = tree.body[0]
    definition.decorator_list = []
    cells = inspect.getclosurevars(function).nonlocals
    factory = ast.increment_lineno(ast.fix_missing_locations(_factory(definition, list(cells))), first_line - 1)
    namespace: dict[str, Any] = {}
    filename = inspect.getsourcefile(function) or "<scenario>"
    exec(compile(factory, filename, "exec"), function.__globals__, namespace)
    made: F = namespace["factory"](**cells)
    made.__qualname__ = function.__qualname__
    made.__module__ = function.__module__
    return made


def _factory(definition: ast.FunctionDef, names: list[str]) -> ast.Module:
    """A function that takes what the definition closes over, and returns what is defined."""
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(name) for name in names], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    body: list[ast.stmt] = [definition, ast.Return(ast.Name(definition.name, ast.Load()))]
    factory = ast.FunctionDef(name="factory", args=arguments, body=body, decorator_list=[])
    return ast.Module([factory], type_ignores=[])
