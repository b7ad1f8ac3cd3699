"""The service's rules: what an update may do, and what time, callbacks and callers change."""
