"""Whether two networks are the same function."""
