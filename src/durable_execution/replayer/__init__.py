"""Replays recorded executions against today's code, without side effects, and says where they part."""
