"""The options that say how images become what a network is fed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from bnfold.cli.options import FILE

_NAMES = (
    "mean_value", "mean_file", "scale", "raw_scale", "resize", "crop", "channel_order", "gray",
)  # fmt: skip
INPUT_STEPS = ("input_mean", "input_scale", "input_swap", "input_blob")
"""The parameters that say what the folded network does to its input itself."""

PREPROCESS = (*_NAMES, "preprocess")
"""The parameters that say how images become inputs, as click knows them."""


class _Size(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """HxW, or one number."""

    name = "HxW"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        from bnfold.preprocess_options import parse_size

        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Numbers(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Numbers with commas between them."""

    name = "V[,V...]"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return tuple(float(number) for number in value.split(","))
        except ValueError:
            self.fail(f"'{value}' is no list of numbers; give one, or 104,117,123", param, ctx)


def preprocess_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Preprocessing; the command gets `preprocess`, a PreprocessOptions."""
    return _preprocessing(function, "--preprocess", "--preprocess-file")


def given_preprocess_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that writes such a file by `--preprocess-file`."""
    return _preprocessing(function, "--preprocess")


def _preprocessing(function: Callable[..., Any], *names: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def command(**arguments: Any) -> Any:
        from bnfold.checks.images.preprocess_file import read_options
        from bnfold.preprocess_options import PreprocessOptions

        given = {name: arguments.pop(name) for name in _NAMES}
        file = arguments.pop("preprocess")
        # A mean value may be given once for each channel, too: --mean-value 104 --mean-value 117.
        values = [value for group in given["mean_value"] for value in group]
        given["mean_value"] = tuple(values) or None
        options = PreprocessOptions(**given)
        if file is not None:
            options = options.completed_by(read_options(file))
        return function(preprocess=options, **arguments)

    file = click.option(
        *names,
        "preprocess",
        type=FILE,
        metavar="TOML",
        help="A file with these options; those on the command line come first. What neither says "
        "is taken from the model's transform_param and input shape.",
    )
    for option in reversed((*_OPTIONS, file)):
        command = option(command)
    return command


def input_step_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What the folded network does itself; the command gets `input_steps`, InputSteps or None."""

    @functools.wraps(function)
    def command(**arguments: Any) -> Any:
        given = [arguments.pop(name) for name in INPUT_STEPS]
        if not any(given):
            return function(input_steps=None, **arguments)
        from bnfold.fold.inputs.steps import InputSteps

        return function(input_steps=InputSteps.chosen(*given), **arguments)

    for option in reversed(_STEPS):
        command = option(command)
    return command


_STEPS = (
    click.option(
        "--input-mean",
        metavar="V[,V...]",
        help="The folded network was made to subtract this mean itself, and gets raw pixels.",
    ),
    click.option(
        "--input-scale",
        type=float,
        metavar="S",
        help="It was made to multiply by this, behind the mean.",
    ),
    click.option(
        "--input-swap", is_flag=True, help="It was made to turn the order of channels round."
    ),
    click.option(
        "--input-blob",
        metavar="NAME",
        help="The input that this is about, where several are.",
    ),
)

_OPTIONS = (
    click.option(
        "--mean-value",
        type=_Numbers(),
        multiple=True,
        help="Mean to subtract: one, or one for each channel.",
    ),
    click.option(
        "--mean-file", type=FILE, metavar="P", help="Mean image to subtract, binaryproto or npy."
    ),
    click.option("--scale", type=float, metavar="S", help="Factor after the mean."),
    click.option(
        "--raw-scale",
        type=float,
        metavar="S",
        help="Factor before the mean, of pixels as 0..1 (pycaffe's).  [default: 255]",
    ),
    click.option(
        "--resize",
        type=_Size(),
        metavar="HxW|N",
        help="Resize images, or with one number their shorter side.  [default: the input's size]",
    ),
    click.option(
        "--crop", type=_Size(), metavar="HxW", help="Cut out the middle of the (resized) image."
    ),
    click.option(
        "--channel-order",
        type=click.Choice(["bgr", "rgb"]),
        help="Order of color channels.  [default: bgr]",
    ),
    click.option(
        "--gray/--no-gray",
        default=None,
        help="Read images as gray.  [default: if the network has one channel]",
    ),
)
