"""The network as it executes in a phase: layers, values, who writes and reads what."""

from bnfold.graph.axes import Shape
from bnfold.graph.build import NotProducedError, build
from bnfold.graph.cost import Cost, NetworkCost, layer_cost, network_cost
from bnfold.graph.judges import is_judge, loss_weight
from bnfold.graph.layer_type import AffineForm, ChannelRole, Ending, LayerType, Layout, Passes
from bnfold.graph.layer_types import LAYER_TYPES, record_of
from bnfold.graph.memory import Memory
from bnfold.graph.net import Layer, Net, ParamValue, Value
from bnfold.graph.phase import Phase, own_phase
from bnfold.graph.shapes import infer_shapes
from bnfold.graph.trust import untrusted

__all__ = [
    "LAYER_TYPES",
    "AffineForm",
    "ChannelRole",
    "Cost",
    "Ending",
    "Layer",
    "LayerType",
    "Layout",
    "Memory",
    "Net",
    "NetworkCost",
    "NotProducedError",
    "ParamValue",
    "Passes",
    "Phase",
    "Shape",
    "Value",
    "build",
    "infer_shapes",
    "is_judge",
    "layer_cost",
    "loss_weight",
    "network_cost",
    "own_phase",
    "record_of",
    "untrusted",
]
