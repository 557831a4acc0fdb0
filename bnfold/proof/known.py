"""Which layers are understood, and what of a layer's text decides what it computes.

A type that does not stand here, and a layer with a field that does not stand here, may compute
anything: it is proved only where both networks have it, word for word (Lemma 9 of docs/proof.md).
"""

from __future__ import annotations

from bnfold.proof.layers import Layer
from bnfold.proof.weighted import DEPTHWISE
from bnfold.prototxt import Field, Message

_WINDOW = (
    "num_output bias_term pad kernel_size group stride pad_h pad_w kernel_h kernel_w stride_h "
    "stride_w axis force_nd_im2col dilation hole hole_h hole_w pad_mode pad_type pad_l pad_r pad_t "
    "pad_b pad_left pad_right pad_top pad_bottom"
)
_BN = "slope_filler bias_filler momentum eps frozen scale_filler shift_filler bn_mode"

FIELDS: dict[str, dict[str, frozenset[str]]] = {
    kind: {message: frozenset(fields.split()) for message, fields in messages.items()}
    for kind, messages in {
        "Convolution": {"convolution_param": _WINDOW},
        "Deconvolution": {"convolution_param": _WINDOW},
        **{kind: {"convolution_param": _WINDOW} for kind in DEPTHWISE},
        "InnerProduct": {"inner_product_param": "num_output bias_term axis transpose"},
        "BatchNorm": {
            "batch_norm_param": "use_global_stats moving_average_fraction eps scale_bias bias_term"
        },
        "BN": {"bn_param": _BN},
        "Scale": {"scale_param": "axis num_axes bias_term"},
        "Bias": {"bias_param": "axis num_axes"},
        "Power": {"power_param": "power scale shift"},
        "ReLU": {"relu_param": "negative_slope"},
        "PReLU": {"prelu_param": "channel_shared"},
        "AbsVal": {},
        "Dropout": {"dropout_param": "dropout_ratio"},
        "Split": {},
        "Concat": {"concat_param": "axis concat_dim"},
        "Slice": {"slice_param": "axis slice_point slice_dim"},
        "Eltwise": {"eltwise_param": "operation coeff stable_prod_grad"},
        "Flatten": {"flatten_param": "axis end_axis"},
        "Reshape": {"reshape_param": "shape axis num_axes"},
        "Crop": {"crop_param": "axis offset"},
        "Permute": {"permute_param": "order"},
        "Tile": {"tile_param": "axis tiles"},
        "ShuffleChannel": {"shuffle_channel_param": "group"},
        "Pooling": {
            "pooling_param": "pool kernel_size stride pad kernel_h kernel_w stride_h stride_w "
            "pad_h pad_w global_pooling ceil_mode round_mode"
        },
        "Input": {"input_param": "shape"},
        "Sigmoid": {"sigmoid_param": ""},
        "TanH": {"tanh_param": ""},
        "ELU": {"elu_param": "alpha"},
        "Exp": {"exp_param": "base scale shift"},
        "Log": {"log_param": "base scale shift"},
        "Clip": {"clip_param": "min max"},
        "ReLU6": {"relu6_param": ""},
        "Swish": {"swish_param": "beta"},
        "Threshold": {"threshold_param": "threshold"},
        "HSigmoid": {"hsigmoid_param": "alpha beta", "hardsigmoid_param": "alpha beta"},
        "HardSigmoid": {"hsigmoid_param": "alpha beta", "hardsigmoid_param": "alpha beta"},
        "LeakyReLU": {"relu_param": "negative_slope", "leaky_relu_param": "negative_slope"},
        "RReLU": {"rrelu_param": "lower upper negative_slope"},
        **{
            kind: {} for kind in ("BNLL", "HSwish", "HardSwish", "Mish", "SELU", "SiLU", "Softplus")
        },
        "LRN": {"lrn_param": "local_size alpha beta norm_region k"},
        "Silence": {},
        "Upsample": {"upsample_param": "scale"},
        "Interp": {
            "interp_param": "zoom_factor height width shrink_factor pad_beg pad_end "
            "intepolation_type"
        },
        "PriorBox": {
            "prior_box_param": "min_size max_size aspect_ratio flip clip variance img_size img_h "
            "img_w step step_h step_w offset"
        },
    }.items()
}
"""The messages that a type reads, each with the fields in it that are understood."""

_ANYWHERE = frozenset(
    [
        "name",
        "type",
        "bottom",
        "top",
        "loss_weight",
        "param",
        "blobs",
        "include",
        "exclude",
        "phase",
        "propagate_down",
        "blobs_lr",
        "weight_decay",
        "blob_share_mode",
        "forward_type",
        "backward_type",
        "forward_math",
        "backward_math",
    ]
)
"""Fields of any layer that do not say what it computes, or that are looked at elsewhere."""

_OTHERS = frozenset(
    [
        "accuracy_param",
        "contrastive_loss_param",
        "data_param",
        "dummy_data_param",
        "hdf5_data_param",
        "hdf5_output_param",
        "hinge_loss_param",
        "image_data_param",
        "infogain_loss_param",
        "loss_param",
        "memory_data_param",
        "parameter_param",
        "python_param",
        "recurrent_param",
        "spp_param",
        "transform_param",
        "window_data_param",
        "argmax_param",
        "elu_param",
        "embed_param",
        "exp_param",
        "log_param",
        "lrn_param",
        "mvn_param",
        "reduction_param",
        "sigmoid_param",
        "softmax_param",
        "tanh_param",
        "threshold_param",
        "tile_param",
        "norm_param",
        "prior_box_param",
        "detection_output_param",
    ]
).union(*FIELDS.values())
"""Messages that Caffe knows, and that a layer of another type passes over."""


def is_harmless(name: str) -> bool:
    """Whether a field says who computes a layer, or what its weights were before training."""
    return name in ("engine", "filler") or name.endswith("_filler")


def is_understood(layer: Layer) -> bool:
    """Whether the type of a layer is known here, and all that it says.

    Raises:
        PrototxtError: one of its messages is none.
    """
    messages = FIELDS.get(layer.kind)
    if messages is None:
        return False
    for name in layer.words.names:
        known = messages.get(name)
        if known is not None:
            inner = layer.param(name).names
            if any(field not in known and not is_harmless(field) for field in inner):
                return False
        elif name not in _ANYWHERE and name not in _OTHERS and not is_harmless(name):
            return False
    return True


def signature(layer: Layer) -> tuple[object, ...]:
    """What of a layer's words decides what it computes, if its bottoms and blobs are given."""
    messages = FIELDS.get(layer.kind) if is_understood(layer) else None
    words = [
        _spelled(field)
        for field in (layer.words.text.fields if layer.words.text else ())
        if (field.name in messages if messages is not None else field.name not in _ANYWHERE)
        and not is_harmless(field.name)
    ]
    said = sorted(word for word in words if messages is None or word[1] != "{}")
    return (layer.kind, layer.phase, len(layer.bottoms), len(layer.tops), *said)


def _spelled(field: Field) -> tuple[str, str]:
    value = field.value
    if isinstance(value, Message):
        passed = _TOLD_BY_BLOBS.get(field.name)
        each = (one for one in value.fields if not is_harmless(one.name) and one.name != passed)
        inner = (_spelled(one) for one in each)
        return field.name, "{" + " ".join(f"{name}: {text}" for name, text in inner) + "}"
    return field.name, repr(field.string()) if value.is_string else value.text


_TOLD_BY_BLOBS = {"scale_param": "bias_term"}
"""Fields that say which blobs there are."""
