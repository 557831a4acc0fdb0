"""What another program would make of a network: the lists of `inspect --for`."""
