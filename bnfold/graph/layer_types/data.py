"""Layers without bottoms: they provide what others read."""

from __future__ import annotations

from bnfold.graph.layer_type import Dialect, LayerType, ShapeRule
from bnfold.graph.source_rules import dummy_data, image_data, inputs, memory_data, parameter


def _data(
    name: str,
    shape: ShapeRule | None,
    *messages: str,
    dialect: Dialect = Dialect.BVLC,
    keeps_memory: bool = False,
) -> LayerType:
    return LayerType(
        name,
        dialect,
        is_opaque=name != "Input",
        params=dict.fromkeys(messages),
        is_data=True,
        is_input=name == "Input",
        shape=shape,
        is_free=lambda layer: True,
        keeps_memory=keeps_memory,
    )


RECORDS = (
    _data("Input", inputs, "input_param"),
    # Sources: include/caffe/layers/parameter_layer.hpp; `refill_` in dummy_data_layer.cpp;
    # `set_cpu_data` in memory_data_layer.cpp.
    _data("DummyData", dummy_data, "dummy_data_param", keeps_memory=True),
    _data("MemoryData", memory_data, "memory_data_param", "transform_param", keeps_memory=True),
    _data("Parameter", parameter, "parameter_param", keeps_memory=True),
    _data("Data", image_data, "data_param", "transform_param"),
    _data("ImageData", image_data, "image_data_param", "transform_param"),
    _data("HDF5Data", None, "hdf5_data_param"),
    _data("WindowData", None, "window_data_param", "transform_param"),
    _data(
        "AnnotatedData",
        image_data,
        "data_param",
        "transform_param",
        "annotated_data_param",
        dialect=Dialect.SSD,
    ),
    _data(
        "DenseImageData",
        image_data,
        "dense_image_data_param",
        "transform_param",
        dialect=Dialect.SEGNET,
    ),
)
