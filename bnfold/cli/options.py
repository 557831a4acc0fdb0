"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from bnfold.fold import Options

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


class _JsonTarget(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """The path of a file, or `-`."""

    name = "P|-"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == "":
            self.fail("it is empty; give a path, or '-'", param, ctx)
        return value


FILE = _File()
OUTPUT = _File(output=True)


def pair_options(function: F) -> F:
    """`--model` and `--weights`, which may be given as two arguments as well."""
    return _pair(function, weights_needed=True)


def loose_pair_options(function: F) -> F:
    """`--model`, and `--weights` where there are some; as arguments as well."""
    return _pair(function, weights_needed=False)


def _pair(function: F, *, weights_needed: bool) -> F:
    @functools.wraps(function)
    def command(**arguments: Any) -> Any:
        files = list(arguments.pop("files"))
        for name in ("model", "weights"):
            if arguments[name] is None and files:
                arguments[name] = files.pop(0)
            if arguments[name] is None and (name == "model" or weights_needed):
                raise click.UsageError(
                    f"Missing option '--{name}'; give it, or the files as arguments: MODEL WEIGHTS"
                )
        if files:
            raise click.UsageError(
                f"Got an unexpected argument '{files[0]}'; what is given as an option is not "
                "given as an argument again, and there are two at most: MODEL WEIGHTS"
            )
        return function(**arguments)

    rest = "" if weights_needed else "; without them the plan is made from the prototxt alone"
    for option in (
        click.option(
            "--weights", type=FILE, metavar="CAFFEMODEL", help=f"Its trained weights{rest}."
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


def float32_option(function: F) -> F:
    """`--float32`."""
    return click.option(
        "--float32",
        is_flag=True,
        help="Store all weights as plain float32, which every reader of Caffe files knows; "
        "without it, float16 and double stay where nothing changes.",
    )(function)


def folding_options(function: F) -> F:
    """The options that decide what a fold does."""
    for option in (
        click.option(
            "--phase",
            type=click.Choice(["TEST", "TRAIN"]),
            default="TEST",
            show_default=True,
            help="The phase whose function is preserved; layers outside of it are left alone.",
        ),
        click.option(
            "--engine-caffe/--no-engine-caffe",
            default=True,
            show_default=True,
            help="Set `engine: CAFFE` on convolutions whose kernel is 1 in all axes.",
        ),
        click.option(
            "--treat-as",
            multiple=True,
            metavar="TYPE=KNOWN",
            help="Take an unknown layer type for a known one, as in MyConv=Convolution.",
        ),
        click.option(
            "--bn-dialect",
            type=click.Choice(["variance", "inverse-std", "scale-shift"]),
            help="What the blobs of BN layers are, where that cannot be told.",
        ),
        click.option(
            "--collapse/--no-collapse",
            default=True,
            show_default=True,
            help="Write a batch norm that cannot be absorbed as one Scale.",
        ),
        click.option(
            "--branches/--no-branches",
            default=True,
            show_default=True,
            help="Make parallel convolutions of one blob that an Eltwise adds up one.",
        ),
        click.option(
            "--concat-branches",
            is_flag=True,
            help="Make those that a Concat joins one, too; the names of their blobs go.",
        ),
        click.option(
            "--dead-channels/--no-dead-channels",
            default=True,
            show_default=True,
            help="Take out channels that are constant, where that is exact.",
        ),
        click.option(
            "--only",
            multiple=True,
            metavar="NAME",
            help="Touch only chains with a layer of this name (or glob); may be given again.",
        ),
        click.option(
            "--keep",
            multiple=True,
            metavar="NAME",
            help="Leave chains with a layer of this name (or glob) alone; may be given again.",
        ),
        click.option(
            "--keep-dtype",
            is_flag=True,
            help="Store changed weights in the type they had (float16, double), not in float32; "
            "float16 is read by NVIDIA's Caffe and OpenCV, and few others.",
        ),
        float32_option,
        click.option(
            "--eps",
            type=float,
            metavar="E",
            help="Use this eps for every batch norm, in place of each layer's own.",
        ),
    ):
        function = option(function)
    return function


def folding(values: Mapping[str, Any]) -> Options:
    """The library's options from what `folding_options` gave a command.

    Raises:
        BnfoldError: a value is out of range.
        click.UsageError: `--treat-as` is not of the form TYPE=KNOWN.
    """
    from bnfold.fold import Options
    from bnfold.graph import Phase

    treat_as = {}
    for pair in values["treat_as"]:
        unknown, equals, known = pair.partition("=")
        if not unknown or not equals or not known:
            raise click.UsageError(f"--treat-as {pair}: expected TYPE=KNOWN, as Conv2=Convolution")
        treat_as[unknown] = known
    return Options(
        phase=Phase.named(values["phase"]),
        eps=values["eps"],
        engine_caffe=values["engine_caffe"],
        keep_dtype=values["keep_dtype"],
        float32=values["float32"],
        collapse=values["collapse"],
        branches=values["branches"],
        concat_branches=values["concat_branches"],
        dead_channels=values["dead_channels"],
        keep=values["keep"],
        only=values["only"],
        bn_dialect=values["bn_dialect"],
        treat_as=treat_as,
    )


def report_options(function: F) -> F:
    """`--json`, `--quiet` and `--force`."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="Print nothing but warnings and errors."),
        click.option(
            "--json",
            "json_target",
            type=_JsonTarget(),
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
