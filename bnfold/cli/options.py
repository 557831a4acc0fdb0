"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import click

F = TypeVar("F", bound=Callable[..., Any])


class _File(click.Path):  # type: ignore[type-arg,unused-ignore]
    """The path of a file, which is never empty; an output is no `-` either."""

    def __init__(self, *, output: bool = False) -> None:
        super().__init__(path_type=Path)
        self._output = output

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == "":
            self.fail("it is empty; give a path", param, ctx)
        if self._output and value == "-":
            self.fail("'-' is no output; networks are written to files", param, ctx)
        return super().convert(value, param, ctx)


class JsonTarget(NamedTuple):
    """Where the JSON report goes, if anywhere.

    Attributes:
        file: the file that it is written to.
        printed: whether it takes the place of what is printed.
    """

    file: Path | None = None
    printed: bool = False


class _JsonTarget(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """The path of a file, or `-`."""

    name = "P|-"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == "":
            self.fail("it is empty; give a path, or '-'", param, ctx)
        if isinstance(value, JsonTarget):
            return value
        return JsonTarget(printed=True) if value == "-" else JsonTarget(Path(value))


FILE = _File()
OUTPUT = _File(output=True)


def pair_options(function: F) -> F:
    """`--model` and `--weights`, which may be given as two arguments as well."""
    return _pair(function)


def loose_pair_options(without: str) -> Callable[[F], F]:
    """`--model`, and `--weights` where there are some; as arguments as well.

    Args:
        without: what comes of it without weights.
    """
    return lambda function: _pair(function, f"; without them {without}")


def _pair(function: F, without: str = "") -> F:
    @functools.wraps(function)
    def command(**arguments: Any) -> Any:
        files = list(arguments.pop("files"))
        for name in ("model", "weights"):
            if arguments[name] is None and files:
                arguments[name] = files.pop(0)
            if arguments[name] is None and (name == "model" or not without):
                raise click.UsageError(
                    f"Missing option '--{name}'; give it, or the files as arguments: MODEL WEIGHTS"
                )
        if files:
            raise click.UsageError(
                f"Got an unexpected argument '{files[0]}'; what is given as an option is not "
                "given as an argument again, and there are two at most: MODEL WEIGHTS"
            )
        return function(**arguments)

    for option in (
        click.option(
            "--weights", type=FILE, metavar="CAFFEMODEL", help=f"Its trained weights{without}."
        ),
        click.option("--model", type=FILE, metavar="PROTOTXT", help="The network's prototxt."),
        click.argument("files", nargs=-1, type=FILE, metavar="[MODEL WEIGHTS]"),
    ):
        command = option(command)
    return cast(F, command)


def folded_options(function: F) -> F:
    """`--folded-model` and `--folded-weights`."""
    for option in (
        click.option(
            "--folded-weights",
            type=FILE,
            metavar="P",
            help="The folded caffemodel  [default: x.folded.caffemodel beside the original]",
        ),
        click.option(
            "--folded-model",
            type=FILE,
            metavar="P",
            help="The folded prototxt  [default: deploy.folded.prototxt beside the original]",
        ),
    ):
        function = option(function)
    return function


def root_option(function: F) -> F:
    """`--root`, for a list of images."""
    return click.option(
        "--root", type=FILE, metavar="DIR", help="Where a list's paths start  [default: its folder]"
    )(function)


def label_options(function: F) -> F:
    """What the networks' answers are, and what they are held against."""
    for option in (
        click.option(
            "--labelmap",
            type=FILE,
            metavar="P",
            help="For a detection network: its label names, as SSD's prototxt or one a line.",
        ),
        click.option(
            "--annotations",
            type=FILE,
            metavar="DIR|JSON",
            help="For a detection network: a folder of VOC's XML files, or COCO's JSON.",
        ),
        click.option(
            "--output-blob",
            metavar="NAME",
            help="The blob with the scores  [default: the only output that looks like it]",
        ),
    ):
        function = option(function)
    return function


def report_options(function: F) -> F:
    """`--json`, `--quiet` and `--force`."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="Print nothing but warnings and errors."),
        click.option(
            "--json",
            "json_target",
            type=_JsonTarget(),
            default=JsonTarget(),
            metavar="P|-",
            help="Write the report as JSON to file P, or to standard output for '-'.",
        ),
        click.option("--force", is_flag=True, help="Replace outputs that exist."),
    ):
        function = option(function)
    return function


def runtime_options(function: F) -> F:
    """`--runtime`, `--caffe-root` and `--threads`: which engine runs the networks, and how."""
    for option in (
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            metavar="N",
            help="How many threads the engine may use  [default: its own choice]",
        ),
        click.option(
            "--caffe-root",
            type=FILE,
            metavar="DIR",
            help="Caffe's folder, for pycaffe  [default: whatever `import caffe` finds]",
        ),
        click.option(
            "--runtime",
            type=click.Choice(["auto", "opencv", "pycaffe"]),
            default="auto",
            show_default=True,
            help="The engine that runs the networks; auto is pycaffe where it can load them, "
            "and else opencv.",
        ),
    ):
        function = option(function)
    return function


def tolerance_option(prefix: str = "") -> Callable[[F], F]:
    """`--tolerance`: one for all values, and others by name."""
    return click.option(
        "--tolerance",
        "tolerances",
        type=_Tolerance(),
        multiple=True,
        metavar="[NAME=]T",
        help=f"{prefix}Largest difference to allow, as a share of a value's largest magnitude; "
        "with the name of a value for that one only. May be given again  [default: measured]",
    )


class _Tolerance(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A number, with a name before it or without."""

    name = "[NAME=]T"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, tuple):
            return value
        name, _, number = value.rpartition("=")
        try:
            return name, float(number)
        except ValueError:
            self.fail(f"'{number}' is no number; give one, as in 1e-5 or prob=1e-5", param, ctx)


def tolerances_of(given: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """The tolerance for all values and those by name, as VerifyOptions has them.

    Raises:
        click.UsageError: one is given twice.
    """
    named: dict[str, float | None] = {}
    for name, tolerance in given:
        if name in named:
            what = f"of '{name}'" if name else "for all values"
            raise click.UsageError(f"the tolerance {what} is given twice; give it once")
        named[name] = tolerance
    return {"tolerance": named.pop("", None), "tolerances": named}
