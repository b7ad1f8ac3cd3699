"""Panes of the app: Textual widgets that draw a line at a time from a session."""
