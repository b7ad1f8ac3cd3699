"""Syntax highlighting of Python source by Pygments, which Textual depends on."""

from collections.abc import Sequence
from importlib import import_module

from durable_debugger.text.cells import safe
from durable_debugger.text.lines import Line, Part


def highlighted(lines: Sequence[str]) -> list[Line]:
    """Return the lines with a role for every token.

    Args:
        lines: Lines of Python source.
    """
    token_module = import_module("pygments.token")  # it has no type stubs
    lexers = import_module("pygments.lexers.python")
    name = token_module.Name
    roles = (
        (token_module.Comment, "code_comment"),
        (token_module.String, "code_string"),
        (token_module.Keyword, "code_keyword"),
        (token_module.Number, "code_number"),
        (name.Decorator, "code_keyword"),
        (name.Function, "code_name"),
        (name.Class, "code_name"),
    )
    found: list[Line] = [[]]
    for token, text in lexers.PythonLexer(stripnl=False, ensurenl=False).get_tokens("\n".join(lines)):
        role = next((role for kind, role in roles if token in kind), "text")
        for index, piece in enumerate(text.split("\n")):
            if index:
                found.append([])
            if piece:
                found[-1].append(Part(safe(piece), role))
    return found
