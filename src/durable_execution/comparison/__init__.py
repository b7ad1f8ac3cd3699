"""Histories, replay traces, alignment and divergences as values. Nothing in this package does IO."""

from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side, explain

__all__ = ["Divergence", "DivergenceKind", "Severity", "Side", "explain"]
