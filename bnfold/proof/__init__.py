"""Whether two networks are one function, proved from their files.

No engine runs, and every coefficient is looked at. The package is a second opinion: it reads the
two pairs of files by itself, from its own statement of what each layer computes (docs/proof.md),
and imports nothing of what makes folded networks.
"""

from bnfold.proof.affines import Pixels, Reading
from bnfold.proof.folded import Ending, Findings, Step
from bnfold.proof.prove import attempt

__all__ = ["Ending", "Findings", "Pixels", "Reading", "Step", "attempt"]
