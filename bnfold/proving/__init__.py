"""`bnfold prove`: the report of a proof, and the way to it."""
