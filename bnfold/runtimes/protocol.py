"""What every engine can do, and the few small types that pass between engines and their users."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import numpy as np

from bnfold.aliases import Array, ArrayShape
from bnfold.runtimes.errors import EngineError


class Top(NamedTuple):
    """What a layer wrote, at the moment it had written it.

    An in-place layer overwrites the name of a blob, but not this address: `Top("conv1")` is the
    convolution's own result even where a BatchNorm and a ReLU work in place on it.
    """

    layer: str
    number: int = 0


Place = str | Top
"""Where to read a value. A blob's name stands for what the last layer that writes it leaves."""


@dataclass(frozen=True)
class LayerInfo:
    """A layer as the engine runs it: its name, Caffe's type, and the names of its tops."""

    name: str
    type: str
    tops: tuple[str, ...]


@dataclass(frozen=True)
class RuntimeInfo:
    """Whether an engine can be used here.

    Attributes:
        name: "opencv" or "pycaffe".
        version: the engine's version; None if it was not found.
        found: whether it can load Caffe models.
        detail: where it is, or why it cannot be used and how to get it, in one line.
    """

    name: str
    version: str | None
    found: bool
    detail: str


class Session(Protocol):
    """A loaded network. Close it, or use it as a context manager.

    Every method raises EngineError where the engine fails. A session can be used again after that.

    Attributes:
        engine: the engine's name.
        inputs: the network's inputs and their shapes in the file; () where the file has none.
        outputs: the network's outputs and their shapes for inputs of those shapes; () if unknown.
        layers: the layers in the order they run, without inputs and what the engine adds itself.
        notes: what a user should know about the load, each in one line: weights that are missing
            from the file, say, where the engine does not refuse to go on.
    """

    engine: str
    inputs: Mapping[str, ArrayShape]
    outputs: Mapping[str, ArrayShape]
    layers: Sequence[LayerInfo]
    notes: Sequence[str]

    def run(
        self, feeds: Mapping[str, Array], fetch: Sequence[Place] | None = None
    ) -> dict[Place, Array]:
        """Run the network once.

        Args:
            feeds: an array for each input, of any real dtype; the engine computes in float32. The
                shape may differ from the file's, in the batch size or where the network allows it.
            fetch: which values to return; None for the network's outputs, by name.

        Returns:
            What was asked for, by the place as it was given: float32 arrays, the caller's to keep.

        Raises:
            EngineError: an input is missing or unknown, a place is unknown, or the engine fails.
        """
        ...

    def feed(self, feeds: Mapping[str, Array]) -> None:
        """Set the inputs for `forward` and `profile`; they stay until the next feed or run."""
        ...

    def forward(self) -> float:
        """Run the network on what was fed, and return the seconds of the engine's forward alone.

        They are measured beside the engine: setting inputs, fetching results and talking to
        another process are not in them. Every call computes the same function of what was fed,
        also where a layer works in place on an input.
        """
        ...

    def profile(self) -> Mapping[str, float] | None:
        """Run the network on what was fed, and return the seconds of each layer by its name.

        A layer that the engine merged into another counts 0. None where an engine has no profile.
        """
        ...

    def peak_memory(self) -> int | None:
        """The peak resident memory, so far, of the process that runs this network, in bytes.

        It covers everything in that process. None where the system does not tell.
        """
        ...

    def close(self) -> None:
        """Let go of the network. Closing twice is the same as once."""
        ...

    def __enter__(self) -> Session: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Runtime(Protocol):
    """An engine that can run networks. Close it, or use it as a context manager.

    Attributes:
        name: "opencv" or "pycaffe".
        version: the engine's version.
        has_fusion: whether `fusion` and `winograd` mean something to it.
    """

    name: str
    version: str
    has_fusion: bool

    def load(
        self, model: Path, weights: Path, *, fusion: bool = False, winograd: bool = False
    ) -> Session:
        """Load a network in TEST phase, and make sure that the engine can run it.

        Sessions of one runtime share a process, and may be used in turns.

        Args:
            model: the prototxt.
            weights: the caffemodel.
            fusion: let the engine merge layers on its own.
            winograd: let the engine use Winograd's convolutions, which round more.

        Raises:
            EngineError: the files or the network are not what this engine can take.
        """
        ...

    def close(self) -> None:
        """Let go of the engine and of its sessions. Closing twice is the same as once."""
        ...

    def __enter__(self) -> Runtime: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Closing(ABC):
    """A context manager that ends with `close`."""

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held."""


def checked_feeds(
    engine: str, feeds: Mapping[str, Array], inputs: Mapping[str, ArrayShape]
) -> dict[str, Array]:
    """Return the feeds as contiguous float32 arrays, in the order of the inputs.

    Raises:
        EngineError: an input is missing, a feed is no input, or an array is empty or holds
            no numbers.
    """
    if unknown := [name for name in feeds if name not in inputs]:
        known = ", ".join(f"'{name}'" for name in inputs) or "none"
        raise EngineError(f"no input is named '{unknown[0]}'; there are: {known}", engine=engine)
    arrays = {}
    for name in inputs:
        if name not in feeds:
            raise EngineError(f"nothing was fed to the input '{name}'", engine=engine)
        array = np.asarray(feeds[name])
        if array.dtype.kind not in "fiub":
            raise EngineError(f"input '{name}' got an array of {array.dtype}", engine=engine)
        if not array.size:
            raise EngineError(f"input '{name}' got an empty array {array.shape}", engine=engine)
        arrays[name] = np.ascontiguousarray(array, np.float32).reshape(array.shape)
    return arrays
