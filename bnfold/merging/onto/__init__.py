"""Weights for a prototxt that somebody else wrote: is it the folded network, layer by layer?"""
