"""Which batch norms go where: the algebra, the rewrites, and the edits that follow."""

from bnfold.fold.affines.batch_norms import BN_DIALECTS
from bnfold.fold.branches.merge import Branches
from bnfold.fold.channels.dead import DeadChannels
from bnfold.fold.driver import fold
from bnfold.fold.engine import EngineChange
from bnfold.fold.options import MergeOptions
from bnfold.fold.plan import Code, Entry, Fate, Outcome, Plan, Reason
from bnfold.fold.surgery import edit_document, weight_additions, weight_edits

__all__ = [
    "BN_DIALECTS",
    "Branches",
    "Code",
    "DeadChannels",
    "EngineChange",
    "Entry",
    "Fate",
    "MergeOptions",
    "Outcome",
    "Plan",
    "Reason",
    "edit_document",
    "fold",
    "weight_additions",
    "weight_edits",
]
