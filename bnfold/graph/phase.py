"""Which layers of a file run: Caffe's rules of phase, level and stage.

Source: BVLC caffe, src/caffe/net.cpp, `Net::FilterNet` and `Net::StateMeetsRule`.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from bnfold.errors import BnfoldError
from bnfold.graph.params import read_message
from bnfold.prototxt import Message


class Phase(str, Enum):
    """The two ways to run a network; the value is Caffe's spelling."""

    TRAIN = "TRAIN"
    TEST = "TEST"

    @classmethod
    def named(cls, name: Phase | str) -> Phase:
        """The phase of a name.

        Raises:
            BnfoldError: there is no such phase.
        """
        try:
            return cls(name)
        except ValueError:
            raise BnfoldError(f"phase '{name}': must be TEST or TRAIN") from None

    @property
    def number(self) -> int:
        """The number of the phase in Caffe's enum `Phase`."""
        return 0 if self is Phase.TRAIN else 1


def own_phase(layer: Message, phase: Phase) -> Phase:
    """The phase a layer runs in: what its own `phase` field says, else that of the network.

    Source: BVLC caffe, src/caffe/net.cpp, `Net::Init`, "Inherit phase from net if unset".
    """
    field = layer.get("phase")
    if field is None:
        return phase
    return Phase.TRAIN if field.enum({"TRAIN": 0, "TEST": 1}) == 0 else Phase.TEST


class State(NamedTuple):
    """The state a network runs in: its phase, and the level and stages that the file sets."""

    phase: Phase
    level: int = 0
    stages: frozenset[str] = frozenset()

    @classmethod
    def of(cls, root: Message, phase: Phase) -> State:
        """The state of the network in `root` when it is loaded for `phase`."""
        field = root.get("state")
        if field is None:
            return cls(phase)
        state = read_message(field.message(), "NetState")
        return cls(phase, state.level, frozenset(state.stage))

    def runs(self, layer: Message) -> bool:
        """Whether a layer runs in this state, by its `include` and `exclude` rules.

        Raises:
            PrototxtError: a rule has a bad value, or a layer has rules of both kinds.
        """
        include, exclude = layer.all("include"), layer.all("exclude")
        if not include:
            return not any(self._meets(rule.message()) for rule in exclude)
        return any(self._meets(rule.message()) for rule in include)

    def _meets(self, text: Message) -> bool:
        rule = read_message(text, "NetStateRule")
        if rule.HasField("phase") and rule.phase != self.phase.number:
            return False
        if rule.HasField("min_level") and self.level < rule.min_level:
            return False
        if rule.HasField("max_level") and self.level > rule.max_level:
            return False
        return self.stages.issuperset(rule.stage) and self.stages.isdisjoint(rule.not_stage)
