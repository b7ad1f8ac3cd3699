"""Programs written before the mechanisms they try, in a notation of their own; see `programs`."""
