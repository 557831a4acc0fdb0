"""Channels: how they flow through a network, what they are constant at, and taking them out."""
