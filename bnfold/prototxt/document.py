"""A prototxt file: its text, its tree and the edits made to it."""

import os
import stat

from .edits import Edits
from .errors import PrototxtError
from .parse import parse_source
from .source import Source
from .style import Value
from .tree import Field, Message

_SNIFFED = 1 << 16
_PIPED = 1 << 26
_PIPES = ("/dev/fd/", "/proc/self/fd/")
_MOST_BYTES = (1 << 31) - 1
_START = 512


class Document:
    """A parsed file that can be edited.

    The tree under `root` keeps describing the text as it was read; edits are recorded and take
    effect in `render`.
    """

    def __init__(self, source: Source, root: Message) -> None:
        self.path = source.path
        self.text = source.text
        self.root = root
        self._source = source
        self._edits = Edits(root)

    def error(self, place: Field | Message, reason: str) -> PrototxtError:
        """Build, without raising it, an error at the place of a field or message.

        Args:
            place: what the error is about.
            reason: what is wrong and what to do about it.
        """
        return PrototxtError(self.path, place.line, place.column, reason)

    def remove(self, field: Field) -> None:
        """Take a field out, with its lines and the comments that belong to it alone.

        Removing a field twice is the same as once, and edits within it no longer matter.

        Raises:
            ValueError: the field is not of this document.
        """
        self._edits.remove(field)

    def replace(self, field: Field, value: str | int | float) -> None:
        """Give a scalar field another value; the last replacement counts.

        Args:
            field: the field, which keeps its place and name.
            value: str for a quoted string (in the kind of quotes the old value has), Ident for a
                bare word, or a bool, int or float; a float is written as a float32.

        Raises:
            PrototxtError: the field is a message.
            ValueError: the field is not of this document.
            TypeError: the value is no scalar.
        """
        self._edits.replace(field, value)

    def rename(self, field: Field, name: str) -> None:
        """Give a field another name; its value stays as it is written, and the last name counts.

        Args:
            field: the field, which is no element of a bracketed list.
            name: its new name.

        Raises:
            ValueError: the field is not of this document, is an element of a list, or the name
                cannot be written.
        """
        self._edits.rename(field, name)

    def add(
        self,
        message: Message,
        name: str,
        value: Value,
        *,
        after: Field | None = None,
    ) -> None:
        """Add a field, written the way its neighbours are.

        Without `after` it comes after the last field of the same name, or else at the
        end of the message. Fields added at one place come out in the order of the calls. A field
        that is added next to an element of a bracketed list of the same name becomes an element.

        Args:
            message: where to add; `root` for a field of the file.
            name: the new field's name.
            value: a scalar as in `replace`, or a sequence of (name, value) pairs for a message.
            after: the field of the message to come after.

        Raises:
            ValueError: `after` is not a field of the message, or the name or value cannot be
                written.
            TypeError: the value is of a kind that text format does not know.
        """
        self._edits.add(message, name, value, after=after)

    def render(self) -> str:
        """Return the text with all edits applied; the very text if there are none."""
        return self._edits.render()

    def to_bytes(self) -> bytes:
        """Return the rendered text in the encoding it was loaded from, byte for byte."""
        return self.render().encode("utf-8", "surrogateescape")


def parse(text: str, path: str = "<text>") -> Document:
    """Parse a text.

    Args:
        text: text format.
        path: the name that errors give to the text.

    Raises:
        PrototxtError: the text is not text format.
    """
    source = Source(text, path)
    return Document(source, parse_source(source))


def load(path: str | os.PathLike[str]) -> Document:
    """Read and parse a file; bytes that are not UTF-8 survive.

    Args:
        path: the file.

    Raises:
        OSError: the file cannot be read.
        PrototxtError: it is not text, or not text format.
    """
    name = os.fspath(path)
    with open(name, "rb", opener=_opener) as file:
        size = os.fstat(file.fileno()).st_size
        is_piped = _is_piped(file.fileno(), name)
        data = file.read(_SNIFFED)
        # Look before reading on: what is given by mistake is often a large weights file.
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise PrototxtError(name, 1, 1, "this is UTF-16 text; save it as UTF-8")
        if b"\0" not in data and size > _MOST_BYTES:
            reason = f"the file has {size} bytes, and no prototxt has 2 GiB; give the right file"
            raise PrototxtError(name, 1, 1, reason)
        if b"\0" not in data:
            data += file.read(_PIPED if is_piped else -1)
        if is_piped and len(data) > _PIPED:
            reason = f"more than {_PIPED >> 20} MiB come out of this pipe; give a file"
            raise PrototxtError(name, 1, 1, reason)
    if b"\0" in data:
        reason = "this is not text but a binary file; give the .prototxt, not the .caffemodel"
        raise PrototxtError(name, 1, 1, reason)
    stranger = _stranger(data)
    if stranger:
        raise PrototxtError(name, 1, 1, stranger)
    return parse(data.decode("utf-8", "surrogateescape"), name)


def _opener(name: str, flags: int) -> int:
    # Opening a pipe would wait for its other end.
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _is_piped(descriptor: int, name: str) -> bool:
    """Whether this is what a shell's `<(...)` stands for: somebody writes, and will end.

    Raises:
        PrototxtError: it is another pipe, or a device.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return False
    if not stat.S_ISFIFO(mode) or not name.startswith(_PIPES):
        raise PrototxtError(name, 1, 1, "this is a pipe or a device; give a regular file")
    os.set_blocking(descriptor, True)
    return True


def _stranger(data: bytes) -> str:
    """What text is that is no network, and what to do; "" if nothing shows that."""
    start = data[:_START].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        return "this is a Git LFS pointer; fetch the file with `git lfs pull`"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "this is a web page, not a prototxt; download the file again"
    return ""
