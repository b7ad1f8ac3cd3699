"""Execution state, operation ids, checkpoint batcher, event loop and suspension."""
