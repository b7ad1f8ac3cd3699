"""Values that outlive a function: which statements write and make them, as far as the source tells."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial

from durable_execution.replay.lines.line_recording import Frame
from durable_execution.replay.source.statement_names import access_path
from durable_execution.replay.source.statements import Function, Statement, imported, module_file, source_of
from durable_execution.replay.suspects import Owner, owner_of

CONSTRUCTORS = ("__init__", "__post_init__", "__new__")
DESCRIPTORS = frozenset({"__get__", "__set__", "__delete__"})
"""Methods of attributes of a class: no statement names the object that they belong to."""

MAX_FILES = 50

Asked = tuple[object, set[str]]
"""A function, and those of its parameters whose values matter."""


def kept_in(
    files: Sequence[str], path: str, owner: str | None, own_class: str | None = None
) -> tuple[str, Statement] | None:
    """Return the statement that keeps a value older than the replay, or that made it at import, with its file.

    Args:
        files: The files that ran; the first uses the value.
        path: The value's access path there.
        owner: The class of the object whose attribute it is, if that is known.
        own_class: The class whose own attribute it is; None if it is an object's, or that is not known.
    """
    origin, path = imported(files[0], path)
    found = _kept(list(dict.fromkeys([origin, *files])), path, None, own_class)
    if found is None and owner is not None:
        found = _kept(list(_reachable(files)), path, owner)  # a class in a module that no replay runs any more
    if found is None and "." in path:
        found = _only_writer(list(_reachable(files)), path)
    return found


def _only_writer(files: Sequence[str], path: str) -> tuple[str, Statement] | None:
    """The only statement that gives an object that it was passed an attribute, such as that of a decorator of a class."""
    found = [
        (file, one)
        for file in files
        for one in source_of(file)
        if one.function is not None and class_around(file, one) is None and writes_shared(one, path)
    ]
    return found[0] if len(found) == 1 else None


def _kept(
    files: Sequence[str], path: str, owner: str | None, own_class: str | None = None
) -> tuple[str, Statement] | None:
    made: tuple[str, Statement] | None = None
    kinds = hierarchy(files, owner) if owner is not None else set[str | None]()
    for file in files:
        for statement in source_of(file):
            if owner is not None and class_around(file, statement) not in kinds:
                continue
            if own_class is not None and _is_of_others(files, file, statement, path, own_class):
                continue
            if statement.function is not None and writes_shared(statement, path):
                if isinstance(statement.node, ast.Delete):
                    made = made or (file, statement)
                    continue
                if not is_initial(statement) or "." not in path:
                    return file, statement
                made = made or (file, statement)
            if made is None and statement.function is None and makes(statement, path):
                made = file, statement
    return made


def _is_of_others(files: Sequence[str], file: str, statement: Statement, path: str, own_class: str) -> bool:
    """Whether a statement makes or changes an attribute of this name of objects and classes that do not have theirs from the class."""
    around = class_around(file, statement)
    if around is None or own_class in hierarchy(files, around):
        return False
    bases = (one.partition(".")[0] for one in written_attributes(statement, path))
    return statement.function is None or all(one in ("self", "cls") for one in bases)


def _reachable(files: Sequence[str]) -> Iterator[str]:
    """Yield files and those of the user that they import, also through others."""
    pending, seen = list(files), set(files)
    while pending and len(seen) < MAX_FILES:
        file = pending.pop(0)
        yield file
        new = [one for one in _imported_files(file) if one not in seen]
        seen.update(new)
        pending += new


def _imported_files(file: str) -> list[str]:
    """Return the files of the modules that a module imports that are the user's own."""
    found: dict[str, None] = {}
    for node in (one.node for one in source_of(file)):
        if isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names = [base, *(f"{base}{'' if base.endswith('.') else '.'}{one.name}" for one in node.names)]
        else:
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        found.update(
            (one, None) for one in map(partial(module_file, file), names) if one and owner_of(one) is Owner.USER
        )
    return list(found)


def hierarchy(files: Sequence[str], name: str) -> set[str | None]:
    """A class and those that it is derived from, by name."""
    bases = {
        one.node.name: [ast.unparse(base).rpartition(".")[2] for base in one.node.bases]
        for file in files
        for one in source_of(file)
        if isinstance(one.node, ast.ClassDef)
    }
    found, pending = set[str | None](), [name]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += bases.get(name, [])
    return found


def is_initial(statement: Statement) -> bool:
    """Whether a statement gives a value when its object or module is made, and changes nothing later."""
    return statement.function is None or getattr(statement.function, "name", "") in CONSTRUCTORS


def is_of_the_class(file: str, statement: Statement, path: str) -> bool:
    """Whether a statement in the body of a class makes a value that its objects share, and a path changes it there."""
    if statement.function is not None or class_around(file, statement) is None or not makes(statement, path):
        return False
    if path.partition(".")[0] != "self":
        return True
    value, kind = getattr(statement.node, "value", None), getattr(statement.node, "annotation", None)
    is_own = kind is not None and "ClassVar" not in ast.unparse(kind)  # a model copies it for each object
    return not is_own and (isinstance(value, (ast.List, ast.Dict, ast.Set)) or called_in(value) in CONTAINERS)


CONTAINERS = frozenset({"list", "dict", "set", "deque", "defaultdict", "Counter", "OrderedDict", "count", "cycle",
                        "WeakValueDictionary", "WeakKeyDictionary", "WeakSet"})  # fmt: skip
"""What makes an object whose contents change."""


def may_show(text: str, name: str) -> bool:
    """Whether the text of an object may show an attribute: not if the attribute is one of its class."""
    return f"{name}=" in text or "(" not in text or "…" in text


def makes_or_changes(statement: Statement) -> bool:
    """Whether a statement changes a value in a function, or makes it in a constructor that does not only take it over."""
    is_copy = isinstance(getattr(statement.node, "value", None), (ast.Name, ast.Attribute, ast.Constant))
    return statement.function is not None and not (is_initial(statement) and is_copy)


@lru_cache(maxsize=4_096)
def class_around(file: str, statement: Statement) -> str | None:
    """The name of the class in whose body a statement or its function is."""
    classes = [one.node for one in source_of(file) if isinstance(one.node, ast.ClassDef)]
    around = [one for one in classes if one.lineno <= statement.first and statement.last <= (one.end_lineno or 0)]
    return max(around, key=lambda one: one.lineno).name if around else None


def _factory(value: object) -> ast.expr | None:
    """What makes a value in the body of a class for each object: `list` in `field(default_factory=list)`."""
    keywords = value.keywords if isinstance(value, ast.Call) else ()
    return next((one.value for one in keywords if one.arg == "default_factory"), None)


ITERATORS = frozenset({"map", "zip", "filter", "iter", "enumerate", "reversed", "count", "cycle", "chain", "islice"})
"""What makes an object that gives each of its values once, to the execution that asks next."""


def makes_iterator(statement: Statement) -> bool:
    """Whether a statement of a module makes an iterator, which goes on where the execution before stopped."""
    value = getattr(statement.node, "value", None)
    return statement.function is None and (isinstance(value, ast.GeneratorExp) or called_in(value) in ITERATORS)


def called_in(value: object) -> str | None:
    """The last name of what an expression calls: `count` for `itertools.count(1)`; None if it is not a call."""
    if not isinstance(value, ast.Call):
        return None
    return value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", None)


def field_made_by(frame: Frame, file: str, statement: Statement) -> tuple[str, str] | None:
    """The class and the name of the field that a frame makes a value for, where a statement makes an object of this class.

    Args:
        frame: What a statement calls. No statement calls a factory of a field: the class does.
        file: The file of the statement.
        statement: The statement.
    """
    name = frame.function.rpartition(".")[2]
    if name in statement.mentions:
        return None
    for origin in dict.fromkeys((frame.file, file, *(imported(file, one)[0] for one in sorted(statement.calls)))):
        for one in source_of(origin):
            factory = _factory(getattr(one.node, "value", None)) if one.function is None else None
            owner = class_around(origin, one) if factory is not None else None
            if factory is None or owner is None or owner not in statement.calls:
                continue
            is_own = isinstance(factory, ast.Lambda) and (origin, factory.lineno) == (frame.file, frame.first_line)
            if is_own or ast.unparse(factory).rpartition(".")[2] == name:
                return owner, min(one.binds)
    return None


def _wanted(call: ast.Call, function: object, names: set[str]) -> list[ast.AST] | None:
    """The syntax that gives some parameters of a function their values in a call; None if that is not clear."""
    arguments: ast.arguments = function.args  # type: ignore[attr-defined]
    positional = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    if any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords):
        return None
    if positional[:1] in (["self"], ["cls"]):
        positional = positional[1:]
    given: dict[str | None, ast.AST] = dict(zip(positional, call.args, strict=False))
    given.update((one.arg, one) for one in call.keywords)
    if isinstance(call.func, ast.Attribute):
        given.update(self=call.func, cls=call.func)
    return [given[name] for name in names] if names <= given.keys() else None


def passed_path(statement: Statement, function: Function, name: str) -> str | None:
    """The access path that a statement passes as a parameter of a function, or whose property it uses; None if that is not clear."""
    called = getattr(function, "name", "")
    nodes = [one for part in statement.parts for one in ast.walk(part)]
    calls = [one for one in nodes if isinstance(one, ast.Call) and called == called_in(one)]
    if len(calls) == 1:
        wanted = (_wanted(calls[0], function, {name}) or [calls[0]])[0]
        if isinstance(wanted, ast.keyword) or (wanted is calls[0].func and isinstance(wanted, ast.Attribute)):
            wanted = wanted.value
        return access_path(wanted) if wanted is not calls[0] else None
    uses = [one for one in nodes if isinstance(one, ast.Attribute) and one.attr == called]
    return access_path(uses[0].value) if not calls and len(uses) == 1 and name == "self" else None


def default_for(file: str, statement: Statement, calls: frozenset[str]) -> bool | None:
    """Whether a statement in the body of a class gives an attribute of new objects its value once, and not for each object.

    Args:
        file: Its file.
        statement: The statement.
        calls: What is called where an object is made.

    Returns:
        None if it does neither for that object.
    """
    factory = _factory(getattr(statement.node, "value", None))
    owner = class_around(file, statement) if statement.function is None else None
    if factory is not None and owner is not None:
        classes = {one.node.name for one in source_of(file) if isinstance(one.node, ast.ClassDef)}
        return None if ast.unparse(factory) in classes else False
    return True if owner is not None and owner in calls else None


def only_in_calls(statement: Statement, functions: set[str], asked: Mapping[str, Asked]) -> set[str]:
    """The names that a statement reads only to call some functions, or for arguments of others that do not matter."""
    inside: set[str] = set()
    outside: set[str] = set()
    pending: list[tuple[ast.AST, bool]] = [(one, False) for one in statement.parts]
    while pending:
        node, is_inside = pending.pop()
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            is_inside = is_inside or name in functions
            wanted = _wanted(node, *asked[name]) if name in asked else None
            if wanted is not None and not is_inside:
                pending += [(child, not any(child is one for one in wanted)) for child in ast.iter_child_nodes(node)]
                continue
        if isinstance(node, ast.Name):
            (inside if is_inside else outside).add(node.id)
        pending += [(child, is_inside) for child in ast.iter_child_nodes(node)]
    return inside - outside


def passes(statement: Statement, called: str, name: str, function: object) -> bool:
    """Whether a call of the function in a statement passes a parameter. True when it is unknown."""
    arguments: ast.arguments = function.args  # type: ignore[attr-defined]
    positional = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    for node in ast.walk(statement.node):
        if not isinstance(node, ast.Call):
            continue
        own = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if own != called:
            continue
        if any(one.arg in (name, None) for one in node.keywords) or any(
            isinstance(one, ast.Starred) for one in node.args
        ):
            return True
        offset = 1 if positional[:1] in (["self"], ["cls"]) else 0
        return name in positional and positional.index(name) - offset < len(node.args)
    return True


def parameters_of(function: object) -> set[str]:
    """Return the names of a function's parameters."""
    arguments: ast.arguments = function.args  # type: ignore[attr-defined]
    names = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    return names | {one.arg for one in (arguments.vararg, arguments.kwarg) if one is not None}


def defaults_of(function: object) -> set[str]:
    """Parameters that have a default value."""
    arguments: ast.arguments = function.args  # type: ignore[attr-defined]
    positional = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    found = set(positional[len(positional) - len(arguments.defaults) :]) if arguments.defaults else set()
    return found | {
        one.arg for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value is not None
    }


def writes_shared(statement: Statement, path: str) -> bool:
    """Whether a statement writes a name that outlives its function, or an attribute of this name."""
    last = path.rpartition(".")[2]
    if "." in path:
        return bool(written_attributes(statement, path))
    return last in statement.writes and not _is_local_to(statement.function, last)


def written_attributes(statement: Statement, path: str) -> list[str]:
    """The attributes that a statement writes and that have the name of the one that a path ends with."""
    last = path.rpartition(".")[2]
    return [one for one in statement.writes if "." in one and one.rpartition(".")[2] == last] if "." in path else []


def bound_attributes(statement: Statement) -> set[str]:
    """The attributes that a statement gives a new value, and does not only change in place."""
    nodes = (node for part in statement.parts for node in ast.walk(part))
    bound = (access_path(one) for one in nodes if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store))
    return {path for path in bound if path is not None}


def makes(statement: Statement, path: str) -> bool:
    """Whether a statement outside functions gives a name or class attribute its first value."""
    if isinstance(statement.node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return False
    if isinstance(statement.node, ast.AnnAssign) and statement.node.value is None:
        return False
    return path.rpartition(".")[2] in statement.writes


def is_own(file: str, function: Function, name: str) -> bool:
    """Whether a name belongs to a function of a file: it is a parameter, or bound there, and not `global` or `nonlocal`."""
    if name in parameters_of(function):
        return True
    if is_closed_over(function, name) or isinstance(function, ast.Lambda):
        return False
    declared = {each for one in ast.walk(function) if isinstance(one, ast.Global) for each in one.names}
    return name not in declared and any(one.function is function and name in one.binds for one in source_of(file))


def is_closed_over(function: object, name: str) -> bool:
    """Whether a function declares a name as one of the function around it."""
    return name in _closed_over(function)


@lru_cache(maxsize=1_024)
def _closed_over(function: object) -> frozenset[str]:
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return frozenset()
    return frozenset(name for one in ast.walk(function) if isinstance(one, ast.Nonlocal) for name in one.names)


@lru_cache(maxsize=4_096)
def _is_local_to(function: object, name: str) -> bool:
    """Whether a name that a function mentions is the function's own: assigned there, neither `global` nor `nonlocal`."""
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    stores = parameters_of(function)
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Global, ast.Nonlocal)) and name in node.names:
            return False
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            stores.add(node.name)
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            stores.add(node.id)
        pending.extend(ast.iter_child_nodes(node))
    return name in stores
