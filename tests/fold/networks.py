"""Networks for every point of what is folded; each says how many layers go."""

from __future__ import annotations

from collections.abc import Callable

from models import Model

IMAGE = (2, 4, 9, 7)
BUILDERS: dict[str, Callable[[], Model]] = {}
FOLDS: dict[str, int] = {}
ONLY_PYCAFFE: set[str] = set()


def network(folds: int, *, only_pycaffe: bool = False):
    """Register a builder under its own name, with the number of layers that fold."""

    def register(builder: Callable[[], Model]) -> Callable[[], Model]:
        BUILDERS[builder.__name__] = builder
        FOLDS[builder.__name__] = folds
        if only_pycaffe:
            ONLY_PYCAFFE.add(builder.__name__)
        return builder

    return register


# OpenCV passes over `transpose` and refuses a negative axis, so only Caffe can tell about those.


def start(shape=IMAGE, **options) -> Model:
    return Model(seed=3, **options).input("data", shape)


# ---------------------------------------------------------------- what goes in


@network(1)
def batch_norm_alone():
    return start().conv("c", "data", 5).batch_norm("b", "c").relu("r", "c")


@network(1)
def scale_alone_with_bias():
    return start().conv("c", "data", 5).scale("s", "c").relu("r", "c")


@network(1)
def scale_alone_without_bias():
    return start().conv("c", "data", 5, bias=False).scale("s", "c", bias=False).relu("r", "c")


@network(2)
def batch_norm_then_scale():
    return start().conv("c", "data", 5).batch_norm("b", "c").scale("s", "c").relu("r", "c")


@network(2)
def scale_then_batch_norm():
    return start().conv("c", "data", 5).scale("s", "c").batch_norm("b", "c").relu("r", "c")


@network(4)
def a_longer_run():
    net = start().conv("c", "data", 5, bias=False).batch_norm("b1", "c").scale("s1", "c")
    return net.scale("s2", "c", bias=False).batch_norm("b2", "c").relu("r", "c")


@network(4)
def two_chains_one_after_the_other():
    net = start().conv("c1", "data", 6).batch_norm("b1", "c1").scale("s1", "c1").relu("r1", "c1")
    return net.conv("c2", "c1", 5, 1).batch_norm("b2", "c2").scale("s2", "c2")


# ---------------------------------------------------------------- what it goes into


@network(2)
def conv_with_bias():
    return start().conv("c", "data", 5, bias=True).batch_norm("b", "c").scale("s", "c")


@network(2)
def conv_without_bias():
    return start().conv("c", "data", 5, bias=False).batch_norm("b", "c").scale("s", "c")


@network(2)
def conv_in_groups():
    return start().conv("c", "data", 6, group=2).batch_norm("b", "c").scale("s", "c")


@network(2)
def conv_depthwise():
    return start().conv("c", "data", 4, group=4, bias=False).batch_norm("b", "c").scale("s", "c")


@network(2)
def conv_depthwise_with_two_outputs_a_channel():
    return start().conv("c", "data", 8, group=4).batch_norm("b", "c").scale("s", "c")


@network(2)
def conv_dilated():
    return (
        start()
        .conv("c", "data", 5, words="dilation: 2 pad: 2")
        .batch_norm("b", "c")
        .scale("s", "c")
    )


@network(2)
def conv_with_stride_and_pad():
    return (
        start().conv("c", "data", 5, words="stride: 2 pad: 1").batch_norm("b", "c").scale("s", "c")
    )


@network(2)
def conv_1x1():
    return start().conv("c", "data", 5, 1).batch_norm("b", "c").scale("s", "c")


@network(2)
def conv_with_kernel_h_and_w():
    net = start().conv("c", "data", 5, "kernel_h: 1 kernel_w: 3", spatial=(1, 3))
    return net.batch_norm("b", "c").scale("s", "c")


@network(2)
def conv_not_square_by_repeated_kernel_size():
    net = start().conv("c", "data", 5, "kernel_size: 3 kernel_size: 2", spatial=(3, 2))
    return net.batch_norm("b", "c").scale("s", "c")


@network(2)
def conv_not_square_by_a_list():
    net = start().conv("c", "data", 5, "kernel_size: [3, 2]", spatial=(3, 2))
    return net.batch_norm("b", "c").scale("s", "c")


@network(2, only_pycaffe=True)
def conv_in_one_dimension():
    net = start((2, 4, 9)).conv("c", "data", 5, "kernel_size: 3", spatial=(3,), bias=False)
    return net.batch_norm("b", "c").scale("s", "c")


@network(2, only_pycaffe=True)
def convolution_without_spatial_axes():
    """Caffe runs one on a value of two axes; its weight is a matrix, and a kernel may be given."""
    net = start((3, 4)).conv("c", "data", 6, "", spatial=(), group=2).batch_norm("b", "c")
    return net.relu("r", "c").conv("d", "c", 3, "kernel_size: 1", spatial=()).scale("s", "d")


@network(2, only_pycaffe=True)
def conv_in_three_dimensions():
    net = start((2, 3, 5, 6, 4)).conv("c", "data", 4, "kernel_size: 2", spatial=(2, 2, 2))
    return net.batch_norm("b", "c").scale("s", "c")


@network(2, only_pycaffe=True)
def conv_in_three_dimensions_of_different_kernels():
    words = "kernel_size: 1 kernel_size: 3 kernel_size: 2"
    net = start((2, 3, 5, 6, 4)).conv("c", "data", 4, words, spatial=(1, 3, 2), bias=False)
    return net.batch_norm("b", "c").scale("s", "c")


@network(2)
def inner_product_with_bias():
    return start().inner_product("f", "data", 6, 252).batch_norm("b", "f").scale("s", "f")


@network(2)
def inner_product_without_bias():
    net = start().inner_product("f", "data", 6, 252, bias=False)
    return net.batch_norm("b", "f").scale("s", "f")


@network(2, only_pycaffe=True)
def inner_product_transposed():
    net = start().inner_product("f", "data", 6, 252, transpose=True)
    return net.batch_norm("b", "f").scale("s", "f")


@network(2, only_pycaffe=True)
def inner_product_transposed_without_bias():
    net = start().inner_product("f", "data", 6, 252, transpose=True, bias=False)
    return net.batch_norm("b", "f").scale("s", "f")


@network(2, only_pycaffe=True)
def inner_product_transposed_of_a_square_matrix():
    net = start((2, 6)).inner_product("f", "data", 6, 6, transpose=True)
    return net.batch_norm("b", "f").scale("s", "f")


# ---------------------------------------------------------------- in place or not


@network(2)
def nothing_in_place():
    net = start().conv("c", "data", 5).batch_norm("b", "c", "b").scale("s", "b", "s")
    return net.relu("r", "s", "r")


@network(2)
def batch_norm_in_place_scale_not():
    return start().conv("c", "data", 5).batch_norm("b", "c").scale("s", "c", "s").relu("r", "s")


@network(2)
def batch_norm_not_in_place_scale_in_place():
    return start().conv("c", "data", 5).batch_norm("b", "c", "b").scale("s", "b").relu("r", "b")


@network(2)
def chain_end_is_the_output_of_the_network():
    return start().conv("c", "data", 5).batch_norm("b", "c", "b").scale("s", "b", "result")


@network(2)
def chain_end_has_several_readers():
    net = start().conv("c", "data", 5).batch_norm("b", "c", "b").scale("s", "b", "s")
    net.conv("left", "s", 3, 1, bias=False).relu("right", "s", "right")
    return net.conv("other", "s", 2)


@network(4)
def branches_that_meet():
    net = start().conv("c1", "data", 5, words="pad: 1").batch_norm("b1", "c1").scale("s1", "c1")
    net.conv("c2", "data", 5, 1).batch_norm("b2", "c2", "b2").scale("s2", "b2", "s2")
    net.layer('name: "sum" type: "Eltwise" bottom: "c1" bottom: "s2" top: "sum"')
    net.channels["sum"] = 5
    return net.relu("r", "sum")


# ---------------------------------------------------------------- eps and factor


@network(1)
def factor_one():
    return start().conv("c", "data", 5).batch_norm("b", "c", factor=1.0)


@network(1)
def factor_zero():
    # Means and variances count as 0, whatever is stored; a large eps keeps the outputs small.
    return start().conv("c", "data", 5).batch_norm("b", "c", factor=0.0, words="eps: 0.5")


@network(1)
def eps_as_1e_3():
    return start().conv("c", "data", 5).batch_norm("b", "c", words="eps: 1e-3")


@network(1)
def eps_with_a_trailing_f():
    return start().conv("c", "data", 5).batch_norm("b", "c", words="eps: 1.e-1f")


@network(1)
def eps_large_enough_to_matter():
    return start().conv("c", "data", 5).batch_norm("b", "c", eps=0.7)


@network(1)
def eps_by_default():
    return start().conv("c", "data", 5).batch_norm("b", "c")


@network(2)
def bias_term_false_between_other_fields_on_a_line():
    net = start().conv("c", "data", 5, bias=False, words="pad: 1 stride: 1")
    return net.batch_norm("b", "c").scale("s", "c")


# ---------------------------------------------------------------- forms of files


@network(2)
def use_global_stats_written_true():
    net = start().conv("c", "data", 5).batch_norm("b", "c", words="use_global_stats: true")
    return net.scale("s", "c", words="axis: 1 num_axes: 1")


@network(2, only_pycaffe=True)
def scale_on_axis_minus_three():
    return start().conv("c", "data", 5).batch_norm("b", "c").scale("s", "c", words="axis: -3")


@network(2)
def legacy_inputs():
    net = Model(seed=3)
    net.texts.append('input: "data"\ninput_shape { dim: 2 dim: 4 dim: 9 dim: 7 }\n')
    net.channels["data"] = 4
    return net.conv("c", "data", 5).batch_norm("b", "c").scale("s", "c")
