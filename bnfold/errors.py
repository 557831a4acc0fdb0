"""What bnfold raises when its input cannot be used."""


class BnfoldError(ValueError):
    """Bad input or usage: one line that says where, what is wrong and what to do.

    Everything that `bnfold.merge` and `bnfold.inspect` raise on purpose is of this type;
    the command line prints it and exits with 2.
    """
