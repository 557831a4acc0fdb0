"""Which batch norms go where: the algebra, the rewrites, and the edits that follow."""

from bnfold.fold.dialects import AFFINE_TYPES, Reader
from bnfold.fold.driver import Options, fold
from bnfold.fold.plan import Code, EngineChange, Folded, Kept, Plan, Reason
from bnfold.fold.surgery import edit_document, weight_edits

__all__ = [
    "AFFINE_TYPES",
    "Code",
    "EngineChange",
    "Folded",
    "Kept",
    "Options",
    "Plan",
    "Reader",
    "Reason",
    "edit_document",
    "fold",
    "weight_edits",
]
