"""A lossless reader and editor of protobuf text format.

It needs no schema: every field is kept, known or not, and typed when it is read. Edits are spans of
the original text, so what no edit touches comes out byte for byte as it went in.
"""

from .document import Document, load, parse
from .errors import PrototxtError
from .scalars import Ident
from .tree import Field, Message, Scalar

__all__ = [
    "Document",
    "Field",
    "Ident",
    "Message",
    "PrototxtError",
    "Scalar",
    "load",
    "parse",
]
