"""Layers that are an affine function of each channel: read, chained, and written as one Scale."""
