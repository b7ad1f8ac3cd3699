"""Lints files: reads all of them, follows handlers across them, and drops findings that a comment ignores.

Lint findings as text, JSON, SARIF 2.1.0 or GitHub annotations.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from durable_execution.lint.checks import check_orchestration, check_step
from durable_execution.lint.places import relative
from durable_execution.lint.program import Module, Program, read_module
from durable_execution.lint.rules import RULES, LintFinding
from durable_execution.protocol.safe_text import json_text, printable

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


def to_text(findings: Sequence[LintFinding]) -> str:
    """Write one line per finding, and the total."""
    if not findings:
        return "no findings\n"
    total = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
    return printable("".join(f"{found}\n" for found in findings) + f"{total}\n")


def to_json(findings: Sequence[LintFinding]) -> str:
    """Write one object: the exit code of the command, and an object for each finding."""
    document = {
        "schema": "durable-lint-findings",
        "version": 1,
        "exit_code": int(bool(findings)),
        "findings": [{**asdict(found), "message": found.message} for found in findings],
    }
    return json_text(document) + "\n"


def to_github(findings: Sequence[LintFinding]) -> str:
    """Write one workflow command per finding, which GitHub shows beside the source."""
    return "".join(
        f"::warning file={_property(relative(found.file))},line={found.line},col={found.column},title={found.rule}::"
        f"{found.message.replace('%', '%25')}\n"
        for found in findings
    )


def to_sarif(findings: Sequence[LintFinding]) -> str:
    """Write one run with one result per finding."""
    rules = [
        {"id": rule.code, "name": rule.name, "shortDescription": {"text": rule.name}, "help": {"text": rule.fix}}
        for rule in RULES.values()
    ]
    results = [
        {
            "ruleId": found.rule,
            "level": "warning",
            "message": {"text": found.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": relative(found.file)},
                        "region": {"startLine": found.line, "startColumn": found.column},
                    }
                }
            ],
        }
        for found in findings
    ]
    run = {"tool": {"driver": {"name": "durable-debug lint", "rules": rules}}, "results": results}
    document = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json_text(document) + "\n"


def _property(text: str) -> str:
    return text.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")


LINT_FORMATS: dict[str, Callable[[Sequence[LintFinding]], str]] = {
    "text": to_text,
    "json": to_json,
    "sarif": to_sarif,
    "github": to_github,
}
"""The formats of `durable-debug lint --format`."""
