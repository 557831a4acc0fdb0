"""The command line: parse options, call the library, print."""

from bnfold.cli.app import main

__all__ = ["main"]
