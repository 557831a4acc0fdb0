"""Reading the records of an LMDB, in the order of their keys.

LMDB's own library maps the file and trusts it: one that is cut off, or has a single damaged number,
ends the process with a signal. Here every page is read by its position and looked at first.

A file is pages of one size. The first two are meta pages, of which the one of the later transaction
counts; it names the root of a B+ tree. A branch page has nodes with the page below, a leaf page has
nodes with key and value; a large value is in overflow pages of its own, which follow each other.
Source: LMDB 0.9, libraries/liblmdb/mdb.c (`MDB_page`, `MDB_node`, `MDB_meta`), on 64 bits.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_HEAD = struct.Struct("<QHHHH")  # number, unused, kind, end of the node offsets, start of the nodes
_NODE = struct.Struct("<HHHH")  # size (low, high), kind, size of the key
_META = struct.Struct("<IIQQ")  # magic, version, address, size of the map
_TREE = struct.Struct("<IHHQQQQQ")  # unused, kind, depth, pages of three kinds, entries, root
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_IN_OVERFLOW = 1
_SMALLEST_PAGE, _LARGEST_PAGE = 256, 1 << 16
_MOST_DEEP = 32
_NO_PAGE = (1 << 64) - 1


class LmdbError(Exception):
    """What is no LMDB, or a damaged one; the message says what is wrong."""


class _Tree(NamedTuple):
    page: int
    depth: int
    entries: int
    root: int
    transaction: int


class LmdbFile:
    """An LMDB that is open for reading. A context manager.

    Attributes:
        entries: how many records it says that it has.
    """

    def __init__(self, path: Path) -> None:
        """Open a file, or the data.mdb of a folder.

        Raises:
            LmdbError: it is none, or damaged.
            OSError: it cannot be read.
        """
        path = path / "data.mdb" if path.is_dir() else path
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        try:
            status = os.fstat(self._fd)
            if not stat.S_ISREG(status.st_mode):
                raise LmdbError("not a regular file")
            self._size = status.st_size
            self._tree = self._newest()
        except BaseException:
            self.close()
            raise
        self.entries = self._tree.entries

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Give key and value of every record. Raises LmdbError at the first damage."""
        if self._tree.root == _NO_PAGE:
            return
        waiting = [(self._tree.root, 1)]
        left = self._size // self._tree.page
        while waiting:
            number, depth = waiting.pop()
            left -= 1
            if left < 0 or depth > min(self._tree.depth, _MOST_DEEP):
                raise LmdbError("its pages go in a circle")
            page = self._at(number * self._tree.page, self._tree.page)
            kind, nodes = self._nodes(page)
            if kind & _LEAF:
                yield from (self._record(page, node) for node in nodes)
            else:
                below = [self._below(page, node) for node in nodes]
                waiting += [(one, depth + 1) for one in reversed(below)]

    def _newest(self) -> _Tree:
        first = self._meta(0)
        if first is None:
            raise LmdbError("it does not begin as an LMDB of 64 bits does")
        second = self._meta(first.page)
        if second is None or second.page != first.page:
            raise LmdbError("its second page is damaged")
        tree = max(first, second, key=lambda one: one.transaction)
        if tree.entries * 8 > self._size:
            raise LmdbError(f"it says that it has {tree.entries} records, in {self._size} bytes")
        return tree

    def _meta(self, start: int) -> _Tree | None:
        size = _HEAD.size + _META.size + 2 * _TREE.size + 16
        data = self._at(start, size)
        magic, version, _, _ = _META.unpack_from(data, _HEAD.size)
        at = _HEAD.size + _META.size
        page = _TREE.unpack_from(data, at)[0]
        _, _, depth, _, _, _, entries, root = _TREE.unpack_from(data, at + _TREE.size)
        _, transaction = struct.unpack_from("<QQ", data, at + 2 * _TREE.size)
        power = page & (page - 1) == 0 and _SMALLEST_PAGE <= page <= _LARGEST_PAGE
        if magic != _MAGIC or version != _VERSION or not power:
            return None
        return _Tree(page, depth, entries, root, transaction)

    def _nodes(self, page: bytes) -> tuple[int, list[int]]:
        """The kind of a page, and where its nodes begin."""
        _, _, kind, lower, _ = _HEAD.unpack_from(page)
        if kind & (_BRANCH | _LEAF) not in (_BRANCH, _LEAF) or not _HEAD.size <= lower <= len(page):
            raise LmdbError("a page is damaged")
        count = (lower - _HEAD.size) // 2
        return kind, list(struct.unpack_from(f"<{count}H", page, _HEAD.size))

    def _head(self, page: bytes, node: int) -> tuple[int, int, int, int]:
        if node + _NODE.size > len(page):
            raise LmdbError("a page is damaged")
        low, high, kind, key = _NODE.unpack_from(page, node)
        return low | high << 16, kind, node + _NODE.size, key

    def _below(self, page: bytes, node: int) -> int:
        size, kind, _, _ = self._head(page, node)
        return size | kind << 32

    def _record(self, page: bytes, node: int) -> tuple[bytes, bytes]:
        size, kind, start, key_size = self._head(page, node)
        data = start + key_size
        end = data + (8 if kind & _IN_OVERFLOW else size)
        if end > len(page) or kind & ~_IN_OVERFLOW:
            raise LmdbError("a record is damaged, or of a kind that image sets do not have")
        key = page[start:data]
        if not kind & _IN_OVERFLOW:
            return key, page[data:end]
        (number,) = struct.unpack_from("<Q", page, data)
        place = number * self._tree.page
        if not _HEAD.unpack(self._at(place, _HEAD.size))[2] & _OVERFLOW:
            raise LmdbError("a record is damaged")
        return key, self._at(place + _HEAD.size, size)

    def _at(self, start: int, size: int) -> bytes:
        if start + size > self._size:
            raise LmdbError("it is cut off, or damaged")
        data = os.pread(self._fd, size, start)
        if len(data) != size:
            raise LmdbError("it became shorter while it was read")
        return data

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> LmdbFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
