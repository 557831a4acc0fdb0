"""The network as it executes in a phase: layers, values, who writes and reads what."""

from bnfold.graph.build import build
from bnfold.graph.net import Layer, Net, ParamValue, Value
from bnfold.graph.phase import Phase
from bnfold.graph.shapes import infer_shapes

__all__ = ["Layer", "Net", "ParamValue", "Phase", "Value", "build", "infer_shapes"]
