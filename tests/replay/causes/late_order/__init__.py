"""The clock, in a helper, decides whether an order is late."""
