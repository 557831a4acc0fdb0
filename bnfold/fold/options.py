"""What a user may choose, and the list of rewrites that can be turned on or off.

Each field is a keyword of `bnfold.merge` and `bnfold.inspect` and an option of the commands; its
help stands with it, or with the rewrite that it turns on or off. This is the only place, besides a
rewrite's own file, that knows of that rewrite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from bnfold.errors import BnfoldError
from bnfold.fold.absorb.collapse import Collapse
from bnfold.fold.affines.batch_norms import BN_DIALECTS
from bnfold.fold.branches.concat import MergeConcatBranches
from bnfold.fold.branches.merge import MergeBranches
from bnfold.fold.channels.dead import RemoveDead
from bnfold.fold.engine import EngineCaffe
from bnfold.fold.forms.activations import ActivationsAsStock
from bnfold.fold.forms.depthwise import DepthwiseAsConvolution
from bnfold.fold.forms.inner_product import InnerProductAsConvolution
from bnfold.fold.forms.prelu import JoinPReLU
from bnfold.fold.forms.prelu_as_relu import PReLUAsReLU
from bnfold.fold.forms.rounding import RoundUpAndCut
from bnfold.fold.forms.scale import ScaleAsConvolution
from bnfold.fold.forms.scale_bias import GiveScalesBiases
from bnfold.fold.forms.stale import RemoveStale
from bnfold.fold.forms.upsample import UpsampleAsDeconvolution
from bnfold.fold.inputs.rewrite import FoldInput, FoldInputAtLast
from bnfold.fold.inputs.steps import InputSteps, read_mean
from bnfold.fold.option import (
    Option,
    form,
    option,
    option_of,
    rewrites_for,
    rewrites_of,
    switch,
)
from bnfold.fold.plan import Entry
from bnfold.fold.rewrite import OptionalRewrite
from bnfold.fold.strides.move import MoveStrides
from bnfold.fold.tidy import Tidy, TidyAtLast
from bnfold.graph import LAYER_TYPES, Phase

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class MergeOptions:
    """How a network is read, what is done to it, and how it is stored.

    Raises:
        BnfoldError: a value is out of range, or two exclude each other.
    """

    phase: Phase = option(  # noqa: RUF009
        Phase.TEST,
        "The phase whose function is preserved; layers outside of it are left alone.",
        values=("TEST", "TRAIN"),
    )
    eps: float | None = option(
        None,
        "Use this eps for every batch norm, in place of each layer's own.",
        metavar="E",
        convert=float,
    )
    input_mean: tuple[float, ...] | None = option(
        None,
        "Subtract this mean in the network, which then takes pixels as they are: one, or one for "
        "each of its channels.",
        metavar="V[,V...]",
    )
    input_scale: float | None = option(
        None,
        "Multiply by this, behind the mean, in the network.",
        metavar="S",
        convert=float,
    )
    input_swap: bool = option(
        False,
        "Turn the order of the three channels round in the network, so that one that was trained "
        "on BGR takes RGB, or the other way round.",
    )
    input_blob: str | None = option(
        None, "The input that these are for, where several take images.", metavar="NAME"
    )
    # Rewrites, in the order in which each has its turn and in which reports name what they did.
    depthwise_as: str | None = form(
        DepthwiseAsConvolution.help, {"convolution": [DepthwiseAsConvolution]}
    )
    upsample_as: str | None = form(
        UpsampleAsDeconvolution.help, {"deconvolution": [UpsampleAsDeconvolution]}
    )
    prelu_as: str | None = form(
        "Write what amounts to a PReLU as one (prelu), each PReLU as ReLU, Scale and Eltwise, for "
        "readers that do not know it (relu), or leave both as they are (either).",
        {"prelu": [JoinPReLU], "relu": [PReLUAsReLU], "either": []},
        "prelu",
    )
    inner_product_as: str | None = form(
        InnerProductAsConvolution.help, {"convolution": [InnerProductAsConvolution]}
    )
    scale_as: str | None = form(ScaleAsConvolution.help, {"convolution": [ScaleAsConvolution]})
    scale_bias: bool = switch(GiveScalesBiases)
    portable: str | None = form(
        "Replace what stock Caffe 1.0 does not know by what computes the same; what cannot be is "
        "named, and is an error unless it is --portable=warn.",
        {name: [ActivationsAsStock, RoundUpAndCut, RemoveStale] for name in ("refuse", "warn")},
        bare="refuse",
    )
    strides: bool = switch(MoveStrides)
    engine_caffe: bool = switch(EngineCaffe)
    collapse: bool = option(True, Collapse.help)
    branches: bool = switch(MergeBranches)
    concat_branches: bool = switch(MergeConcatBranches)
    dead_channels: bool = switch(RemoveDead)
    tidy: bool = switch(Tidy, TidyAtLast)
    keep: tuple[str, ...] = option(
        (),
        "Leave chains with a layer of this name (or glob) alone; may be given again.",
        metavar="NAME",
    )
    only: tuple[str, ...] = option(
        (),
        "Touch only chains with a layer of this name (or glob); may be given again.",
        metavar="NAME",
    )
    bn_dialect: str | None = option(
        None, "What the blobs of BN layers are, where that cannot be told.", values=BN_DIALECTS
    )
    treat_as: Mapping[str, str] = option(
        dict,
        "Take an unknown layer type for a known one, as in MyConv=Convolution.",
        metavar="TYPE=KNOWN",
    )
    keep_dtype: bool = option(
        False,
        "Store changed weights in the type they had (float16, double), not in float32; "
        "float16 is read by NVIDIA's Caffe and OpenCV, and few others.",
    )
    float32: bool = option(
        False,
        "Store all weights as plain float32, which every reader of Caffe files knows; "
        "without it, float16 and double stay where nothing changes.",
    )
    float16: bool = option(
        False,
        "Store all weights as float16, half as large, which NVIDIA's Caffe and OpenCV read, and "
        "few others.",
    )

    def __post_init__(self) -> None:
        given: dict[str, Any] = {
            "phase": Phase.named(self.phase),
            "keep": tuple(self.keep),
            "only": tuple(self.only),
            "treat_as": dict(self.treat_as or {}),
        }
        if self.portable is not None:
            given |= {
                "depthwise_as": self.depthwise_as or "convolution",
                "upsample_as": self.upsample_as or "deconvolution",
                "tidy": True,
                # Stock Caffe does not know raw_data, where half floats are stored.
                "float32": not self.keep_dtype,
            }
        given["input_mean"] = None if self.input_mean is None else read_mean(self.input_mean)
        for name, value in given.items():
            object.__setattr__(self, name, value)
        if self.eps is not None and not 0 <= self.eps <= _LARGEST:
            raise BnfoldError(f"eps {self.eps}: must be a finite number that is not negative")
        InputSteps.chosen(self.input_mean, self.input_scale, self.input_swap, self.input_blob)
        if self.keep_dtype + self.float32 + self.float16 > 1:
            raise BnfoldError(
                "keeping the type of changed weights, making all float32 and making all float16 "
                "exclude each other; choose one of them"
            )
        if self.portable and self.float16:
            raise BnfoldError(
                "stock Caffe has no float16, so portable and float16 exclude each other"
            )
        if self.bn_dialect not in (None, *BN_DIALECTS):
            expected = ", ".join(BN_DIALECTS)
            raise BnfoldError(f"BN dialect '{self.bn_dialect}': must be one of {expected}")
        for name, allowed in self.forms().items():
            value = getattr(self, name)
            if value not in (None, *allowed):
                word = name.replace("_", "-")
                raise BnfoldError(f"--{word} '{value}': must be one of {', '.join(allowed)}")
        known = [name for name, kind in LAYER_TYPES.items() if kind.layout is not None]
        for kind in self.treat_as.values():
            if kind not in known:
                expected = ", ".join(known)
                raise BnfoldError(f"cannot treat a type as '{kind}': must be one of {expected}")

    @classmethod
    def of(cls, options: MergeOptions | None, choices: Mapping[str, Any]) -> MergeOptions:
        """Options, or the usual ones, with some chosen by keyword.

        Raises:
            BnfoldError: as for the class.
            TypeError: there is no such option.
        """
        return cls(**choices) if options is None else replace(options, **choices)

    @classmethod
    def declared(cls) -> dict[str, tuple[Any, Option]]:
        """The default of each option and how the command line has it, by name."""
        usual = cls()
        return {field.name: (getattr(usual, field.name), option_of(field)) for field in fields(cls)}

    @property
    def input_steps(self) -> InputSteps | None:
        """What the network is to do to pixels itself, if anything."""
        given = self.input_mean, self.input_scale, self.input_swap, self.input_blob
        return InputSteps.chosen(*given)

    @classmethod
    def forms(cls) -> dict[str, tuple[str, ...]]:
        """The options that choose a form for layers, each with the forms that there are."""
        chosen = [field for field in fields(cls) if rewrites_of(field)]
        return {field.name: option_of(field).values for field in chosen if option_of(field).values}

    @classmethod
    def entries(cls) -> dict[type[Entry], bool]:
        """What the rewrites add to a report, in its order, and whether that has it in any case.

        It has not the list of a rewrite that runs only where a user asks, and that did nothing.
        """
        found: dict[type[Entry], bool] = {FoldInput.entry: False}
        for field in fields(cls):
            for rewrite in rewrites_of(field):
                found[rewrite.entry] = found.get(rewrite.entry, False) or rewrite.on
        return found

    def rewrites(self, *, first: bool = False, last: bool = False) -> Iterator[OptionalRewrite]:
        """The rewrites that are turned on: those that come first, or last, or else in turns."""
        for field in fields(self):
            for rewrite in rewrites_for(field, getattr(self, field.name)):
                if (rewrite.first, rewrite.last) == (first, last):
                    yield rewrite()
        steps = self.input_steps
        for of_input in (FoldInput, FoldInputAtLast) if steps else ():
            if steps and (of_input.first, of_input.last) == (first, last):
                yield of_input(steps)


def _described() -> str:
    """The docstring of the options, with what each of them does."""
    lines = [f"\n        {name}: {one.help}" for name, (_, one) in MergeOptions.declared().items()]
    return f"{(MergeOptions.__doc__ or '').rstrip()}\n\n    Attributes:{''.join(lines)}\n    "


MergeOptions.__doc__ = _described()
