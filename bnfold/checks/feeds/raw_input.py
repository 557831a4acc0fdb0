"""An input that one network gets preprocessed, and another, which preprocesses itself, raw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bnfold.aliases import Array, ArrayShape
from bnfold.errors import BnfoldError
from bnfold.fold.inputs.steps import InputSteps
from bnfold.preprocess_options import PreprocessOptions


@dataclass(frozen=True)
class RawInput:
    """What the folded network does to an input itself.

    Attributes:
        steps: what it does; None where it takes the same as the original.
        blob: the input.
    """

    steps: InputSteps | None
    blob: str = ""

    @classmethod
    def of(
        cls, steps: InputSteps | None, shapes: Mapping[str, ArrayShape], model: Path
    ) -> RawInput:
        """The steps of a network with these inputs.

        Args:
            steps: what the folded network does, if anything.
            shapes: the inputs; () for a shape that the file does not tell.
            model: the original's prototxt.

        Raises:
            BnfoldError: they do not fit any of the inputs, or several.
        """
        if steps is None:
            return cls(None)
        known = {name: shape or None for name, shape in shapes.items()}
        try:
            name = steps.input_of(known)
            steps.channels_of(name, known[name])
        except BnfoldError as error:
            raise BnfoldError(f"{model}: {error}") from error
        return cls(steps, name)

    def completing(self, options: PreprocessOptions | None) -> PreprocessOptions | None:
        """How images become what the original is fed, where the options leave that open."""
        steps = self.steps
        if steps is None:
            return options
        # Images are read as BGR, and so are the pixels that the folded network takes.
        order = "rgb" if steps.swap else None
        mine = PreprocessOptions(steps.mean, scale=steps.scale, channel_order=order)
        return mine if options is None else options.completed_by(mine)

    def raw(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """What the folded network is fed, for what the original is."""
        if self.steps is None:
            return dict(feeds)
        return {**feeds, self.blob: self.steps.undo(feeds[self.blob])}

    def rounded(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """What the original is fed, computed from what the folded network is."""
        if self.steps is None:
            return dict(feeds)
        return {**feeds, self.blob: self.steps.apply(self.raw(feeds)[self.blob])}

    def __str__(self) -> str:
        """The end of a sentence about the inputs."""
        return f"; the folded network gets raw '{self.blob}'" if self.steps else ""
