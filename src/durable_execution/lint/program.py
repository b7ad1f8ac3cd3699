"""Classifies functions: orchestration code, which runs on every replay, or step bodies, which run once.

Reads source files as modules: their functions, and the meaning of their names.
"""

import ast
import random
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from durable_execution.lint.rules import EXACT

HANDLER_DECORATORS = ("durable_execution", "handler.durable_execution")
STEP_DECORATORS = ("durable_step", "context.step_function.durable_step")
CONTEXT_TYPES = ("DurableContext", "BlockingContext")
STEP_CALLS = frozenset({"step", "wait_for_condition", "wait_for_callback"})
CHILD_CALLS = frozenset({"run_in_child_context", "map", "parallel", "with_retry"})
OPERATIONS = (
    STEP_CALLS | CHILD_CALLS | {"wait", "create_callback", "invoke", "now", "all", "any", "race", "all_settled"}
)
CALLERS = frozenset(
    {
        "map", "filter", "sorted", "min", "max", "functools.reduce", "itertools.groupby", "itertools.starmap", "any", "all",
        "threading.Thread", "asyncio.to_thread", "_thread.start_new_thread",
    }
)  # fmt: skip
"""Functions that call the functions they are given, at once or in a thread."""

POOLS = frozenset(
    {"submit", "map", "starmap", "apply", "apply_async", "map_async", "imap", "imap_unordered", "run_in_executor"}
)
"""Methods of pools that call the functions they are given."""

STANDARD = {"random": random, "secrets": secrets}
"""Modules whose every function the rules are about."""

MAX_ALIASES = 10
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(slots=True)
class FunctionInfo:
    """A function of a module.

    Attributes:
        module: The module.
        node: Its definition.
        qualname: Its qualified name.
        outer: The enclosing function, if any.
        locals: Functions defined directly in it, by name.
    """

    module: "Module"
    node: Function
    qualname: str
    outer: "FunctionInfo | None" = None
    locals: dict[str, "FunctionInfo"] = field(default_factory=dict)

    @property
    def parameters(self) -> list[str]:
        """Names of its positional parameters, without `self`."""
        names = [argument.arg for argument in (*self.node.args.posonlyargs, *self.node.args.args)]
        return names[1:] if names[:1] in (["self"], ["cls"]) else names


@dataclass(slots=True)
class Orchestration:
    """A function that runs again on every replay.

    Attributes:
        function: The function.
        contexts: Names that hold a durable context in the function.
        reached: Call chain from a handler to the function.
    """

    function: FunctionInfo
    contexts: frozenset[str]
    reached: tuple[str, ...]


@dataclass(slots=True)
class Module:
    """One source file.

    Attributes:
        file: Path as given.
        name: Dotted name, derived from the path.
        tree: Its syntax tree.
        imports: Full names of imported names: `datetime` → `datetime.datetime`.
        functions: Its functions by qualified name.
        values: Expressions assigned to module-level names, by name.
        stars: Modules of which it imports every name, the last first.
        ignores: Ignored codes by line; an empty set ignores everything.
        others: The program's modules by dotted name, itself included, for names that are imported from them.
    """

    file: str
    name: str
    tree: ast.Module
    imports: dict[str, str] = field(default_factory=dict)
    functions: dict[str, FunctionInfo] = field(default_factory=dict)
    values: dict[str, ast.expr] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    ignores: dict[int, frozenset[str]] = field(default_factory=dict)
    others: Mapping[str, "Module"] = field(default_factory=dict)

    def resolve(self, node: ast.AST) -> str | None:
        """Return the dotted name that an expression refers to.

        After `from datetime import datetime as dt`, `dt.now` is `datetime.datetime.now`, also if another file of the program
        imports it, gives it another name, or is imported with a star.
        """
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        return self._followed(".".join([self._meaning(node.id), *reversed(parts)]))

    def _meaning(self, name: str, depth: int = 0) -> str:
        """Return the dotted name that a name of this module stands for."""
        if name in self.imports:
            return self.imports[name]
        value = self.values.get(name)
        if isinstance(value, (ast.Name, ast.Attribute)) and depth < MAX_ALIASES:
            attributes, root = _parts(value)
            if root is not None and root != name:
                return ".".join([self._meaning(root, depth + 1), *attributes])
        if name not in self.functions and name not in self.values:
            for star in self.stars:
                if star_gives(star, name, _module_named(star, self.others)):
                    return f"{star}.{name}"
        return name

    def _followed(self, dotted: str, depth: int = 0) -> str:
        """Follow a dotted name into the modules of the program, to where it is defined."""
        parts = dotted.split(".")
        for end in range(len(parts) - 1, 0, -1):
            module = _module_named(".".join(parts[:end]), self.others)
            if module is None or module is self:
                continue
            name, rest = parts[end], parts[end + 1 :]
            meaning = module._meaning(name)  # noqa: SLF001  # of the same class
            if name in module.functions or meaning == name or depth >= MAX_ALIASES:
                return ".".join([*parts[:end], meaning, *rest]) if meaning != name else dotted
            return module._followed(".".join([meaning, *rest]), depth + 1)  # noqa: SLF001  # of the same class
        return dotted

    def is_ignored(self, line: int, code: str) -> bool:
        """Whether a comment on the line ignores the rule."""
        codes = self.ignores.get(line)
        return codes is not None and (not codes or code in codes)


@dataclass(slots=True)
class Program:
    """All modules, with the roles of their functions.

    Attributes:
        modules: The modules by dotted name.
        orchestrations: Functions that run again on every replay, by identity of their definition.
        steps: Functions that run as step bodies, with the context names in their scope.
    """

    modules: Mapping[str, Module]
    orchestrations: dict[int, Orchestration] = field(default_factory=dict)
    steps: dict[int, tuple[FunctionInfo, frozenset[str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, modules: Mapping[str, Module]) -> "Program":
        """Find handlers and follow their calls."""
        program = cls(modules)
        for module in modules.values():
            module.others = modules
        pending = list(program._handlers())
        while pending:
            found = pending.pop()
            key = id(found.function.node)
            known = program.orchestrations.get(key)
            if known is not None and found.contexts <= known.contexts:
                continue
            if known is not None:  # only ever more contexts, so that functions that call each other come to an end
                found.contexts |= known.contexts
            program.orchestrations[key] = found
            pending.extend(program._reached_from(found))
        return program

    def _handlers(self) -> Iterator[Orchestration]:
        for module in self.modules.values():
            for function in module.functions.values():
                if _is_decorated(function, HANDLER_DECORATORS):
                    contexts = with_aliases(function, _contexts(function, 1))
                    yield Orchestration(function, contexts, (function.qualname,))
                elif _is_decorated(function, STEP_DECORATORS):
                    self.steps[id(function.node)] = (function, frozenset())

    def _reached_from(self, outer: Orchestration) -> Iterator[Orchestration]:
        for node in children(outer.function.node):
            if not isinstance(node, ast.Call):
                continue
            operation = operation_of(node, outer.contexts)
            if operation is not None:
                yield from self._given_to(operation, node, outer)
            else:
                yield from self._called(node, outer)
                yield from self._passed_on(node, outer)

    def _given_to(self, operation: str, node: ast.Call, outer: Orchestration) -> Iterator[Orchestration]:
        """Yield functions passed to an operation that run as child contexts; collect step bodies."""
        candidates = [*node.args, *(keyword.value for keyword in node.keywords)]
        if operation == "parallel":
            candidates = [item for one in candidates for item in _items(one)]
        for candidate in candidates:
            function = self.function_of(candidate, outer.function)
            if function is None:
                continue
            if operation in STEP_CALLS:
                self.steps.setdefault(id(function.node), (function, outer.contexts))
            elif operation in CHILD_CALLS:
                own = _contexts(function, 0) | (outer.contexts - frozenset(function.parameters))
                yield Orchestration(function, with_aliases(function, own), (*outer.reached, function.qualname))

    def _called(self, node: ast.Call, outer: Orchestration) -> Iterator[Orchestration]:
        function = self.function_of(node.func, outer.function)
        if function is None or _is_decorated(function, (*STEP_DECORATORS, *HANDLER_DECORATORS)):
            return
        passed = frozenset(
            name
            for name, argument in zip(function.parameters, node.args, strict=False)
            if _is_context(argument, outer.contexts)
        )
        closed_over = outer.contexts if _is_within(function, outer.function) else frozenset()
        own = passed | _annotated(function) | (closed_over - frozenset(function.parameters))
        yield Orchestration(function, with_aliases(function, own), (*outer.reached, function.qualname))

    def _passed_on(self, node: ast.Call, outer: Orchestration) -> Iterator[Orchestration]:
        """Yield functions given to `map`, `sorted`, threads and others that call them."""
        for given in called_later(node, outer.function.module):
            function = self.function_of(given, outer.function)
            if function is not None and not _is_decorated(function, (*STEP_DECORATORS, *HANDLER_DECORATORS)):
                own = outer.contexts if _is_within(function, outer.function) else frozenset()
                own = _annotated(function) | (own - frozenset(function.parameters))
                yield Orchestration(function, own, (*outer.reached, function.qualname))

    def function_of(self, node: ast.expr, within: FunctionInfo) -> FunctionInfo | None:
        """Return the function an expression refers to, if that can be determined."""
        if isinstance(node, ast.Lambda):
            return FunctionInfo(within.module, node, f"{within.qualname}.<lambda>", within)
        if isinstance(node, ast.Call) and node.args and _is_partial(node, within.module):
            return self.function_of(node.args[0], within)
        if isinstance(node, ast.Name):
            scope: FunctionInfo | None = within
            while scope is not None:
                if node.id in scope.locals:
                    return scope.locals[node.id]
                scope = scope.outer
            if node.id in within.module.functions:
                return within.module.functions[node.id]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            owner = within.qualname.rpartition(".")[0]
            return within.module.functions.get(f"{owner}.{node.attr}")
        return self._imported(within.module.resolve(node))

    def _imported(self, name: str | None) -> FunctionInfo | None:
        if name is None or "." not in name:
            return None
        parts = name.split(".")
        for end in range(len(parts) - 1, 0, -1):
            module = _module_named(".".join(parts[:end]), self.modules)
            if module is not None and ".".join(parts[end:]) in module.functions:
                return module.functions[".".join(parts[end:])]
        return None


def called_later(node: ast.Call, module: Module) -> Iterator[ast.expr]:
    """Yield what a call is given that may be a function which it calls: not those of operations."""
    is_pool = isinstance(node.func, ast.Attribute) and node.func.attr in POOLS
    if is_pool or module.resolve(node.func) in CALLERS:
        yield from node.args
        yield from (keyword.value for keyword in node.keywords if keyword.arg in ("key", "target", "func", "function"))


def _module_named(name: str, modules: Mapping[str, Module]) -> Module | None:
    """Return the module of a dotted name, even where the program was given the directories around it."""
    if name in modules:
        return modules[name]
    return next((module for known, module in modules.items() if known.endswith(f".{name}")), None)


def _parts(node: ast.expr) -> tuple[list[str], str | None]:
    """Return the attributes of a dotted expression, and its first name; None for any other beginning."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.insert(0, node.attr)
        node = node.value
    return attributes, node.id if isinstance(node, ast.Name) else None


def star_gives(star: str, name: str, module: Module | None, seen: frozenset[str] = frozenset()) -> bool:
    """Whether `from star import *` gives a name. Of modules outside the program, only what the rules know is known."""
    if module is None:
        return any(known == f"{star}.{name}" or known.startswith(f"{star}.{name}.") for known in EXACT) or (
            star in STANDARD and name in STANDARD[star].__all__
        )
    exported = module.values.get("__all__")
    if isinstance(exported, (ast.List, ast.Tuple)):
        return any(isinstance(one, ast.Constant) and one.value == name for one in exported.elts)
    if name.startswith("_"):
        return False
    if name in module.imports or name in module.functions or name in module.values:
        return True
    seen |= {star}
    deeper = (one for one in module.stars if one not in seen)
    return any(star_gives(one, name, _module_named(one, module.others), seen) for one in deeper)


def _is_within(function: FunctionInfo, outer: FunctionInfo) -> bool:
    """Whether a function is defined in another one, or beside it in the same function."""
    around: FunctionInfo | None = function.outer
    while around is not None:
        if around is outer or around is outer.outer:
            return True
        around = around.outer
    return False


def with_aliases(function: FunctionInfo, contexts: frozenset[str]) -> frozenset[str]:
    """Return the names of contexts, with those that the function assigns from them."""
    found = set(contexts)
    for node in children(function.node):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in found:
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(found)


def operation_of(node: ast.Call, contexts: frozenset[str]) -> str | None:
    """Return the durable operation a call makes; None for any other call."""
    function = node.func
    if not isinstance(function, ast.Attribute) or function.attr not in OPERATIONS:
        return None
    return function.attr if _is_context(function.value, contexts) else None


def _is_context(node: ast.expr, contexts: frozenset[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in contexts


def _contexts(function: FunctionInfo, index: int) -> frozenset[str]:
    named = function.parameters[index : index + 1]
    return frozenset(named) | _annotated(function)


def _annotated(function: FunctionInfo) -> frozenset[str]:
    arguments = (*function.node.args.posonlyargs, *function.node.args.args, *function.node.args.kwonlyargs)
    found = set()
    for argument in arguments:
        name = _annotation_name(argument.annotation)
        if name is not None and name.rpartition(".")[2] in CONTEXT_TYPES:
            found.add(argument.arg)
    return frozenset(found)


def _annotation_name(node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def _is_decorated(function: FunctionInfo, names: tuple[str, ...]) -> bool:
    node: Function = function.node
    if isinstance(node, ast.Lambda):
        return False
    wanted = {f"{SDK}.{name}" for name in names}
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if function.module.resolve(target) in wanted:
            return True
    return False


def _is_partial(node: ast.Call, module: Module) -> bool:
    return module.resolve(node.func) in ("functools.partial", f"{SDK}.ParallelBranch")


def _items(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, (ast.List, ast.Tuple)) else [node]


IGNORE = re.compile(r"#\s*(?:durable:\s*ignore|noqa)(?:\s*[\[:]\s*(?P<codes>[A-Z0-9, ]+)\]?)?", re.IGNORECASE)
SDK = "durable_execution"
STAR = ("durable_execution", "durable_step", "ParallelBranch")
"""The names of `from durable_execution import *` that the linter needs."""


def read_module(file: str, source: str, root: str = "") -> Module:
    """Parse a source file.

    Args:
        file: Its path.
        source: Its text.
        root: Directory from which dotted names start.

    Raises:
        SyntaxError, ValueError, RecursionError: The text cannot be parsed.
    """
    module = Module(file, dotted_name(file, root), ast.parse(source))
    module.ignores = dict(_ignores(source))
    is_package = PurePath(file).stem == "__init__"
    for node in ast.walk(module.tree):
        module.imports.update(_imported(node, module.name, is_package=is_package))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            module.stars.insert(0, _base_of(node, module.name, is_package=is_package))
    for statement in module.tree.body:
        if isinstance(statement, ast.Assign):
            module.values.update({t.id: statement.value for t in statement.targets if isinstance(t, ast.Name)})
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            module.values[statement.target.id] = statement.value
    _collect(module)
    return module


def dotted_name(file: str, root: str = "") -> str:
    """Return the dotted name of a path: `shop/orders.py` is `shop.orders`."""
    path = PurePath(file)
    if root and path.is_relative_to(root):
        path = path.relative_to(root)
    parts = [part for part in path.with_suffix("").parts if part not in (".", "..", path.anchor)]
    return ".".join(parts[:-1] if parts[-1:] == ["__init__"] else parts)


def children(function: Function) -> Iterator[ast.AST]:
    """Yield every node of a function's body in source order, without nested functions."""
    body = function.body if isinstance(function.body, list) else [function.body]
    pending: list[ast.AST] = list(reversed(body))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            pending.extend(reversed(list(ast.iter_child_nodes(node))))


def _ignores(source: str) -> Iterator[tuple[int, frozenset[str]]]:
    for number, line in enumerate(source.splitlines(), start=1):
        found = IGNORE.search(line)
        if found is None:
            continue
        codes = found["codes"]
        if codes is None and "noqa" in found[0].lower():
            continue  # a bare noqa addresses other tools
        yield number, frozenset(codes.upper().replace(",", " ").split()) if codes else frozenset()


def _base_of(node: ast.ImportFrom, here: str, *, is_package: bool) -> str:
    """Return the dotted name of the module that a `from` imports from."""
    if not node.level:
        return node.module or ""
    parts = here.split(".")
    package = parts[: len(parts) - node.level + is_package]
    return ".".join([*package, *([node.module] if node.module else [])])


def _imported(node: ast.AST, here: str, *, is_package: bool) -> Mapping[str, str]:
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: alias.name if alias.asname else alias.name.partition(".")[0]
            for alias in node.names
        }
    if isinstance(node, ast.ImportFrom):
        base = _base_of(node, here, is_package=is_package)
        names = STAR if any(alias.name == "*" for alias in node.names) and base == SDK else ()
        star = {name: f"{SDK}.{name}" for name in names}
        return star | {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names if alias.name != "*"}
    return {}


def _collect(module: Module) -> None:
    pending: list[tuple[ast.AST, str, FunctionInfo | None]] = [(module.tree, "", None)]
    while pending:
        parent, prefix, outer = pending.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                qualname = f"{prefix}{node.name}"
                info = FunctionInfo(module, node, qualname, outer)
                module.functions.setdefault(qualname, info)
                if outer is not None:
                    outer.locals[node.name] = info
                pending.append((node, f"{qualname}.<locals>.", info))
            elif isinstance(node, ast.ClassDef):
                pending.append((node, f"{prefix}{node.name}.", outer))
            else:
                pending.append((node, prefix, outer))
