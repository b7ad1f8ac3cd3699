"""Lints files: reads all of them, follows handlers across them, checks each function, and drops findings that a comment ignores."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import decode_source
from pathlib import Path

from durable_execution.lint.logged import only_logged
from durable_execution.lint.program import (
    FunctionInfo,
    Module,
    Orchestration,
    Program,
    called_later,
    children,
    operation_of,
    read_module,
)
from durable_execution.lint.rules import (
    LintFinding,
    is_environment,
    rule_for_call,
)

MUTATORS = frozenset(
    {"append", "extend", "insert", "add", "update", "remove", "discard", "pop", "clear", "setdefault", "popitem"}
)
SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})
SWALLOWED = ("BaseException", "asyncio.CancelledError", "asyncio.exceptions.CancelledError")
SKIPPED_DIRECTORIES = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", "build", "dist", ".tox"})


def check_orchestration(found: Orchestration, program: Program) -> Iterator[LintFinding]:
    """Check a function that runs again on every replay."""
    function = found.function
    harmless = only_logged(function, program) | _unordered(function)
    sets = _sets(function)
    for node in children(function.node):
        if id(node) in harmless:
            continue
        match node:
            case ast.Call():
                yield from _call(found, node)
                yield from _batch(found, node, sets)
            case ast.If() | ast.While() | ast.IfExp():
                yield from _environment(found, node.test)
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                yield from _iteration(found, node.iter, sets)
            case ast.ExceptHandler():
                yield from _handler(found, node)
            case ast.Expr() if isinstance(node.value, ast.Call):
                operation = operation_of(node.value, found.contexts)
                if operation is not None and _is_async(function):
                    yield _finding(found, node, "DUR205", f"{operation}(...)")
            case _:
                pass
    yield from _twins(found)


def check_step(function: FunctionInfo, contexts: frozenset[str]) -> Iterator[LintFinding]:
    """Check the body of a step."""
    place = Orchestration(function, contexts, ())
    own = _own_names(function)
    outer = _outer_names(function)
    for node in children(function.node):
        if isinstance(node, ast.Call):
            operation = operation_of(node, contexts - frozenset(function.parameters))
            if operation is not None:
                yield _finding(place, node, "DUR201", f"{operation}(...)")
            elif isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
                name = _base_name(node.func.value)
                if name is not None and name in outer and name not in own:
                    yield _finding(place, node, "DUR202", f"{name}.{node.func.attr}(...)")
        elif isinstance(node, ast.Nonlocal):
            yield _finding(place, node, "DUR202", f"nonlocal {', '.join(node.names)}")
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                name = _base_name(target.value) if isinstance(target, (ast.Subscript, ast.Attribute)) else None
                if name is not None and name in outer and name not in own:
                    yield _finding(place, node, "DUR202", f"{ast.unparse(target)} = …")


def _call(found: Orchestration, node: ast.Call) -> Iterator[LintFinding]:
    name = _resolved(found.function, node.func)
    method = node.func.attr if isinstance(node.func, ast.Attribute) else None
    if name is not None and name.partition(".")[0] in found.contexts:
        return
    rule = rule_for_call(name, method)
    if (
        (rule == "DUR107" and _is_zero(node))
        or (rule == "DUR111" and not _has_limit(node))
        or _is_in_memory(name, node)
        or (rule == "DUR106" and _is_deployed(node))
    ):
        return
    if rule is not None:
        yield _finding(found, node, rule, f"{_shown(node.func)}()")
    if operation_of(node, found.contexts) is None:
        yield from _called_later(found, node)
    if name == "asyncio.wait" and any("FIRST_" in ast.unparse(keyword.value) for keyword in node.keywords):
        yield _finding(found, node, "DUR110", "asyncio.wait(..., FIRST_COMPLETED)")
    if name == "asyncio.wait" and any(keyword.arg == "timeout" for keyword in node.keywords) and _has_limit(node):
        yield _finding(found, node, "DUR111", "asyncio.wait(..., timeout=...)")


def _called_later(found: Orchestration, node: ast.Call) -> Iterator[LintFinding]:
    """Find functions of libraries that a thread, a pool or `map` calls: `asyncio.to_thread(requests.get, url)`."""
    for given in called_later(node, found.function.module):
        if isinstance(given, (ast.Name, ast.Attribute)):
            name = _resolved(found.function, given)
            rule = rule_for_call(name, None) if name is not None else None
            if rule is not None:
                yield _finding(found, given, rule, _shown(given))


def _environment(found: Orchestration, test: ast.expr) -> Iterator[LintFinding]:
    """Find conditions on the environment: read there, in a name assigned earlier, or at import."""
    module = found.function.module
    known = {**module.values, **_assigned(found.function)}
    for node in ast.walk(test):
        if isinstance(node, (ast.Attribute, ast.Name)) and is_environment(module.resolve(node)):
            yield _finding(found, node, "DUR104", _shown(node))
            return
        if isinstance(node, ast.Name) and node.id in known:
            value = known[node.id]
            parts = (part for part in _evaluated(value, found) if isinstance(part, ast.Attribute))
            if any(is_environment(module.resolve(part)) for part in parts):
                yield _finding(found, node, "DUR104", f"{node.id} = {ast.unparse(value)[:60]}")
                return


def _resolved(function: FunctionInfo, node: ast.expr) -> str | None:
    """Return the dotted name of an expression, even where a function gave it another name: `clock = datetime.now`."""
    parts: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        scope: FunctionInfo | None = function
        while scope is not None:
            value = _assigned(scope).get(inner.id)
            if isinstance(value, (ast.Name, ast.Attribute)):
                found = function.module.resolve(value)
                return ".".join([found, *reversed(parts)]) if found is not None else None
            if value is not None or inner.id in scope.parameters:
                break
            scope = scope.outer
    return function.module.resolve(node)


def _batch(found: Orchestration, node: ast.Call, sets: frozenset[str]) -> Iterator[LintFinding]:
    """Find sets given to `ctx.map`: the items, and so their recorded results, have another order in another process."""
    items = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "items")]
    if operation_of(node, found.contexts) == "map" and items and _is_set(items[0], sets):
        yield _finding(found, items[0], "DUR109", f"map({_shown(items[0])}, …)")
    if isinstance(node.func, ast.Name) and node.func.id == "next" and node.args and _is_set(node.args[0], sets):
        yield _finding(found, node, "DUR109", _shown(node))
    if (
        isinstance(node.func, ast.Attribute)
        and node.func.attr == "pop"
        and not node.args
        and _is_set(node.func.value, sets)
    ):
        yield _finding(found, node, "DUR109", _shown(node))


def _evaluated(expression: ast.expr, found: Orchestration) -> Iterator[ast.AST]:
    """Yield the nodes that every replay evaluates: not the bodies of lambdas, nor the results of operations."""
    pending: list[ast.AST] = [expression]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Lambda) or (isinstance(node, ast.Call) and operation_of(node, found.contexts)):
            continue
        yield node
        pending.extend(ast.iter_child_nodes(node))


def _iteration(found: Orchestration, iterable: ast.expr, sets: frozenset[str]) -> Iterator[LintFinding]:
    if _is_set(iterable, sets):
        yield _finding(found, iterable, "DUR109", ast.unparse(iterable)[:60])


def _handler(found: Orchestration, node: ast.ExceptHandler) -> Iterator[LintFinding]:
    if any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node)):
        return
    types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    for caught in types:
        name = found.function.module.resolve(caught) if caught is not None else None
        if caught is None or name in SWALLOWED:
            yield _finding(found, node, "DUR204", f"except {ast.unparse(caught) if caught is not None else ''}".strip())


def _twins(found: Orchestration) -> Iterator[LintFinding]:
    """Find unnamed steps with different functions: a replay would not notice if they were swapped."""
    calls = (node for node in children(found.function.node) if isinstance(node, ast.Call))
    unnamed = [node for node in calls if operation_of(node, found.contexts) == "step" and not _has_name(node)]
    bodies = {ast.dump(node.args[0]) for node in unnamed if node.args}
    if len(unnamed) > 1 and len(bodies) > 1:
        for node in unnamed[1:]:
            yield _finding(found, node, "DUR203", f"{_shown(node.func)}(...) without a name")


def _has_name(node: ast.Call) -> bool:
    """Whether a step has a name: given explicitly, or taken from a call of a `@durable_step` function."""
    is_given = len(node.args) > 1 or any(keyword.arg == "name" for keyword in node.keywords)
    return is_given or (bool(node.args) and isinstance(node.args[0], ast.Call))


ANY_ORDER = frozenset({"any", "all", "sorted", "set", "frozenset", "len", "min", "max", "collections.Counter"})
"""Functions whose result is the same in any order of what they are given."""


def _unordered(function: FunctionInfo) -> set[int]:
    """Return the identities of `for` clauses whose order does not matter: `sum(len(name) for name in names)`."""
    found: set[int] = set()
    for node in children(function.node):
        match node:
            case ast.Call(args=[ast.GeneratorExp() | ast.ListComp() as given], keywords=[]):
                name = function.module.resolve(node.func)
                if name in ANY_ORDER or (name == "sum" and _counts(given.elt)):
                    found |= {id(clause) for clause in given.generators}
                    found |= {id(clause.iter) for clause in given.generators if _takes_completed(function, clause.iter)}
            case ast.SetComp():
                found |= {id(clause) for clause in node.generators}
            case _:
                pass
    return found


def _takes_completed(function: FunctionInfo, node: ast.expr) -> bool:
    """Whether an expression gives tasks in the order in which they finish."""
    name = function.module.resolve(node.func) if isinstance(node, ast.Call) else None
    return rule_for_call(name, None) == "DUR110"


def _counts(node: ast.expr) -> bool:
    """Whether a value is a whole number. A sum of others depends on their order in its last digits."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("len", "int", "round")
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def _sets(function: FunctionInfo) -> frozenset[str]:
    """Return the names that hold sets: of the module, of enclosing functions and of its own, parameters included."""
    scopes: list[FunctionInfo] = []
    scope: FunctionInfo | None = function
    while scope is not None:
        scopes.insert(0, scope)
        scope = scope.outer
    found = {name for name, value in function.module.values.items() if _is_set(value, frozenset())}
    for each in scopes:
        arguments = each.node.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            (found.add if _is_set_type(argument.annotation) else found.discard)(argument.arg)
        for name, value in _assigned(each).items():
            (found.add if _is_set(value, frozenset(found)) else found.discard)(name)
    return frozenset(found)


def _is_set_type(annotation: ast.expr | None) -> bool:
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    return isinstance(annotation, ast.Name) and annotation.id in ("set", "frozenset", "Set", "FrozenSet", "AbstractSet")


def _is_set(node: ast.expr, sets: frozenset[str]) -> bool:
    if isinstance(node, (ast.Set, ast.SetComp)):
        return True
    if isinstance(node, ast.Name):
        return node.id in sets
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)):
        return _is_set(node.left, sets) or _is_set(node.right, sets)
    return isinstance(node, ast.Call) and _gives_set(node, sets)


def _gives_set(node: ast.Call, sets: frozenset[str]) -> bool:
    """Whether a call makes a set, or keeps the order of one."""
    function = node.func
    if isinstance(function, ast.Attribute):
        if ast.unparse(function) == "dict.fromkeys":
            return bool(node.args) and _is_set(node.args[0], sets)
        return function.attr in SET_METHODS and _is_set(function.value, sets)
    if not isinstance(function, ast.Name):
        return False
    if function.id in ("list", "tuple", "enumerate", "iter", "reversed"):
        return bool(node.args) and _is_set(node.args[0], sets)
    if function.id in ("map", "filter"):
        return any(_is_set(one, sets) for one in node.args[1:])
    return function.id in ("set", "frozenset")


def _assigned(function: FunctionInfo) -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    for node in children(function.node):
        if isinstance(node, ast.Assign):
            found.update({target.id: node.value for target in node.targets if isinstance(target, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node.value
    return found


def _own_names(function: FunctionInfo) -> frozenset[str]:
    arguments = function.node.args
    named = {argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    stored = {
        node.id for node in children(function.node) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return frozenset(named | stored)


def _outer_names(function: FunctionInfo) -> frozenset[str]:
    """Return the local names of enclosing functions; a replay loses changes to them."""
    found: set[str] = set()
    outer = function.outer
    while outer is not None:
        found |= _own_names(outer)
        outer = outer.outer
    return frozenset(found)


def _base_name(node: ast.expr) -> str | None:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _is_async(function: FunctionInfo) -> bool:
    return isinstance(function.node, ast.AsyncFunctionDef)


def _has_limit(node: ast.Call) -> bool:
    """Whether the time limit of a call is anything but None."""
    limits = [keyword.value for keyword in node.keywords if keyword.arg in ("timeout", "delay", "when")] or node.args[
        -1:
    ]
    return not any(isinstance(limit, ast.Constant) and limit.value is None for limit in limits)


def _is_zero(node: ast.Call) -> bool:
    return bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0


def _is_in_memory(name: str | None, node: ast.Call) -> bool:
    """Whether a call opens a database that lives in this process only."""
    place = node.args[0] if node.args else None
    return name == "sqlite3.connect" and isinstance(place, ast.Constant) and place.value == ":memory:"


def _is_deployed(node: ast.Call) -> bool:
    """Whether a call reads a file that is deployed with the code: it changes only when the code does."""
    is_read = isinstance(node.func, ast.Attribute) and node.func.attr in ("read_text", "read_bytes")
    is_read = is_read or (ast.unparse(node.func) == "open" and len(node.args) == 1 and not node.keywords)
    return is_read and any(isinstance(one, ast.Name) and one.id == "__file__" for one in ast.walk(node))


def _shown(node: ast.expr) -> str:
    return ast.unparse(node)[:60]


def _finding(found: Orchestration, node: ast.AST, rule: str, what: str) -> LintFinding:
    return LintFinding(
        file=found.function.module.file,
        line=getattr(node, "lineno", 1),
        column=getattr(node, "col_offset", 0) + 1,
        rule=rule,
        what=what,
        function=found.function.qualname,
        reached=found.reached,
    )


def lint_paths(paths: Iterable[str | Path]) -> list[LintFinding]:
    """Lint files, and all Python files below directories.

    Args:
        paths: Files and directories. Calls are followed from one file to another if both are included.

    Raises:
        OSError: A file cannot be read.
    """
    return lint_sources({str(file): file.read_bytes() for path in map(Path, paths) for file in python_files(path)})


def lint_sources(sources: Mapping[str, str | bytes]) -> list[LintFinding]:
    """Lint sources, by file name: texts, or bytes in the encoding that they declare, which is UTF-8 if they declare none."""
    modules: dict[str, Module] = {}
    findings: set[LintFinding] = set()
    for file, source in sources.items():
        try:
            module = read_module(file, source if isinstance(source, str) else decode_source(source))
        except (SyntaxError, ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None) or 1
            findings.add(LintFinding(file, line, 1, "DUR901", _unreadable(error), "the file"))
            continue
        modules[module.name or file] = module
    program = Program.of(modules)
    for orchestration in program.orchestrations.values():
        findings.update(check_orchestration(orchestration, program))
    for function, contexts in program.steps.values():
        findings.update(check_step(function, contexts))
    by_file = {module.file: module for module in modules.values()}
    return sorted(found for found in _once(findings) if not _is_ignored(found, by_file))


def _unreadable(error: SyntaxError | ValueError | RecursionError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"it declares no encoding and is not UTF-8 at byte {error.start}"
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _once(findings: Iterable[LintFinding]) -> Iterator[LintFinding]:
    """Keep one finding per location and rule, the one with the shortest call chain."""
    best: dict[tuple[str, int, int, str], LintFinding] = {}
    for found in sorted(findings, key=lambda one: (len(one.reached), one.reached)):
        best.setdefault((found.file, found.line, found.column, found.rule), found)
    yield from best.values()


def _is_ignored(found: LintFinding, modules: Mapping[str, Module]) -> bool:
    module = modules.get(found.file)
    return module is not None and module.is_ignored(found.line, found.rule)


def python_files(path: Path) -> Iterator[Path]:
    """Yield a file, or the Python files below a directory, without those that tools put there."""
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*.py")):
        if not SKIPPED_DIRECTORIES & set(file.relative_to(path).parts[:-1]):
            yield file
