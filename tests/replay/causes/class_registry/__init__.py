"""A class attribute collects orders of every execution, and a flush depends on its size."""
