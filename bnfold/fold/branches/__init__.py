"""Parallel branches of one value that become one convolution."""
