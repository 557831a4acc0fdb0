"""What a runtime is asked: is it the same function, as accurate, and how much faster."""
