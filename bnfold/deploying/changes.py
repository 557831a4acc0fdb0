"""What becomes of one layer of a training definition."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from bnfold.graph import Layer


class Action(str, Enum):
    """What was done to a layer; the value is its word in the reports."""

    INPUT = "input"
    SCORES = "scores"
    REMOVED = "removed"
    RULES = "rules"
    STATISTICS = "statistics"
    IMAGES = "images"


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        action: what was done.
        layer, type, line: the layer, and where it stands in the training definition.
        text: how, and why.
    """

    action: Action
    layer: str
    type: str
    line: int
    text: str

    @classmethod
    def of(cls, action: Action, layer: Layer, text: str) -> Change:
        """A change of a layer."""
        return cls(action, layer.name, layer.written_type, layer.line, text)

    def sentence(self) -> str:
        """The change in one line."""
        return f"{self.action.value} {self.layer} ({self.type}): {self.text}"

    def to_json(self) -> dict[str, Any]:
        """The change as an object of the JSON report."""
        return asdict(self) | {"action": self.action.value}
