"""What is shown in place of a secret; the rules that decide load later than this."""

HIDDEN = "⊘"
"""Replaces a redacted value."""
