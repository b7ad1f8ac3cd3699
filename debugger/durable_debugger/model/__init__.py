"""What the views show: flat arrays of rows over a recorded execution. Pure: nothing here depends on a terminal."""
