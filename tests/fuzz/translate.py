"""What layers and fields of forks compute, in the words of the Caffe that judges.

The same translation is made of the network before and after, so it need not be any real fork's
meaning; it must only be one that a fork could give the words, and that a wrong rewrite shows.

    convolution_param { relu: true }        a ReLU behind (Intel's fork); inner_product_param, too
    dropout_param { scale_train: false }    values shrink by the ratio when the network is used
    pooling_param { pad_mode }              a row and a column more, of zeros
    zz_mode, on any other layer             a TanH behind
    Mystery, MysteryMix                     a Sigmoid; a Softmax over the channels
    BatchNorm of five blobs                 a Scale behind with the last two (NVIDIA's fork)
    BN                                      a Scale with what it comes to
    DepthwiseConvolution and the like       a Convolution
"""

from __future__ import annotations

from typing import Any

import numpy as np

TYPES = {
    "Mystery": "Sigmoid",
    "MysteryMix": "Softmax",
    "MyConvolution": "Convolution",
    "DepthwiseConvolution": "Convolution",
    "ConvolutionDepthwise": "Convolution",
}
FIELDS = {
    "ConvolutionParameter": ("relu",),
    "InnerProductParameter": ("relu",),
    "DropoutParameter": ("scale_train",),
    "PoolingParameter": ("pad_mode",),
    "BNParameter": ("bn_mode",),
    **dict.fromkeys(
        (
            *("EltwiseParameter", "PowerParameter", "ReLUParameter", "TanHParameter"),
            *("ScaleParameter", "BiasParameter"),
        ),
        ("zz_mode",),
    ),
}
_HOLDERS = {
    "Eltwise": "eltwise_param",
    "Power": "power_param",
    "ReLU": "relu_param",
    "TanH": "tanh_param",
    "Scale": "scale_param",
    "Bias": "bias_param",
}


def extended_schema(caffe_pb2: Any) -> Any:
    """The class of a NetParameter that also has the fields of FIELDS."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto()
    caffe_pb2.DESCRIPTOR.CopyToProto(file)
    for message in file.message_type:
        for number, name in enumerate(FIELDS.get(message.name, ())):
            field = message.field.add(name=name, number=1000 + number)
            field.label = field.LABEL_OPTIONAL
            field.type = field.TYPE_BOOL if name in ("relu", "scale_train") else field.TYPE_INT32
            if name == "bn_mode":
                field.type, field.type_name = field.TYPE_ENUM, ".caffe.FuzzMode"
    mode = file.enum_type.add(name="FuzzMode")
    mode.value.add(name="LEARN", number=0)
    mode.value.add(name="INFERENCE", number=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


class Translator:
    """Translates pairs of files; `caffe_pb2` is the schema of the Caffe that judges."""

    def __init__(self, caffe_pb2: Any) -> None:
        self._net = extended_schema(caffe_pb2)
        self._weights = caffe_pb2.NetParameter

    def __call__(self, text: bytes, weights: bytes) -> tuple[str, bytes]:
        """The prototxt and the caffemodel as this Caffe can read them."""
        from google.protobuf import text_format

        net = text_format.Parse(text.decode(), self._net())
        stored = self._weights.FromString(weights)
        records = {record.name: record for record in stored.layer}
        layers = list(net.layer)
        del net.layer[:]
        for layer in layers:
            for translated in self._layer(layer, records.get(layer.name), stored):
                net.layer.add().CopyFrom(translated)
        return text_format.MessageToString(net), stored.SerializeToString()

    def _layer(self, layer: Any, record: Any, stored: Any) -> list[Any]:
        kind, behind = layer.type, []
        layer.type = TYPES.get(kind, kind)
        if layer.convolution_param.relu or layer.inner_product_param.relu:
            behind.append(self._new("ReLU", layer, "relu"))
        holder = _HOLDERS.get(kind)
        if holder and getattr(layer, holder).HasField("zz_mode"):
            behind.append(self._new("TanH", layer, "tanh"))
            getattr(layer, holder).ClearField("zz_mode")
        if kind == "Dropout" and layer.dropout_param.HasField("scale_train"):
            shrunk = self._new("Power", layer, "shrunk")
            shrunk.power_param.scale = 1 - layer.dropout_param.dropout_ratio
            behind.append(shrunk)
        for name in ("convolution_param", "inner_product_param", "dropout_param"):
            if layer.HasField(name):
                for field in ("relu", "scale_train"):
                    if field in getattr(layer, name).DESCRIPTOR.fields_by_name:
                        getattr(layer, name).ClearField(field)
        if kind == "BatchNorm" and record is not None and len(record.blobs) == 5:
            behind.append(self._affine(layer, record, stored))
        if kind == "BN":
            self._plain_scale(layer, record)
        if kind == "Pooling" and layer.pooling_param.HasField("pad_mode"):
            layer.pooling_param.ClearField("pad_mode")
            return [self._padded(layer), layer, *behind]
        return [layer, *behind]

    def _new(self, kind: str, layer: Any, word: str) -> Any:
        made = type(layer)(name=f"{layer.name}//{word}", type=kind)
        made.bottom.append(layer.top[0])
        made.top.append(layer.top[0])
        made.include.extend(layer.include)
        made.exclude.extend(layer.exclude)
        return made

    def _padded(self, layer: Any) -> Any:
        made = type(layer)(name=f"{layer.name}//padded", type="Pad")
        made.bottom.append(layer.bottom[0])
        made.top.append(f"{layer.name}//padded")
        layer.bottom[0] = f"{layer.name}//padded"
        made.pad_param.pad_d = made.pad_param.pad_r = 1
        return made

    def _affine(self, layer: Any, record: Any, stored: Any) -> Any:
        made = self._new("Scale", layer, "affine")
        made.scale_param.bias_term = True
        target = stored.layer.add(name=made.name)
        target.blobs.extend(record.blobs[3:])
        del record.blobs[3:]
        return made

    def _plain_scale(self, layer: Any, record: Any) -> None:
        values = [_values(blob) for blob in record.blobs]
        scale, shift = values[:2]
        if len(values) == 4:
            eps = layer.bn_param.eps if layer.bn_param.HasField("eps") else 1e-5
            scale = scale / np.sqrt(values[3] + eps)
            shift = shift - values[2] * scale
        layer.type = "Scale"
        layer.ClearField("bn_param")
        layer.scale_param.bias_term = True
        del record.blobs[:]
        for array in (scale, shift):
            blob = record.blobs.add()
            blob.shape.dim.append(array.size)
            blob.data.extend(array.tolist())


def _values(blob: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(blob.double_data or blob.data, np.float64)
