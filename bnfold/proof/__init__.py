"""Whether two networks are one function, proved from their files: no engine runs, and every coefficient is looked at.

This package is a second opinion. It reads the two pairs of files by itself, from its own statement
of what each layer computes (docs/proof.md), and imports nothing of what makes folded networks.
"""
