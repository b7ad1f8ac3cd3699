"""The fix of a report, applied to the edited program: to statements in JSON, and to marked lines of Python."""

import ast
import json
import re
from copy import deepcopy
from typing import Any

from durable_execution.comparison import Divergence
from tests.replay import unseen_programs as unseen

PATCHED = re.compile(r'`if (?:not )?ctx\.patched\("([^"]+)"\):`')
NAMED = re.compile(r'`name="([^"]+)"`')

Body = list[dict[str, Any]]


def guarded(before: Body, after: Body, change: str) -> Body:
    """The edited program with the edit made only `if ctx.patched(change)`, as close to it as statements allow."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    if len(old) == len(new) == 1 and (inner := _guarded_inside(old[0], new[0], change)) is not None:
        return [*after[:start], inner, *after[len(after) - end :]]
    return [*after[:start], {"op": "patched", "change": change, "then": new, "else": old}, *after[len(after) - end :]]


def _guarded_inside(old: dict[str, Any], new: dict[str, Any], change: str) -> dict[str, Any] | None:
    """The statement with the edit guarded in its body; None if the statement itself was edited."""
    if {**old, "body": None} == {**new, "body": None} and "body" in old:
        return {**new, "body": guarded(old["body"], new["body"], change)}
    branches, others = old.get("branches"), new.get("branches")
    if branches and others and len(branches) == len(others) and {**old, "branches": None} == {**new, "branches": None}:
        found = [
            one if one == two else _guarded_inside(one, two, change) for one, two in zip(branches, others, strict=True)
        ]
        return {**new, "branches": found} if None not in found else None
    return None


def renamed(after: Any, replayed: str, name: str) -> Any:
    """The edited program with the recorded name given to the renamed call."""
    if isinstance(after, list):
        return [renamed(one, replayed, name) for one in after]
    if not isinstance(after, dict):
        return after
    found = {key: renamed(value, replayed, name) for key, value in after.items()}
    return {**found, "name": name} if found.get("name") == replayed else found


def fixed(case: dict[str, Any], root: Divergence) -> list[Body]:
    """The edited program with each fix of the report that is code."""
    before, after = case["recorded_program"]["body"], case["replayed_program"]["body"]
    programs = [guarded(before, after, change) for change in PATCHED.findall(root.fix)]
    if root.replayed is not None and f'"{root.replayed.name}"' in json.dumps(after):  # else the name is computed
        programs += [renamed(deepcopy(after), root.replayed.name or "", name) for name in NAMED.findall(root.fix)]
    return programs


MARKED = re.compile(r"#([-+])\s*$")
CONTEXTS = ("ctx", "inner")


def guarded_text(text: str, change: str) -> str | None:
    """A module with each block of marked lines made only `if ctx.patched(change)`; None where that is no Python."""
    found: list[str] = []
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if MARKED.search(line):
            if block and _indent(line) < _indent(block[0]):
                found += _guard(block, change)
                block = []
            block.append(line)
            continue
        found += _guard(block, change)
        block = []
        found.append(line)
    try:
        tree = ast.parse("\n".join(found))
    except SyntaxError:
        return None
    contexts = _contexts(tree, None)
    guards = [number for number, line in enumerate(found, 1) if "GUARDED.patched" in line]
    if any(contexts.get(number) is None for number in guards):
        return None
    for number in guards:
        found[number - 1] = found[number - 1].replace("GUARDED", contexts[number] or "")
    return "\n".join(found) + "\n"


def _guard(block: list[str], change: str) -> list[str]:
    if not block:
        return []
    indent = " " * _indent(block[0])
    new, old = ([f"    {line}" for line in block if line.rstrip().endswith(mark)] for mark in ("#+", "#-"))
    nothing = [f"{indent}    pass"]
    return [f"{indent}if GUARDED.patched({change!r}):", *(new or nothing), f"{indent}else:", *(old or nothing)]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _contexts(node: ast.AST, context: str | None) -> dict[int, str | None]:
    """The context that a guard can use, by line."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        names = {one.arg for one in node.args.args}
        context = next((one for one in CONTEXTS if one in names), context)
    found = {node.lineno: context} if isinstance(node, ast.If) else {}
    for child in ast.iter_child_nodes(node):
        found |= _contexts(child, context)
    return found


def fixed_text(program: unseen.Program, module: str, found: dict[str, Any]) -> str | None:
    """A module of a program with the fix of its report; None where the fix is not code that this can write."""
    text = program.modules[module]
    changes = PATCHED.findall(found["text"]["fix"])
    if changes:
        return guarded_text(text, changes[0])
    kept = NAMED.search(found["text"]["fix"])
    replayed = program.text(module, "+")
    if kept and found["names"][1] and f'"{found["names"][1]}"' in replayed:
        return replayed.replace(f'"{found["names"][1]}"', f'"{kept[1]}"')
    return None
