"""What today's source says, statement by statement, without running it."""
