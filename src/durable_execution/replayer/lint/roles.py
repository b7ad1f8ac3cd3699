"""Classifies functions: orchestration code, which runs on every replay, or step bodies, which run once."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from durable_execution.replayer.lint.modules import SDK, Function, FunctionInfo, Module, children

HANDLER_DECORATORS = ("durable_execution", "handler.durable_execution")
STEP_DECORATORS = ("durable_step", "context.step_function.durable_step")
CONTEXT_TYPES = ("DurableContext", "BlockingContext")
STEP_CALLS = frozenset({"step", "wait_for_condition", "wait_for_callback"})
CHILD_CALLS = frozenset({"run_in_child_context", "map", "parallel", "with_retry"})
OPERATIONS = (
    STEP_CALLS | CHILD_CALLS | {"wait", "create_callback", "invoke", "now", "all", "any", "race", "all_settled"}
)


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
        pending = list(program._handlers())
        while pending:
            found = pending.pop()
            key = id(found.function.node)
            known = program.orchestrations.get(key)
            if known is not None and found.contexts <= known.contexts:
                continue
            program.orchestrations[key] = found
            pending.extend(program._reached_from(found))
        return program

    def _handlers(self) -> Iterator[Orchestration]:
        for module in self.modules.values():
            for function in module.functions.values():
                if _is_decorated(function, HANDLER_DECORATORS):
                    yield Orchestration(function, _contexts(function, 1), (function.qualname,))
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
                yield Orchestration(function, own, (*outer.reached, function.qualname))

    def _called(self, node: ast.Call, outer: Orchestration) -> Iterator[Orchestration]:
        function = self.function_of(node.func, outer.function)
        if function is None or _is_decorated(function, (*STEP_DECORATORS, *HANDLER_DECORATORS)):
            return
        passed = frozenset(
            name
            for name, argument in zip(function.parameters, node.args, strict=False)
            if _is_context(argument, outer.contexts)
        )
        closed_over = outer.contexts if function.outer is outer.function else frozenset()
        own = passed | _annotated(function) | (closed_over - frozenset(function.parameters))
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
        module_name, _, function = name.rpartition(".")
        for known, module in self.modules.items():
            if (known == module_name or known.endswith(f".{module_name}")) and function in module.functions:
                return module.functions[function]
        return None


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
