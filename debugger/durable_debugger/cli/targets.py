"""Finding handlers: `package.module:handler` or `path/to/file.py:handler`."""

import importlib
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

from durable_debugger.cli.exits import CommandError, Exit
from durable_execution.handler import DurableHandler

EXAMPLE = "for example shop.orders:process_order or examples/order.py:process_order"


def load_handler(target: str) -> DurableHandler:  # type: ignore[type-arg]  # whatever the function is
    """The handler that a target names.

    Raises:
        CommandError: There is no such module, its import fails, or it has no such handler.
    """
    place, separator, name = target.rpartition(":")
    if not separator or not place or not name:
        raise CommandError(f"{target!r} does not name a handler: write MODULE_OR_FILE:HANDLER, {EXAMPLE}")
    module = _load_module(place)
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)  # type: ignore[assignment]
    if isinstance(found, DurableHandler):
        return found
    handlers = [key for key, value in vars(module).items() if isinstance(value, DurableHandler)]
    known = f"its handlers are {', '.join(handlers)}" if handlers else "it has no handlers"
    if found is None:
        raise CommandError(f"{place} has no {name!r}; {known}")
    raise CommandError(f"{target} is not a durable function: decorate it with @durable_execution; {known}")


def handlers_beside(handler: DurableHandler) -> dict[str, DurableHandler]:  # type: ignore[type-arg]
    """All handlers of the module of a handler, by the function names they are registered under."""
    module = sys.modules.get(handler.function.__module__)
    found = {
        function_name(value): value for value in vars(module or handler).values() if isinstance(value, DurableHandler)
    }
    return {**found, function_name(handler): handler}


def function_name(handler: DurableHandler) -> str:  # type: ignore[type-arg]
    """The Lambda function name that stands for a handler: its own, with what such names cannot hold left out."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", handler.function.__qualname__).strip("-")[:64] or "handler"


def _load_module(place: str) -> ModuleType:
    is_file = place.endswith(".py") or "/" in place or "\\" in place
    try:
        return _load_file(Path(place)) if is_file else _load_named(place)
    except CommandError:
        raise
    except ModuleNotFoundError as error:
        if error.name and place.startswith(error.name):
            raise CommandError(
                f"there is no module {place!r} here (directory {Path.cwd()}): check the spelling, or name the file, {EXAMPLE}"
            ) from error
        raise CommandError(f"{place} cannot be imported: {error}", Exit.HANDLER_FAILED) from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise CommandError(f"{place} cannot be imported: {_where(error)}", Exit.HANDLER_FAILED) from error


def _load_named(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise CommandError(f"there is no file {path}")
    directory = str(path.resolve().parent)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path.resolve()):
        return known
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise CommandError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(path.stem, None)
        raise
    return module


def _where(error: BaseException) -> str:
    """The error, with the line of user code it comes from."""
    frames = inspect.getinnerframes(error.__traceback__) if error.__traceback__ else []
    own = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    at = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}: {error}{at}"
