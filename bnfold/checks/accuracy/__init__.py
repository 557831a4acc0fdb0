"""Whether a network is as accurate as the one it was made of, on labelled images."""
