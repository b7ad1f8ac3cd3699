"""Screens of the app, and what its actions do."""
