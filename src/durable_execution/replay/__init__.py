"""Histories, replay traces, alignment and divergences, as values. Nothing here does IO."""
