"""What one layer type means: a record that everyone asks who reads or changes a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from bnfold.graph.axes import Shape

if TYPE_CHECKING:
    from bnfold.graph.functions import Activation
    from bnfold.graph.net import Layer

Fields: TypeAlias = frozenset[str]
Shapes: TypeAlias = Sequence[Shape | None]
Sizes: TypeAlias = Sequence[tuple[int, ...]]


class Layout(Enum):
    """How the weight of a layer that multiplies by a matrix is laid out."""

    CONVOLUTION = auto()
    """Shape (num_output, channels / group, kernel ...)."""
    DECONVOLUTION = auto()
    """Shape (channels, num_output / group, kernel ...)."""
    INNER_PRODUCT = auto()
    """Shape (num_output, inputs); (inputs, num_output) with `transpose: true`."""


class AffineForm(Enum):
    """How a layer that is an affine function of each channel stores its numbers."""

    BATCH_NORM = auto()
    """Mean, variance, moving-average factor; in forks a scale and a bias, too."""
    BN = auto()
    """Scale and shift with or without statistics: the dialects of `BN`."""
    SCALE = auto()
    BIAS = auto()
    POWER = auto()
    """In its parameters, where its power is 1; nobody takes it for a normalisation."""


class Passes(Enum):
    """Which affine functions A have a B with A(f(x)) = f(B(x)) for a layer f, and which B."""

    NOTHING = auto()
    EVERYTHING = auto()
    """B = A: the layer hands on what it reads."""
    POSITIVE_SCALE = auto()
    """B = A where the scale is positive and there is no shift: f(a x) = a f(x) for a > 0."""
    RESHAPED = auto()
    """B = A where channels stay apart; ahead also where each becomes several in a row."""
    POOLED = auto()
    """As the kind of pooling and its padding allow."""
    JOINED = auto()
    """Each bottom gets the part of A that belongs to its channels."""
    COMBINED = auto()
    """A sum: the scale for each bottom, the shift for one; a maximum: B = A for each."""


class ChannelRole(Enum):
    """What a layer does with the channels (axis 1) of what it reads."""

    UNKNOWN = auto()
    """It may mix them; nobody looks through it."""
    MIXED = auto()
    """It makes new ones by a matrix."""
    NUMBERED = auto()
    """It has a number of its own for each."""
    KEPT = auto()
    """It treats each by itself, and all alike."""
    TIED = auto()
    """It combines the same channel of all its bottoms."""
    JOINED = auto()
    """It puts the channels of its bottoms side by side."""
    STRETCHED = auto()
    """It may spread a channel over its places."""
    CUT = auto()
    """It parts them at fixed places."""
    ACROSS = auto()
    """It looks at several of them at once, unless it is told not to."""
    CROPPED = auto()
    """It cuts the first bottom to the lengths of the second; along which axes, it is told."""
    LENGTHS = auto()
    """It looks at lengths only, or at nothing."""


class Ending(Enum):
    """What a layer at the end of a network gives out, as a comparison of networks sees it."""

    SQUASHED = auto()
    """Scores squeezed between 0 and 1, which hides differences of what they were made from."""
    DECISION = auto()
    """A choice, such as a class number, that may fall the other way for the smallest difference."""
    DETECTIONS = auto()
    """Boxes that were kept: a decision, too."""
    JUDGEMENT = auto()
    """How well scores agree with labels: a loss or an accuracy."""
    NOTHING = auto()
    """Nothing: it swallows what nobody else reads."""


class Dialect(Enum):
    """Whose Caffe has a layer type."""

    BVLC = auto()
    """BVLC Caffe 1.0."""
    SSD = auto()
    """weiliu89/caffe."""
    SEGNET = auto()
    """alexgkendall/caffe-segnet."""
    PSPNET = auto()
    """hszhao/PSPNet and yjxiong/caffe."""
    FORKS = auto()
    """Forks that have no common name; where they disagree, nothing is taken for known."""


class Work(NamedTuple):
    """What a layer does in one forward pass.

    Attributes:
        operations: floating-point operations.
        values: how many values it reads and writes.
        parameters: how many parameters it reads.
    """

    operations: int
    values: int
    parameters: int = 0


ShapeRule: TypeAlias = "Callable[[Layer, Shapes], list[Shape | None]]"
"""From a layer and the shapes of its bottoms to the shapes of its tops, as far as known.

Raises PrototxtError for a parameter with a bad value; where Caffe would refuse the network, it
returns what is known.
"""

CostRule: TypeAlias = "Callable[[Layer, Sizes, Sizes], Work | None]"
"""From a layer and the known shapes of its bottoms and tops to its work; None if Caffe refuses it.
"""

Question: TypeAlias = "Callable[[Layer], bool]"
"""Asks a layer for something that depends on its parameters."""


class LayerType(NamedTuple):
    """What is known of a layer type. The defaults are those of a type that nobody knows.

    Attributes:
        name: Caffe's current name of the type.
        dialect: whose Caffe has it; None for a type that is not known.
        is_opaque: whether what it computes is not known, or asked by nobody; its shapes may be.
        params: the messages that describe it, each with the fields in it that are understood; None
            for a message that whoever reads it checks in full. Any other field makes a layer
            untrusted.
        window_fields: fields of forks that only say where a window lies; what is computed there is
            known.
        training: what it does in phase TRAIN, where that is not what it does in TEST.
        reads_phase: whether those who read it look at its phase themselves.
        is_data: whether it has no bottoms and provides what others read.
        is_input: whether what it provides is fed to the network from outside.
        is_constant: whether what it provides is the same for every input; None where it never is.
        label: of a layer that reads data, the number of the top that holds labels, if it has so
            many; None where the type does not tell.
        shape: how the shapes of its tops follow; None where that is not known.
        keeps_shape: whether its tops are shaped like its first bottom.
        cost: what it costs to run; None where that is not known.
        is_free: whether a layer costs nothing, if that depends on its parameters.
        layout: for a layer that multiplies by a matrix, how that is laid out.
        is_depthwise: whether it has a group for each channel, whatever its `group` says.
        affine: for a layer that may be an affine function of each channel, how it stores that.
        passes: which affine functions pass through it.
        channels: what it does with channels.
        function: what it does to every number; it returns None where its parameters are read
            differently by different forks, or a last bit may decide. None for a layer that does not
            do the same to every number.
        keeps_zeros: whether a channel of zeros stays one.
        shares_memory: whether the top of a layer with one bottom is its bottom's own memory.
        reads_late: whether it still reads its bottoms when it has begun to write its top, so that
            in place it computes something else.
        keeps_memory: whether it gives out the same memory for the next input, not written anew.
        places: whether what it makes at a place, a point of the axes behind the channels, is made
            of that place of its bottoms alone; None where it never is, and for affine types.
        ending: what it gives out at the end of a network.
        scores: for a loss that makes scores of its first bottom before it compares them, the type
            of layer that makes them and needs no labels.
    """

    name: str
    dialect: Dialect | None = None
    is_opaque: bool = False
    params: Mapping[str, Fields | None] = {}
    window_fields: Fields = frozenset()
    training: str = ""
    reads_phase: bool = False
    is_data: bool = False
    is_input: bool = False
    is_constant: Question | None = None
    label: int | None = None
    shape: ShapeRule | None = None
    keeps_shape: bool = False
    cost: CostRule | None = None
    is_free: Question | None = None
    layout: Layout | None = None
    is_depthwise: bool = False
    affine: AffineForm | None = None
    passes: Passes = Passes.NOTHING
    channels: ChannelRole = ChannelRole.UNKNOWN
    function: Callable[[Layer], Activation | None] | None = None
    keeps_zeros: bool = False
    shares_memory: Question | None = None
    reads_late: bool = False
    keeps_memory: bool = False
    places: Question | None = None
    ending: Ending | None = None
    scores: str = ""

    @property
    def is_known(self) -> bool:
        """Whether there is a record of the type; of others nothing is taken for granted."""
        return self.dialect is not None

    @property
    def is_understood(self) -> bool:
        """Whether it is known what a layer of the type computes."""
        return self.is_known and not self.is_opaque

    @property
    def is_affine(self) -> bool:
        """Whether it is a normalisation, scale or shift: the layers that reports count."""
        return self.affine is not None and self.affine is not AffineForm.POWER

    @property
    def has_slopes(self) -> bool:
        """Whether it has a number for each channel and is no affine function: a PReLU."""
        return self.channels is ChannelRole.NUMBERED and self.affine is None

    @property
    def message(self) -> str:
        """The first of the messages that describe it, "convolution_param" say."""
        return next(iter(self.params))

    def is_spoilt(self, layer: Layer) -> bool:
        """Whether a layer of this type works in place, which a layer that reads late must not."""
        pairs = zip(layer.bottoms, layer.tops, strict=False)
        return self.reads_late and any(bottom.name == top.name for bottom, top in pairs)

    def hands_on(self, layer: Layer) -> bool:
        """Whether the tops of a layer of this type are its bottom's own memory.

        Raises:
            PrototxtError: a parameter has a bad value.
        """
        one = len(layer.bottoms) == 1
        return one and self.shares_memory is not None and self.shares_memory(layer)


def each_place(layer: Layer) -> bool:
    """Every layer of a type makes each place of that place of its bottoms alone."""
    return True


def words(text: str) -> Fields:
    """The names in a text, as a set."""
    return frozenset(text.split())
