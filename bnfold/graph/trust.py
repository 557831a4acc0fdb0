"""Which layers can be taken at their word: a record for each type that bnfold knows.

A type that is not in the table, a field of a fork in a layer, or a layer with a phase of its own
may mean anything. Whoever changes a network asks `untrusted` first, and leaves alone what it
names: what one rewrite must not look through, none may.

Sources of the fields: BVLC caffe, src/caffe/proto/caffe.proto; for types of forks the forks' own,
as named where they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bnfold.graph.net import ForkFields, Layer
from bnfold.graph.phase import Phase, own_phase
from bnfold.graph.windows import DEPTHWISE_TYPES

Fields = frozenset[str]


@dataclass(frozen=True)
class LayerType:
    """What is known of a layer type.

    Attributes:
        params: the messages that describe it, each with the fields in it that are understood; None
            for a message that whoever reads it checks in full.
        windows: fields of forks that only say where a window lies; what it computes there is known.
        training: what it does in phase TRAIN, where that is not what it does in TEST.
        reads_phase: whether those who read it look at its phase themselves.
    """

    params: Mapping[str, Fields | None] = field(default_factory=dict)
    windows: Fields = frozenset()
    training: str = ""
    reads_phase: bool = False


def _words(text: str) -> Fields:
    return frozenset(text.split())


def _known(message: str, fields: str = "", **more: str) -> LayerType:
    params = {message: fields, **more}
    return LayerType({name: _words(text) for name, text in params.items()})


_WINDOW = (
    "num_output bias_term pad kernel_size group stride pad_h pad_w kernel_h kernel_w stride_h "
    "stride_w axis force_nd_im2col dilation"
)
_CONVOLUTION = LayerType(
    {"convolution_param": _words(_WINDOW)},
    windows=_words(
        "hole hole_h hole_w pad_mode pad_type pad_l pad_r pad_t pad_b pad_left pad_right pad_top "
        "pad_bottom"
    ),
)
_RESAMPLED = (
    "height width zoom_factor shrink_factor pad_beg pad_end intepolation_type scale scale_h "
    "scale_w pad_out_h pad_out_w upsample_h upsample_w"
)
_POOLING = (
    "pool kernel_size stride pad kernel_h kernel_w stride_h stride_w pad_h pad_w global_pooling "
    "ceil_mode round_mode"
)
_PRIORS = (
    "min_size max_size aspect_ratio flip clip variance img_size img_h img_w step step_h step_w "
    "offset"
)

TYPES: Mapping[str, LayerType] = {
    **dict.fromkeys(("AbsVal", "Axpy", "BNLL", "Mish", "SELU", "Silence", "Split"), LayerType()),
    **dict.fromkeys(("HSwish", "HardSwish", "SiLU", "Softplus"), LayerType()),
    **{name: _known(f"{name.lower()}_param") for name in ("ReLU6", "Sigmoid", "TanH")},
    **{name: _known(f"{name.lower()}_param", "base scale shift") for name in ("Exp", "Log")},
    **dict.fromkeys(sorted({"Convolution", "Deconvolution"} | DEPTHWISE_TYPES), _CONVOLUTION),
    **{
        name: _known(f"{name.lower()}_param", _RESAMPLED)
        for name in ("Interp", "NNInterp", "Resize", "Unpooling", "Upsample")
    },
    **dict.fromkeys(
        ("HSigmoid", "HardSigmoid"),
        _known("hsigmoid_param", "alpha beta", hardsigmoid_param="alpha beta"),
    ),
    **dict.fromkeys(("LogSoftmax", "Softmax"), _known("softmax_param", "axis")),
    "ArgMax": _known("argmax_param", "out_max_val top_k axis"),
    "BN": LayerType({"bn_param": None}, reads_phase=True),
    "BatchNorm": LayerType(
        # The last two are of forks and say which blobs there are, which their count says too.
        {
            "batch_norm_param": _words(
                "use_global_stats moving_average_fraction eps scale_bias bias_term"
            )
        },
        reads_phase=True,
    ),
    "Bias": _known("bias_param", "axis num_axes"),
    "Clip": _known("clip_param", "min max"),
    "Concat": _known("concat_param", "axis concat_dim"),
    "Crop": _known("crop_param", "axis offset"),
    "Dropout": LayerType(
        {"dropout_param": _words("dropout_ratio")}, training="drops values at random"
    ),
    "ELU": _known("elu_param", "alpha"),
    "Eltwise": _known("eltwise_param", "operation coeff stable_prod_grad"),
    "Embed": _known("embed_param", "num_output input_dim bias_term"),
    "Flatten": _known("flatten_param", "axis end_axis"),
    "InnerProduct": _known("inner_product_param", "num_output bias_term axis transpose"),
    "Input": _known("input_param", "shape"),
    "LRN": _known("lrn_param", "local_size alpha beta norm_region k"),
    "LeakyReLU": _known("relu_param", "negative_slope", leaky_relu_param="negative_slope"),
    "MVN": _known("mvn_param", "normalize_variance across_channels eps"),
    "Normalize": _known("norm_param", "across_spatial channel_shared eps"),
    "PReLU": _known("prelu_param", "channel_shared"),
    "Permute": _known("permute_param", "order"),
    "Pooling": _known("pooling_param", _POOLING),
    "Power": _known("power_param", "power scale shift"),
    "PriorBox": _known("prior_box_param", _PRIORS),
    "RReLU": LayerType(
        {"rrelu_param": _words("lower upper negative_slope")},
        training="draws its slopes at random",
    ),
    "ROIPooling": _known("roi_pooling_param", "pooled_h pooled_w spatial_scale"),
    "ReLU": _known("relu_param", "negative_slope"),
    "Reduction": _known("reduction_param", "operation axis coeff"),
    "Reshape": _known("reshape_param", "shape axis num_axes"),
    "Scale": _known("scale_param", "axis num_axes bias_term"),
    "ShuffleChannel": _known("shuffle_channel_param", "group"),
    "Slice": _known("slice_param", "axis slice_point slice_dim"),
    "Swish": _known("swish_param", "beta"),
    "Threshold": _known("threshold_param", "threshold"),
    "Tile": _known("tile_param", "axis tiles"),
}
"""The layer types whose meaning is known; losses, and what reads data, are looked at by nobody."""

FUSED = _words(
    "relu fuse_relu fused_relu with_relu combine_relu negative_slope activation fusion_type"
)
"""Fields by which forks let a layer apply an activation to what it computed (intel/caffe: relu)."""

_ANY_LAYER = _words(
    "name type bottom top loss_weight param blobs include exclude phase propagate_down blobs_lr "
    "weight_decay blob_share_mode forward_type backward_type forward_math backward_math"
)
"""Fields of a layer that do not say what it computes, or that are looked at elsewhere.

The last four are NVIDIA's types to compute in, which change the rounding.
"""

_OTHER_PARAMS = _words(
    "accuracy_param contrastive_loss_param data_param dummy_data_param hdf5_data_param "
    "hdf5_output_param hinge_loss_param image_data_param infogain_loss_param loss_param "
    "memory_data_param parameter_param python_param recurrent_param spp_param transform_param "
    "window_data_param"
)
"""Messages that Caffe knows and that no type of the table reads."""

_ELSEWHERE = _ANY_LAYER.union(_OTHER_PARAMS, *(known.params for known in TYPES.values()))
"""These, and all messages whose owner is known: every other layer passes over them."""


def untrusted(layer: Layer, phase: Phase, treat_as: Mapping[str, str] | None = None) -> str | None:
    """Why it is not known what a layer computes, as the beginning of a sentence; None if it is.

    Args:
        layer: the layer, as the file has it.
        phase: the phase that the network runs in.
        treat_as: for layer types that the user says are a known one, that one.

    Raises:
        PrototxtError: its `phase` has a bad value, or one of its messages is none.
    """
    kind = (treat_as or {}).get(layer.type, layer.type)
    known = TYPES.get(kind)
    if known is None:
        return f"{layer} is in the way: it is of a type that bnfold does not know"
    foreign = foreign_fields(layer, kind)
    if foreign:
        fused = FUSED.issuperset(foreign)
        what = "so it does more than its type says" if fused else "which may mean anything"
        return f"{layer} has {', '.join(foreign)}, {what}"
    own = own_phase(layer.text, phase)
    if own is Phase.TRAIN and known.training:
        return f"{layer} {known.training} in phase TRAIN"
    if own is not phase and not known.reads_phase:
        return f"{layer} has a phase of its own, {own.value}, in which it may do something else"
    return None


def foreign_fields(layer: Layer, kind: str) -> tuple[str, ...]:
    """The fields of a layer and its parameters that bnfold does not know, sorted.

    Args:
        layer: the layer, as the file has it.
        kind: what its type is taken for.

    Raises:
        PrototxtError: one of its messages is none.
    """
    return _of_forks(layer, kind)[0]


def window_fields(layer: Layer, kind: str) -> tuple[str, ...]:
    """The fields of forks that say where a layer's window lies, sorted.

    Raises:
        PrototxtError: one of its messages is none.
    """
    return _of_forks(layer, kind)[1]


def _of_forks(layer: Layer, kind: str) -> ForkFields:
    """What of a layer's fields may mean anything, and what only says where its window lies."""
    known = TYPES.get(kind)
    if known is None:
        return (), ()
    if layer.fork_fields is None or layer.fork_fields[0] is not known:
        layer.fork_fields = known, _sorted_out(layer, known)
    return layer.fork_fields[1]


def _sorted_out(layer: Layer, known: LayerType) -> ForkFields:
    foreign: set[str] = set()
    windows: set[str] = set()
    for one in layer.text.fields:
        if one.name not in known.params:
            if one.name not in _ELSEWHERE:
                foreign.add(one.name)
            continue
        fields = known.params[one.name]
        if fields is not None:
            names = {inner.name for inner in one.message().fields} - fields
            windows |= names & known.windows
            foreign |= names - known.windows
    unknown = sorted(name for name in foreign if not _is_harmless(name))
    return tuple(unknown), tuple(sorted(windows))


def _is_harmless(name: str) -> bool:
    """Whether a field says who computes a layer, or what its weights were before training."""
    return name == "engine" or name == "filler" or name.endswith("_filler")
