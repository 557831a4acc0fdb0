"""Rewrite: the stride of a convolution whose kernel is one place moves up.

    (f(x))[s i]  =  f(x[s i])       for a layer f that computes each place by itself
    (K * x)[s t i]  =  (K *_s x)[t i]       for a convolution K with stride t that gets stride s t

A value that is only read at every second place need not be computed elsewhere. Where the 1x1
convolutions that begin a stage of a ResNet have the stride, that of the 3x3 convolution before them
grows instead, and the shortcut of the sum between them is subsampled.

1. All that reads a value reads every n-th place of it, along some axis (steps.py).
2. Nobody outside the phase reads it, it is no output of the network, and nobody finds it in memory
   by another name.
3. What makes it can make fewer places: a convolution by its stride, a layer that computes each
   place by itself if its bottom can. Of an Eltwise or Concat some bottoms can; the others are
   subsampled, by a depthwise 1x1 convolution of ones: Caffe's poolings round up, and would give a
   place more where a length is even.
4. A convolution computes fewer places by it, and what it saves is more than what the subsampling
   takes.

It holds for inputs of every size, and the numbers that are left are the same sums as before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bnfold.fold.plan import Entry, Reason, reason_json
from bnfold.fold.rewrite import Context, OptionalRewrite
from bnfold.spelling import plural


@dataclass(frozen=True)
class MovedStride(Entry):
    """Convolutions of one place whose strides moved up, or one whose stride stays.

    Attributes:
        layer, type, line: the first of the convolutions, and where it stands in the prototxt.
        givers: all of them.
        into: the convolutions that compute fewer places now.
        subsampled: the blobs of which a new layer picks the places that are read.
        altered: the layers whose tops have fewer places.
        saved: how many operations a forward pass takes less.
        reason: why the stride stays.
    """

    key = "strides"
    layer: str
    type: str
    line: int
    givers: tuple[str, ...] = ()
    into: tuple[str, ...] = ()
    subsampled: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    saved: int = 0
    reason: Reason | None = None

    @property
    def done(self) -> bool:
        """Whether it moved."""
        return self.reason is None

    def what(self) -> tuple[str, str]:
        """Where it went, or why it stays."""
        if self.reason:
            return "stride stays", f": {self.reason}"
        more = [name for name in self.givers if name != self.layer]
        text = f", and that of {', '.join(more)}," if more else ""
        text += f" into {', '.join(self.into)}"
        if self.subsampled:
            text += f", subsampling {', '.join(self.subsampled)}"
        return "stride moved", f"{text}: {self.saved:,} operations less"

    def sentence(self) -> str:
        """The same, with its name."""
        if self.reason:
            return f"kept the stride of {self.layer} ({self.type}){self.what()[1]}"
        return f"moved the stride of {self.layer} ({self.type}){self.what()[1]}"

    def to_json(self) -> dict[str, Any]:
        """The object in the list `strides`."""
        return {
            "layer": self.layer,
            "type": self.type,
            "line": self.line,
            "from": list(self.givers),
            "into": list(self.into),
            "subsampled": list(self.subsampled),
            "altered": list(self.altered),
            "operations_saved": self.saved,
            **reason_json(self.reason),
        }

    @classmethod
    def summary(cls, entries: Sequence[MovedStride]) -> str:
        """How many strides moved, and what that saves."""
        done = [entry for entry in entries if entry.done]
        count = sum(len(entry.givers) for entry in done)
        saved = sum(entry.saved for entry in done)
        return f"{plural(count, 'stride')} moved up, {saved:,} operations less" if done else ""

    def alters(self, standing: Collection[str]) -> Collection[str]:
        """The layers whose tops have fewer places."""
        return [name for name in self.altered if name in standing]


class MoveStrides(OptionalRewrite):
    """Move strides up, so that what nobody reads is not computed."""

    help = "Move strides of 1x1 convolutions up, so that nothing is computed that nobody reads."
    on = False
    entry = MovedStride
    last = True

    def run(self, context: Context) -> bool:
        """Apply the rewrite to the whole network."""
        # Few runs ask for it, and others need not wait until it is imported.
        from bnfold.fold.strides.placing import move_strides

        plan = context.plan
        plan.entries = [e for e in plan.entries if not isinstance(e, MovedStride) or e.done]
        return move_strides(context)
