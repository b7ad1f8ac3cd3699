"""A generator at module level hands out dock doors."""
