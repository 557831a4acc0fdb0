"""The layers that a random network is made of: each file has those of one family."""
