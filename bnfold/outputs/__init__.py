"""Output files that appear whole or not at all: all that a command writes, or none of it.

    with Outputs() as outputs:
        outputs.claim([model, weights], inputs, force)
        outputs.write(model, text)
        with outputs.open(weights) as descriptor:
            ...

Every command settles what a killed one left before it reads files: `settle`. What is guaranteed
is written down in docs/guarantees.md.
"""

from .commit import settle
from .json_document import json_document
from .recorded import Recorded, described, document, recorded
from .run import Run
from .writing import Outputs

__all__ = [
    "Outputs",
    "Recorded",
    "Run",
    "described",
    "document",
    "json_document",
    "recorded",
    "settle",
]
