"""Finds code that breaks replays by reading source across files, without importing it and without a recording."""

from durable_execution.replayer.lint.findings import RULES, LintFinding, Rule
from durable_execution.replayer.lint.linter import lint_paths, lint_sources

__all__ = ["RULES", "LintFinding", "Rule", "lint_paths", "lint_sources"]
