"""Handling instructions go through a set, and a list made of it decides the order of steps."""
