"""`--recorded` of `bnfold verify`: what a device gave, in the forms in which devices give it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from bnfold.checks.equality.device import RawArray

F = TypeVar("F", bound=Callable[..., Any])

ONLY_OF_TWO = ("folded_model", "folded_weights", "save_inputs", "save_outputs", "layers")
"""Options of `verify` that are for two networks, and not for a network and a device."""


class Source(NamedTuple):
    """A file of what a device gave.

    Attributes:
        path: the file.
        blob: which blob it is; None for a file that names its arrays.
        shape: its shape, where the file has no header.
        dtype: the type of its numbers, likewise.
    """

    path: Path
    blob: str | None = None
    shape: tuple[int, ...] = ()
    dtype: str = "float32"


class _Source(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    name = "source"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, Source):
            return value
        # What follows the first colon could be a drive's path elsewhere; a shape is at the end.
        match = re.fullmatch(r"([^=]+)=(.+?):(\d+(?:,\d+)*)(?::(\w+))?", value, re.DOTALL)
        if match:
            blob, path, dims, dtype = match.groups()
            shape = tuple(map(int, dims.split(",")))
            return Source(Path(path), blob, shape, dtype or "float32")
        if not value or "=" in value:
            self.fail(
                f"'{value}' is neither a file P.npz nor NAME=P:SHAPE, as in prob=out.bin:1,10",
                param,
                ctx,
            )
        return Source(Path(value))


def recorded_options(function: F) -> F:
    """`--recorded` and `--recorded-layout`."""
    for option in (
        click.option(
            "--recorded-layout",
            type=click.Choice(["nchw", "nhwc"]),
            help="The order of axes of what was recorded  [default: told by the shape]",
        ),
        click.option(
            "--recorded",
            type=_Source(),
            multiple=True,
            metavar="P.npz|NAME=P:SHAPE[:TYPE]",
            help="Compare what a device gave for the same inputs: the arrays of an .npz file by "
            "the names of blobs, or a file of bare numbers, as prob=out.bin:1,10:float32. May be "
            "given again.",
        ),
    ):
        function = option(function)
    return function


def arrays_of(sources: Sequence[Source]) -> Path | dict[str, RawArray]:
    """What was recorded, as the library has it.

    Raises:
        click.UsageError: an .npz file beside another file, or a blob twice.
    """
    from bnfold.checks.equality.device import RawArray

    if len(sources) == 1 and sources[0].blob is None:
        return sources[0].path
    found = {}
    for source in sources:
        if source.blob is None:
            raise click.UsageError(
                f"--recorded {source.path}: an .npz file is all that is recorded; give it alone"
            )
        if source.blob in found:
            raise click.UsageError(f"--recorded: blob '{source.blob}' is given twice")
        found[source.blob] = RawArray(source.path, source.shape, source.dtype)
    return found
