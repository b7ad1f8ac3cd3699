"""Sources of executions: files, the local engine's store, AWS."""
