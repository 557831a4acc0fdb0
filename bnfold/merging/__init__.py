"""A merge from reading to writing, and the report of it."""
