"""What the views show: flat arrays of rows over a recorded execution. Pure; knows nothing of terminals."""
