"""Random networks that Caffe accepts, as text, for shapes and costs."""

from hypothesis import strategies as st

ELEMENTWISE = ("ReLU", "Sigmoid", "TanH", "AbsVal", "BNLL", "Exp", "ELU", "PReLU", "Power", "LRN")
IN_PLACE = ("ReLU", "Sigmoid", "TanH", "Power", "BatchNorm", "Scale", "Bias", "Dropout", "PReLU")
NORMALISING = ("BatchNorm", "Scale", "Bias", "Dropout", "Softmax", "MVN")


class Growing:
    """A network and the shape of each blob, computed here from what numpy would call obvious."""

    def __init__(self, draw, shape):
        self.draw = draw
        dims = " ".join(f"dim: {n}" for n in shape)
        self.texts = [
            f'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}'
        ]
        self.shapes = {"x": tuple(shape)}

    def layer(self, kind, bottoms, shapes, words="", in_place=False):
        """Add a layer; gives the names of its tops."""
        name = f"l{len(self.texts)}"
        tops = [bottoms[0]] if in_place else [f"{name}_{i}" for i in range(len(shapes))]
        ends = "".join(f' bottom: "{b}"' for b in bottoms) + "".join(f' top: "{t}"' for t in tops)
        self.texts.append(f'layer {{ name: "{name}" type: "{kind}"{ends} {words} }}')
        self.shapes.update(zip(tops, shapes, strict=True))
        return tops

    @property
    def text(self):
        return "\n".join(self.texts)

    def pick(self, *choices):
        return self.draw(st.sampled_from(choices))

    def number(self, low, high):
        return self.draw(st.integers(low, high))


def spread(draw, name, low, high, axes, letters=True):
    """A window's field in one of its spellings, and its numbers: ("kernel_h: 1 ...", (1, 2))."""
    values = [draw(st.integers(low, high)) for _ in range(axes)]
    spellings = ["each", "once"] + ["letters"] * (letters and axes == 2)
    spelling = draw(st.sampled_from(spellings))
    short = name.removesuffix("_size")
    if spelling == "letters":
        return f"{short}_h: {values[0]} {short}_w: {values[1]}", tuple(values)
    if spelling == "once":
        return f"{name}: {values[0]}", (values[0],) * axes
    return " ".join(f"{name}: {v}" for v in values), tuple(values)


def convolution(net, bottom, kind="Convolution"):
    """A convolution over one to three spatial axes, in any spelling; gives its top, or None."""
    *outer, channels = net.shapes[bottom][:2]
    lengths = net.shapes[bottom][2:]
    axes = len(lengths)
    fields = [
        spread(net.draw, "kernel_size", 1, 3, axes),
        spread(net.draw, "stride", 1, 3, axes),
        spread(net.draw, "pad", 0, 2, axes),
        spread(net.draw, "dilation", 1, 2, axes, letters=False),
    ]
    written = [fields[0][0], *(text for text, _ in fields[1:] if net.pick(True, False))]
    numbers = [fields[0][1]]
    for (text, values), default in zip(fields[1:], (1, 0, 1), strict=True):
        numbers.append(values if text in written else (default,) * axes)
    found = []
    for n, kernel, stride, pad, dilation in zip(lengths, *numbers, strict=True):
        extent = dilation * (kernel - 1) + 1
        if kind == "Convolution":
            if n + 2 * pad < extent:
                return None
            found.append(len(range(0, n + 2 * pad - extent + 1, stride)))
        else:
            found.append((n - 1) * stride + extent - 2 * pad)
    if min(found) < 1 or max(found) > 40:
        return None
    group = net.pick(*(g for g in (1, 2, 3, channels) if channels % g == 0))
    outputs = group * net.number(1, 3)
    bias = net.pick("", "bias_term: false", "bias_term: true")
    axis = net.pick("", "axis: 1", f"axis: {-axes - 1}")
    words = f"num_output: {outputs} group: {group} {bias} {axis} " + " ".join(written)
    shape = (*outer, outputs, *found)
    return net.layer(kind, [bottom], [shape], f"convolution_param {{ {words} }}")[0]


@st.composite
def networks(draw, size=8):
    """A network of a few layers, whose convolutions and poolings take any numbers Caffe takes."""
    rank = draw(st.sampled_from((3, 4, 4, 4, 5)))
    shape = [draw(st.integers(1, 2)), draw(st.sampled_from((2, 3, 4, 6)))]
    net = Growing(draw, shape + [draw(st.integers(3, 9)) for _ in range(rank - 2)])
    for _ in range(draw(st.integers(1, size))):
        grow(net, draw(st.sampled_from(sorted(net.shapes))))
    return net


def grow(net, bottom):
    shape = net.shapes[bottom]
    kinds = [elementwise, arrange, matrix, combine]
    if len(shape) >= 3 and min(shape) > 0:
        kinds += [convolution, convolution, lambda n, b: convolution(n, b, "Deconvolution")]
    if len(shape) == 4:
        kinds += [pooling, pooling]
    net.draw(st.sampled_from(kinds))(net, bottom)


def elementwise(net, bottom):
    shape = net.shapes[bottom]
    kinds = ELEMENTWISE + NORMALISING if len(shape) == 4 else ELEMENTWISE[:-1]
    # In place only where nothing else reads the name: Caffe refuses to split such a blob.
    in_place = sum(f'bottom: "{bottom}"' in text for text in net.texts) == 0
    kind = net.pick(*kinds)
    in_place &= bottom != "x" and kind in IN_PLACE
    # Caffe's PReLU refuses other ranks.
    if kind == "PReLU" and not 2 <= len(shape) <= 4:
        kind = "ReLU"
    net.layer(kind, [bottom], [shape], in_place=in_place and net.pick(True, False))


def arrange(net, bottom):
    """Layers that move values: their rules restated by means of lists."""
    shape = list(net.shapes[bottom])
    rank = len(shape)
    axis = net.number(0, rank - 1)
    written = net.pick(axis, axis - rank)
    kind = net.pick("Flatten", "Permute", "Slice", "Tile", "Reshape", "Reduction", "ArgMax")
    if kind == "Flatten":
        end = net.number(axis, rank - 1)
        total = 1
        for n in shape[axis : end + 1]:
            total *= n
        words = f"flatten_param {{ axis: {written} end_axis: {net.pick(end, end - rank)} }}"
        net.layer(kind, [bottom], [(*shape[:axis], total, *shape[end + 1 :])], words)
    elif kind == "Permute":
        order = net.draw(st.permutations(range(rank)))
        said = order[: net.number(1, rank)]
        order = [*said, *(i for i in range(rank) if i not in said)]
        words = " ".join(f"order: {i}" for i in said)
        net.layer(kind, [bottom], [tuple(shape[i] for i in order)], f"permute_param {{ {words} }}")
    elif kind == "Slice" and shape[axis] > 1:
        cut = net.number(1, shape[axis] - 1)
        tops = [(*shape[:axis], n, *shape[axis + 1 :]) for n in (cut, shape[axis] - cut)]
        words = f"axis: {written}" if net.pick(True, False) else f"slice_dim: {axis}"
        net.layer(kind, [bottom], tops, f"slice_param {{ {words} slice_point: {cut} }}")
    elif kind == "Tile" and shape[axis] < 20:
        top = (*shape[:axis], 2 * shape[axis], *shape[axis + 1 :])
        net.layer(kind, [bottom], [top], f"tile_param {{ axis: {written} tiles: 2 }}")
    elif kind == "Reshape":
        rest = 1
        for n in shape[axis:]:
            rest *= n
        words = f"shape {{ dim: 1 dim: -1 }} axis: {net.pick(axis, axis - rank - 1)}"
        net.layer(kind, [bottom], [(*shape[:axis], 1, rest)], f"reshape_param {{ {words} }}")
    elif kind == "Reduction" and axis > 0:
        words = f"reduction_param {{ axis: {written} }}"
        net.layer(kind, [bottom], [tuple(shape[:axis])], words)
    elif kind == "ArgMax":
        top = (*shape[:axis], 1, *shape[axis + 1 :])
        net.layer(kind, [bottom], [top], f"argmax_param {{ axis: {written} }}")


def matrix(net, bottom):
    shape = net.shapes[bottom]
    axis = net.number(0, len(shape) - 1)
    outputs = net.number(1, 5)
    words = f"num_output: {outputs} axis: {net.pick(axis, axis - len(shape))}"
    words += net.pick("", " bias_term: false", " transpose: true")
    net.layer(
        "InnerProduct", [bottom], [(*shape[:axis], outputs)], f"inner_product_param {{ {words} }}"
    )


def combine(net, bottom):
    shape = net.shapes[bottom]
    equal = [name for name, other in net.shapes.items() if other == shape]
    others = [net.pick(*equal) for _ in range(net.number(1, 2))]
    bottoms = [bottom, *others]
    if net.pick(True, False):
        words = net.pick("", "operation: PROD", "operation: MAX")
        net.layer("Eltwise", bottoms, [shape], f"eltwise_param {{ {words} }}")
        return
    axis = net.number(0, len(shape) - 1)
    top = (*shape[:axis], shape[axis] * len(bottoms), *shape[axis + 1 :])
    words = net.pick(f"axis: {axis}", f"axis: {axis - len(shape)}", f"concat_dim: {axis}")
    net.layer("Concat", bottoms, [top], f"concat_param {{ {words} }}")


def pooling(net, bottom):
    *outer, height, width = net.shapes[bottom]
    if net.pick(False, False, False, True):
        words = "pool: AVE global_pooling: true"
        net.layer("Pooling", [bottom], [(*outer, 1, 1)], f"pooling_param {{ {words} }}")
        return
    kernels = [net.number(1, 4) for _ in range(2)]
    pads = [net.number(0, k - 1) for k in kernels]
    strides = [net.number(1, 4) for _ in range(2)]
    found = []
    for n, kernel, pad, stride in zip((height, width), kernels, pads, strides, strict=True):
        if n + 2 * pad < kernel:
            return
        # Windows until one reaches the end, and with padding none that begins in it.
        starts = [-pad]
        while starts[-1] + kernel < n + pad:
            starts.append(starts[-1] + stride)
        if any(pads) and starts[-1] >= n:
            starts.pop()
        found.append(len(starts))
    words = f"kernel_h: {kernels[0]} kernel_w: {kernels[1]} "
    words += f"pad_h: {pads[0]} pad_w: {pads[1]} stride_h: {strides[0]} stride_w: {strides[1]}"
    words += net.pick("", " pool: AVE", " pool: MAX")
    net.layer("Pooling", [bottom], [(*outer, *found)], f"pooling_param {{ {words} }}")
