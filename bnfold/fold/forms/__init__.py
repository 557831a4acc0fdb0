"""Rewrites that say the same by other layer types, for readers that do not know the first."""
