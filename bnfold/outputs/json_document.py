"""The JSON documents that bnfold writes and prints."""

from __future__ import annotations

import codecs
from typing import Any

from bnfold.printable import printable


def json_document(content: dict[str, Any]) -> bytes:
    """A JSON document in ASCII.

    Names stand in it as they are in the file. JSON has no way to write a byte that is no UTF-8: it
    becomes the four characters that `printable` makes of it, such as \\xe9.
    """
    import json

    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return text.encode("ascii", "bnfold-json")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    import json

    assert isinstance(error, UnicodeEncodeError)
    run = error.object[error.start : error.end]
    lone = (json.dumps(printable(one) if "\ud800" <= one <= "\udfff" else one) for one in run)
    return "".join(text[1:-1] for text in lone), error.end


codecs.register_error("bnfold-json", _escaped)
