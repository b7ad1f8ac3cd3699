"""Screens of the app, and the handlers of its actions."""
