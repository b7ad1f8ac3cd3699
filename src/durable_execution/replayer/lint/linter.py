"""Lints files: reads all of them, follows handlers across them, and drops findings that a comment ignores."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from durable_execution.replayer.lint.checks import check_orchestration, check_step
from durable_execution.replayer.lint.findings import LintFinding
from durable_execution.replayer.lint.modules import Module, read_module
from durable_execution.replayer.lint.roles import Program

SKIPPED_DIRECTORIES = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", "build", "dist", ".tox"})


def lint_paths(paths: Iterable[str | Path]) -> list[LintFinding]:
    """Lint files, and all Python files below directories.

    Args:
        paths: Files and directories. Calls are followed from one file to another if both are included.

    Raises:
        OSError: A file cannot be read.
    """
    sources: dict[str, str] = {}
    for path in map(Path, paths):
        for file in _files(path):
            sources[str(file)] = file.read_text(encoding="utf-8", errors="replace")
    return lint_sources(sources)


def lint_sources(sources: Mapping[str, str]) -> list[LintFinding]:
    """Lint source texts, by file name."""
    modules: dict[str, Module] = {}
    findings: set[LintFinding] = set()
    for file, source in sources.items():
        try:
            module = read_module(file, source)
        except (SyntaxError, ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None) or 1
            findings.add(LintFinding(file, line, 1, "DUR901", str(error), "the file"))
            continue
        modules[module.name or file] = module
    program = Program.of(modules)
    for orchestration in program.orchestrations.values():
        findings.update(check_orchestration(orchestration))
    for function, contexts in program.steps.values():
        findings.update(check_step(function, contexts))
    by_file = {module.file: module for module in modules.values()}
    return sorted(found for found in _once(findings) if not _is_ignored(found, by_file))


def _once(findings: Iterable[LintFinding]) -> Iterator[LintFinding]:
    """Keep one finding per location and rule, the one with the shortest call chain."""
    best: dict[tuple[str, int, int, str], LintFinding] = {}
    for found in sorted(findings, key=lambda one: (len(one.reached), one.reached)):
        best.setdefault((found.file, found.line, found.column, found.rule), found)
    yield from best.values()


def _is_ignored(found: LintFinding, modules: Mapping[str, Module]) -> bool:
    module = modules.get(found.file)
    return module is not None and module.is_ignored(found.line, found.rule)


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*.py")):
        if not SKIPPED_DIRECTORIES & set(file.relative_to(path).parts[:-1]):
            yield file
