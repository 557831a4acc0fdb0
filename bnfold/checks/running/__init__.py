"""Running one network, and keeping what it gives."""
