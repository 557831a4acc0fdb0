"""Fold batch normalisation into the weights of trained Caffe networks, exactly, without Caffe."""

__version__ = "0.1.0"
