"""Preprocessing that goes into the network, so that it takes pixels as they are."""
