"""Finds code that breaks replays by reading source across files, without importing it and without a recording."""

from durable_execution.lint.linter import lint_paths, lint_sources
from durable_execution.lint.rules import RULES, LintFinding, Rule

__all__ = ["RULES", "LintFinding", "Rule", "lint_paths", "lint_sources"]
