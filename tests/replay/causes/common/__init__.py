"""Helpers that every program uses, with clocks, counters and logs that decide nothing."""
