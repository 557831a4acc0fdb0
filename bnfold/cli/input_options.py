"""What a network is fed: the options of the commands that run networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from bnfold.cli.options import FILE, OUTPUT, root_option
from bnfold.cli.preprocess_options import PREPROCESS, preprocess_options
from bnfold.cli.usage import not_with, only_with

F = TypeVar("F", bound=Callable[..., Any])


def input_options(function: F) -> F:
    """`--images`, `--inputs`, `--random` with all that belongs to them, and `--save-inputs`."""
    function = cast("F", preprocess_options(function))
    for option in (
        click.option(
            "--save-inputs", type=OUTPUT, metavar="P.npz", help="Write what was fed to this file."
        ),
        click.option(
            "--seed",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            metavar="S",
            help="Seed of everything random.",
        ),
        click.option(
            "--random",
            type=click.IntRange(min=1),
            metavar="N",
            help="Feed N random inputs of the scale that the network was trained on  [default: 8]",
        ),
        click.option(
            "--inputs",
            type=FILE,
            metavar="P.npz",
            help="Feed the arrays of this file, by the names of the inputs.",
        ),
        click.option(
            "--images",
            type=FILE,
            metavar="DIR|LIST",
            help="Feed these images: a folder, a list file or an LMDB  [default: random inputs]",
        ),
    ):
        function = option(function)
    return root_option(function)


def chosen_inputs(values: dict[str, Any]) -> dict[str, Any]:
    """Take what is to be fed out of a command's values, as `RunOptions` has it.

    Raises:
        click.UsageError: options that exclude each other, or would have no effect.
    """
    names = ("images", "root", "inputs", "random", "seed", "preprocess")
    found = {name: values.pop(name) for name in names}
    if found["images"] is not None and found["random"] is not None:
        raise click.UsageError("--images and --random exclude each other; choose one of the two")
    not_with("--images", found["images"] is not None, ["inputs"])
    not_with("--inputs", found["inputs"] is not None, ["random"])
    only_with("--images", found["images"] is not None, ["root", *PREPROCESS])
    if found["random"] is None:
        del found["random"]
    return found
