"""Strides that move up, so that what nobody reads is not computed."""
