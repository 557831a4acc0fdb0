"""What a run was told, and what it read and wrote: the header of every JSON report.

A report that lies in an archive must say of which files it speaks, and what made it. So it names
each file with its SHA-256 digest, the version, every option and the platform.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from .hidden import Stamp

_BUFFER = 1 << 20


def told(**options: Any) -> dict[str, Any]:
    """Options of any kind as values that JSON has, by name.

    An object of options is a mapping of its fields; numbers that are no floats (Decimal, Fraction)
    and paths are text.
    """
    return {name: _plain(value) for name, value in options.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(_plain, value))
    if isinstance(value, Iterable):
        return [_plain(one) for one in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


class Content(NamedTuple):
    """What a regular file held when it was read: its stamp and its SHA-256 digest."""

    stamp: Stamp
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Content | None:
        """Read a file; None where it is no regular file, cannot be read, or changes meanwhile."""
        import hashlib  # brings OpenSSL along, 9 ms in a command of 300

        digest = hashlib.sha256()
        try:
            # Opening a pipe would wait for somebody to write to it.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    return None
                while piece := file.read(_BUFFER):
                    digest.update(piece)
                stamp = Stamp.of(os.fstat(file.fileno()))
        except (OSError, ValueError):
            return None
        return cls(stamp, digest.hexdigest()) if stamp == Stamp.of(status) else None


@dataclass(frozen=True)
class File:
    """A file that a run reads or writes.

    Attributes:
        path: its name.
        stamp: what tells it from another of that name; None where it is no regular file.
        pending: where its content is until it takes its name, if it has not yet.
    """

    path: Path
    stamp: Stamp | None
    pending: Path | None = None

    @classmethod
    def of(cls, path: Path, pending: Path | None = None) -> File:
        """A file as it is now."""
        try:
            status = (pending or path).stat()
        except (OSError, ValueError):
            return cls(path, None)
        return cls(path, Stamp.of(status) if stat.S_ISREG(status.st_mode) else None, pending)

    @cached_property
    def sha256(self) -> str | None:
        """The digest in hexadecimal; None where it is no regular file, or has changed since."""
        if self.stamp is None:
            return None
        found = (Content.of(place) for place in (self.pending, self.path) if place is not None)
        return next((one.sha256 for one in found if one and one.stamp == self.stamp), None)

    def to_json(self) -> dict[str, Any]:
        """The path, the size in bytes and the digest."""
        size = None if self.stamp is None else self.stamp.size
        return {"path": str(self.path), "bytes": size, "sha256": self.sha256}


@dataclass(frozen=True)
class Run:
    """What a run was told, and the files that it read and wrote.

    Attributes:
        options: every option by its name, as values that JSON has.
        inputs: files and folders that were read.
        outputs: files that were written, but for reports.
    """

    options: Mapping[str, Any]
    inputs: tuple[File, ...]
    outputs: tuple[File, ...] = ()

    def wrote(self, outputs: Iterable[File]) -> Run:
        """This run with its outputs."""
        return replace(self, outputs=tuple(outputs))

    def to_json(self) -> dict[str, Any]:
        """The object under `run` in every JSON report."""
        from bnfold import __version__

        return {
            "version": __version__,
            "options": dict(self.options),
            "platform": platform(),
            "inputs": [file.to_json() for file in self.inputs],
            "outputs": [file.to_json() for file in self.outputs],
        }


def platform() -> dict[str, str]:
    """Python, the system and the libraries that compute, with their versions."""
    import platform as this

    import numpy as np
    from google import protobuf

    return {
        "python": this.python_version(),
        "system": this.platform(),
        "machine": this.machine(),
        "numpy": np.__version__,
        "protobuf": protobuf.__version__,
    }
