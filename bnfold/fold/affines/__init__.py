"""Layers that are an affine function of each channel: how they are read, and joined into chains."""
