"""A closure made at import counts parcels across executions."""
