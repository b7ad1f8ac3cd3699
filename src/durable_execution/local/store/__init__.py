"""Where the local engine keeps executions: SQLite tables, rows as values, and the journal of events."""
