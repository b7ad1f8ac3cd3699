"""Where executions are read from: files, the local engine's store, AWS."""
