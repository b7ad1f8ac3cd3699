"""Exchange rates kept in a module-level cache decide whether a step runs."""
