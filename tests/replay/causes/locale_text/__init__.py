"""The process's locale decides which template is rendered."""
