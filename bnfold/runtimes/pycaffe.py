"""pycaffe: Caffe itself, in a child process.

Caffe aborts its process when anything is wrong with a network. A session whose process has died,
by its own fault or another session's, is loaded again into a new one when it is next used.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bnfold.aliases import Array, ArrayShape
from bnfold.import_path import trusted
from bnfold.runtimes.blame import first_bad_layer
from bnfold.runtimes.caffe_log import last_words
from bnfold.runtimes.caffe_process import CaffeProcess, ChildDiedError, ChildRefusedError
from bnfold.runtimes.errors import EngineError, EngineMissingError
from bnfold.runtimes.memory import peak_memory
from bnfold.runtimes.model import Model, check_file, missing_weights
from bnfold.runtimes.protocol import Closing, LayerInfo, Place, checked_feeds

NAME = "pycaffe"
_START_SECONDS = 120.0
_GET = (
    "put the folder `python` of a Caffe that is built on PYTHONPATH, or name Caffe's folder as the "
    "caffe root (a checkout of bnfold builds one: `make pycaffe`); without any, "
    "pip install 'bnfold[opencv]' and the runtime opencv do"
)
_PACKAGES = {"google": "protobuf", "skimage": "scikit-image", "yaml": "pyyaml", "PIL": "pillow"}
"""What to install for a module that Caffe imports, where the names differ."""


class PyCaffe(Closing):
    """The Runtime of whatever `import caffe` finds.

    Args:
        caffe_root: Caffe's folder, or the folder that holds the package `caffe`; it is looked
            into before all others.
        threads: how many threads its linear algebra may use; None for its own default.
        python: the interpreter that Caffe was built for, 3.7 or later; None for this one, which
            then imports from where this process does.

    Raises:
        EngineMissingError: `import caffe` fails.
    """

    name = NAME
    has_fusion = False

    def __init__(
        self,
        caffe_root: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        python: str | None = None,
    ) -> None:
        self._first = _folders(caffe_root)
        self._threads = threads
        self._python = python
        self._closed = False
        self._births = 0
        self._process = self._start()

    def load(
        self, model: Path, weights: Path, *, fusion: bool = False, winograd: bool = False
    ) -> PyCaffeSession:
        """Load a network: see Runtime. Caffe has no fusion and no Winograd to switch on."""
        if fusion or winograd:
            raise EngineError("it has no fusion and no Winograd of its own", engine=NAME)
        return PyCaffeSession(self, Path(model), Path(weights))

    def close(self) -> None:
        """End the child process."""
        self._closed = True
        self._process.close()

    def living(self) -> tuple[CaffeProcess, int]:
        """Return a process that lives and its number, in the order of births."""
        if self._closed:
            raise EngineError("the runtime is closed", engine=NAME)
        if not self._process.alive:
            self._process.close()
            self._process = self._start()
        return self._process, self._births

    def can_load(self, model: Path, weights: Path) -> bool:
        """Whether Caffe lives through loading a network."""
        try:
            self.living()[0].ask("try", model=str(model), weights=str(weights))
        except (ChildDiedError, ChildRefusedError):
            return False
        return True

    def _start(self) -> CaffeProcess:
        python = self._python or sys.executable
        path: list[str] | None = trusted()
        first = self._first
        if self._python:
            # Another interpreter has its own modules; PYTHONPATH, on which Caffe may be, is for it.
            path, first = None, [*first, *trusted(_python_path())]
        try:
            process = CaffeProcess(python, self._threads)
        except OSError as error:
            reason = f"cannot start {python}: {error.strerror}"
            raise EngineMissingError(reason, engine=NAME, advice=_GET) from None
        try:
            found = process.ask("start", timeout=_START_SECONDS, path=path, first=first)
        except ChildRefusedError as error:
            reason = f"`import caffe` fails: {error}"
            raise EngineMissingError(reason, engine=NAME, advice=_advice(error)) from None
        except ChildDiedError as error:
            last = error.log.strip().splitlines()[-1:]
            reason = ": ".join(["`import caffe` fails: its process " + error.status, *last])
            raise EngineMissingError(reason, engine=NAME, advice=_GET) from None
        except BaseException:
            process.close()
            raise
        self.version: str = found["version"]
        self.place: str = found["place"]
        self._births += 1
        return process


class PyCaffeSession(Closing):
    """A network in Caffe: see Session."""

    engine = NAME

    def __init__(self, runtime: PyCaffe, model: Path, weights: Path) -> None:
        self._runtime = runtime
        self._model = model.absolute()
        self._weights = weights.absolute()
        self._subject = str(model)
        self._net = 0
        self._birth = -1
        self._closed = False
        facts = self._load()
        self.inputs: Mapping[str, ArrayShape] = _shapes(facts["inputs"])
        self.outputs: Mapping[str, ArrayShape] = _shapes(facts["outputs"])
        self.layers: Sequence[LayerInfo] = tuple(
            LayerInfo(name, kind, tuple(tops)) for name, kind, tops in facts["layers"]
        )
        self.notes: Sequence[str] = tuple(
            f"{weights}: it has no weights for layer '{name}', and Caffe made some up"
            for name in missing_weights(weights, facts["with_blobs"])
        )

    def run(
        self, feeds: Mapping[str, Array], fetch: Sequence[Place] | None = None
    ) -> dict[Place, Array]:
        """Run the network once: see Session."""
        places: list[Place] = list(self.outputs if fetch is None else fetch)
        arrays = checked_feeds(NAME, feeds, self.inputs)
        process = self._live()
        try:
            values = process.run(self._net, arrays, places)
        except (ChildDiedError, ChildRefusedError) as error:
            raise self._failure(error) from None
        return dict(zip(places, values, strict=True))

    def feed(self, feeds: Mapping[str, Array]) -> None:
        """Set the inputs for `forward` and `profile`: see Session."""
        arrays = checked_feeds(NAME, feeds, self.inputs)
        process = self._live()
        try:
            process.feed(self._net, arrays)
        except (ChildDiedError, ChildRefusedError) as error:
            raise self._failure(error) from None

    def forward(self) -> float:
        """Run the network on what was fed: see Session."""
        return float(self._ask("forward"))

    def profile(self) -> Mapping[str, float]:
        """The seconds of each layer, run one by one: see Session."""
        return {name: float(seconds) for name, seconds in self._ask("profile")}

    def peak_memory(self) -> int | None:
        """The peak of Caffe's process, which all sessions of the runtime share: see Session."""
        return peak_memory(self._live().pid)

    def close(self) -> None:
        """Have Caffe's process let go of the network."""
        if self._closed:
            return
        self._closed = True
        process = self._runtime._process
        if process.alive and self._runtime._births == self._birth:
            try:
                process.ask("drop", net=self._net)
            except (ChildDiedError, ChildRefusedError):
                return

    def _ask(self, do: str) -> Any:
        process = self._live()
        try:
            return process.ask(do, net=self._net)
        except (ChildDiedError, ChildRefusedError) as error:
            raise self._failure(error) from None

    def _live(self) -> CaffeProcess:
        """The process with this network in it, loaded again if it is another than before."""
        if self._closed:
            raise EngineError("the session is closed", engine=NAME, subject=self._subject)
        process, birth = self._runtime.living()
        if birth != self._birth:
            self._load()
            process = self._runtime._process
        return process

    def _load(self) -> dict[str, Any]:
        check_file(self._model, NAME)
        check_file(self._weights, NAME)
        process, birth = self._runtime.living()
        try:
            facts = process.ask("load", model=str(self._model), weights=str(self._weights))
        except (ChildDiedError, ChildRefusedError) as error:
            raise self._failure(error, loading=True) from None
        self._net, self._birth = facts["net"], birth
        return dict(facts)

    def _failure(
        self, error: ChildDiedError | ChildRefusedError, *, loading: bool = False
    ) -> EngineError:
        if isinstance(error, ChildRefusedError):
            return EngineError(str(error), engine=NAME, subject=self._subject)
        words = last_words(error.log)
        reason, layer = words.reason, words.layer
        if reason is None:
            reason = f"Caffe's process {error.status}" + _last_line(error.log)
        elif layer is None and loading and not words.is_unparsed:
            layer = self._blame()
        advice = "try the runtime opencv, or the Caffe that this network is made for"
        if words.is_unparsed:
            advice = "is the file complete? If it is of a Caffe of another kind, " + advice
        return EngineError(
            reason,
            engine=NAME,
            layer=layer,
            subject=self._subject,
            advice=advice if loading else "",
        )

    def _blame(self) -> str | None:
        try:
            model = Model(self._model)
        except EngineError:
            return None
        return first_bad_layer(model, lambda path: not self._runtime.can_load(path, self._weights))


def _advice(error: ChildRefusedError) -> str:
    """What to do where `import caffe` failed: for lack of Caffe or of what it imports."""
    found = re.search(r"No module named '([^'.]+)", str(error))
    if found is None or found[1] in ("caffe", "_caffe"):
        return _GET
    package = _PACKAGES.get(found[1], found[1])
    return f"Caffe is there, and needs the Python package {package}: pip install {package}"


def _python_path() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _folders(root: str | os.PathLike[str] | None) -> list[str]:
    if root is None:
        return []
    folder = Path(root).expanduser().absolute()
    for place in (folder / "python", folder):
        if (place / "caffe").is_dir() or (place / "caffe.py").exists():
            return [str(place)]
    # Another Caffe that happens to be on the path is not the one that was asked for.
    raise EngineMissingError(
        f"there is no Caffe in {root}, neither python/caffe nor caffe", engine=NAME, advice=_GET
    )


def _shapes(pairs: list[Any]) -> dict[str, ArrayShape]:
    return {name: tuple(shape) for name, shape in pairs}


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith("[Thread")]
    return f": {lines[-1]}" if lines else ""
