"""The processes that replay recordings, and the one that starts, questions and ends them."""
