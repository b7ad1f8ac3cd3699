"""The cheapest of a set of offers is ambiguous, and the first one wins."""
