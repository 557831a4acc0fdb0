"""Layers without bottoms: they provide what others read."""

from __future__ import annotations

from bnfold.graph.layer_type import Dialect, LayerType, Question, ShapeRule
from bnfold.graph.net import Layer
from bnfold.graph.source_rules import (
    dummy_data,
    image_data,
    inputs,
    memory_data,
    parameter,
    window_data,
)


def _data(
    name: str,
    shape: ShapeRule | None,
    *messages: str,
    dialect: Dialect = Dialect.BVLC,
    keeps_memory: bool = False,
    is_constant: Question | None = None,
    label: int | None = None,
) -> LayerType:
    return LayerType(
        name,
        dialect,
        is_opaque=name != "Input",
        params=dict.fromkeys(messages),
        is_data=True,
        is_input=name == "Input",
        is_constant=is_constant,
        label=label,
        shape=shape,
        is_free=lambda layer: True,
        keeps_memory=keeps_memory,
    )


def _is_filled_alike(layer: Layer) -> bool:
    """Without a filler it is filled with zeros (dummy_data_layer.cpp, `LayerSetUp`)."""
    fillers = layer.param("dummy_data_param").data_filler
    return all(filler.type == "constant" for filler in fillers)


RECORDS = (
    _data("Input", inputs, "input_param"),
    # Sources: include/caffe/layers/parameter_layer.hpp; `refill_` in dummy_data_layer.cpp;
    # `set_cpu_data` in memory_data_layer.cpp.
    _data(
        "DummyData",
        dummy_data,
        "dummy_data_param",
        keeps_memory=True,
        is_constant=_is_filled_alike,
    ),
    _data(
        "MemoryData",
        memory_data,
        "memory_data_param",
        "transform_param",
        keeps_memory=True,
        label=1,
    ),
    _data(
        "Parameter",
        parameter,
        "parameter_param",
        keeps_memory=True,
        is_constant=lambda layer: True,
    ),
    _data("Data", image_data, "data_param", "transform_param", label=1),
    _data("ImageData", image_data, "image_data_param", "transform_param", label=1),
    _data("HDF5Data", None, "hdf5_data_param"),
    _data("WindowData", window_data, "window_data_param", "transform_param", label=1),
    _data(
        "AnnotatedData",
        image_data,
        "data_param",
        "transform_param",
        "annotated_data_param",
        dialect=Dialect.SSD,
        label=1,
    ),
    _data(
        "DenseImageData",
        image_data,
        "dense_image_data_param",
        "transform_param",
        dialect=Dialect.SEGNET,
        label=1,
    ),
    # Its third top has the sizes of the images (DeepLab's image_seg_data_layer.cpp).
    _data(
        "ImageSegData",
        image_data,
        "image_data_param",
        "transform_param",
        dialect=Dialect.FORKS,
        label=1,
    ),
)
