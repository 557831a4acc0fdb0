"""OpenCV 4's dnn module, in this process.

What OpenCV does to a Caffe network, and what this file does about it (all measured with 4.14):

- It runs the layers of every phase: those of other phases are taken out of the text it gets.
- It splits a Slice into as many parts as are read, and refuses an input that nobody reads beside
  one that is read: whatever nobody reads gets a reader.
- It calls a Convolution by its top's name where that is not the layer's own: names are translated.
- It may overwrite a top, other than a layer's first, before it can be fetched: such a top is
  fetched in a pass that ends at its layer.
- It builds layers in the first pass: `load` makes one, to find errors early.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bnfold.aliases import Array, ArrayShape
from bnfold.runtimes.blame import first_bad_layer
from bnfold.runtimes.errors import EngineError, EngineMissingError
from bnfold.runtimes.fitting import check_fit
from bnfold.runtimes.memory import peak_memory
from bnfold.runtimes.model import Model, check_file, missing_weights
from bnfold.runtimes.opencv_log import as_written, failure, overheard, quiet
from bnfold.runtimes.protocol import Closing, LayerInfo, Place, Top, checked_feeds

NAME = "opencv"
_GET = "pip install 'bnfold[opencv]' (OpenCV 4)"
_ADVICE = "try the runtime pycaffe, with the Caffe that this network is made for"


def import_cv2() -> Any:
    """Return the module cv2.

    Raises:
        EngineMissingError: there is none, or one that cannot read Caffe models.
    """
    try:
        import cv2
    except ImportError as error:
        raise EngineMissingError(f"`import cv2` fails: {error}", engine=NAME, advice=_GET) from None
    if not hasattr(getattr(cv2, "dnn", None), "readNetFromCaffe"):
        version = getattr(cv2, "__version__", "")
        raise EngineMissingError(
            f"OpenCV {version} cannot read Caffe models, version 5 dropped that", engine=NAME,
            advice=_GET,
        )  # fmt: skip
    return cv2


class OpenCV(Closing):
    """The Runtime of OpenCV 4.

    Args:
        threads: how many threads it may use, in the whole process; None to leave that alone.

    Raises:
        EngineMissingError: OpenCV 4 is not installed.
    """

    name = NAME
    has_fusion = True

    def __init__(self, threads: int | None = None) -> None:
        self._cv2 = import_cv2()
        self.version = str(self._cv2.__version__)
        self.place = str(Path(self._cv2.__file__).parent)
        self._threads = threads

    def load(
        self, model: Path, weights: Path, *, fusion: bool = False, winograd: bool = False
    ) -> OpenCVSession:
        """Load a network: see Runtime."""
        self.use_threads()
        return OpenCVSession(self, Path(model), Path(weights), fusion, winograd)

    def use_threads(self) -> None:
        """Set the number of threads, which another part of the process may have changed."""
        if self._threads is not None:
            self._cv2.setNumThreads(self._threads)

    def close(self) -> None:
        """Nothing to do: there is no engine to end."""


class OpenCVSession(Closing):
    """A network in OpenCV: see Session."""

    engine = NAME
    notes: Sequence[str] = ()

    def __init__(
        self, runtime: OpenCV, model: Path, weights: Path, fusion: bool, winograd: bool
    ) -> None:
        self._runtime = runtime
        self._cv2 = runtime._cv2
        self._model_path, self._weights = model, weights
        self._switches = (fusion, winograd)
        check_file(model, NAME)
        check_file(weights, NAME)
        self._model = Model(model)
        self.inputs: Mapping[str, ArrayShape] = self._model.inputs
        self.layers: Sequence[LayerInfo] = self._model.layers
        self._feeds: dict[str, Array] | None = None
        if not self.inputs:
            raise EngineError(
                "the network declares no inputs (its data layers belong to training)",
                engine=NAME,
                subject=str(model),
                advice="give the deploy prototxt",
            )
        self._ends = {
            self._model.outputs[name]: reader
            for name, reader in _ends(self._model).items()
            if name in self._model.outputs
        }
        check_fit(self._model.net, model, weights, NAME)
        self._net: Any = self._read()
        with self._engine():
            self._names = _names(self._model, self._net.getLayerNames())
        self.outputs: Mapping[str, ArrayShape] = self._try()

    def run(
        self, feeds: Mapping[str, Array], fetch: Sequence[Place] | None = None
    ) -> dict[Place, Array]:
        """Run the network once: see Session."""
        self._feeds = None
        arrays = checked_feeds(NAME, feeds, self.inputs)
        places: list[Place] = list(self.outputs if fetch is None else fetch)
        tops = [self._locate(place) for place in places]
        with self._engine(arrays):
            self._set(arrays)
            values = self._fetch(tops, arrays)
        return {place: values[top] for place, top in zip(places, tops, strict=True)}

    def feed(self, feeds: Mapping[str, Array]) -> None:
        """Set the inputs for `forward` and `profile`: see Session."""
        self._feeds = checked_feeds(NAME, feeds, self.inputs)

    def forward(self) -> float:
        """Run the network on what was fed: see Session."""
        if self._feeds is None:
            raise EngineError("nothing was fed to the network", engine=NAME)
        names = self._output_names()
        with self._engine(self._feeds):
            self._set(self._feeds)
            start = time.perf_counter()
            self._net.forward(names)
            return time.perf_counter() - start

    def profile(self) -> Mapping[str, float]:
        """The seconds of each layer: see Session. Source: cv2's `Net.getPerfProfile`."""
        self.forward()
        _, ticks = self._net.getPerfProfile()
        seconds = np.asarray(ticks, np.float64).ravel() / self._cv2.getTickFrequency()
        measured = dict(zip(self._net.getLayerNames(), map(float, seconds), strict=False))
        return {layer.name: measured.get(self._names[layer.name], 0.0) for layer in self.layers}

    def peak_memory(self) -> int | None:
        """The peak of this whole process: see Session."""
        return peak_memory()

    def close(self) -> None:
        """Let go of the network."""
        self._net = None
        self._feeds = None

    def _read(self) -> Any:
        """Read the files; no forward pass may come before the switches are set.

        OpenCV computes wrong numbers when fusion is switched off after a pass (measured).
        """
        with self._engine(), overheard(self._cv2):
            return self._read_model(self._model)

    def _read_model(self, model: Model) -> Any:
        ends = _ends(model)
        if model.outside or ends:
            with as_written(model.text(ends=ends)) as path:
                return self._read_text(path)
        return self._read_text(model.path)

    def _read_text(self, path: Path) -> Any:
        net = self._cv2.dnn.readNetFromCaffe(str(path), str(self._weights))
        fusion, winograd = self._switches
        net.enableFusion(fusion)
        if hasattr(net, "enableWinograd"):  # Since 4.7; there was no Winograd to switch off before.
            net.enableWinograd(winograd)
        return net

    def _try(self) -> dict[str, ArrayShape]:
        """Run the network on zeros, if its shapes are known, and return those of the outputs."""
        if not all(self.inputs.values()):
            return dict.fromkeys(self._model.outputs, ())
        tops = {name: self._locate(name) for name in self._model.outputs}
        with self._engine():
            zeros = {name: np.zeros(shape, np.float32) for name, shape in self.inputs.items()}
        with self._engine(zeros), overheard(self._cv2):
            self._set(zeros)
            values = self._fetch(list(tops.values()), zeros)
        return {name: values[top].shape for name, top in tops.items()}

    def _set(self, arrays: Mapping[str, Array]) -> None:
        self._runtime.use_threads()
        for name, array in arrays.items():
            self._net.setInput(array, name)

    def _output_names(self) -> list[str]:
        tops = self._model.outputs.values()
        return [self._ends.get(top, self._names[top.layer]) for top in tops]

    def _locate(self, place: Place) -> Top | str:
        try:
            return self._model.locate(place)
        except EngineError as error:
            raise EngineError(str(error), engine=NAME, subject=str(self._model_path)) from None

    def _fetch(
        self, tops: Sequence[Top | str], arrays: Mapping[str, Array]
    ) -> dict[Top | str, Array]:
        """Run the network on the inputs that are set, and return the values of `tops`."""
        values: dict[Top | str, Array] = {}
        names: dict[Top | str, str] = {}
        for top in dict.fromkeys(tops):
            if isinstance(top, str):
                values[top] = arrays[top].copy()
            elif top in self._ends:
                names[top] = self._ends[top]
            elif top.number == 0:
                names[top] = self._names[top.layer]
        if names:
            found = self._net.forward(list(names.values()))
            values.update(zip(names, found, strict=True))
        for top in dict.fromkeys(tops):
            if top not in values:
                assert isinstance(top, Top)
                retrieved = self._net.forwardAndRetrieve([self._names[top.layer]])
                values[top] = retrieved[0][top.number]
        return values

    @contextmanager
    def _engine(self, arrays: Mapping[str, Array] | None = None) -> Iterator[None]:
        """Make EngineErrors of OpenCV's; `arrays` is what the network was running on."""
        if arrays is not None and self._net is None:
            raise EngineError("the session is closed", engine=NAME, subject=str(self._model_path))
        try:
            with quiet(self._cv2):
                yield
        except self._cv2.error as error:
            raise self._explain(error, arrays) from None
        except (UnicodeError, MemoryError) as error:
            # Names that are no UTF-8 cannot go between OpenCV and Python.
            raise EngineError(str(error), engine=NAME, subject=str(self._model_path)) from None

    def _explain(self, error: Exception, arrays: Mapping[str, Array] | None) -> EngineError:
        found = failure(error)
        reason, layer = found.reason, found.layer
        if layer is None and arrays is not None:
            layer = first_bad_layer(self._model, self._fails_on(arrays))
        if layer is not None and found.is_assertion:
            with_weights = ("Convolution", "Deconvolution", "InnerProduct", "BatchNorm", "Scale")
            kind = {info.name: info.type for info in self.layers}.get(layer)
            if kind in with_weights and missing_weights(self._weights, [layer]):
                reason = f"{self._weights} has no weights for it"
        advice = "is the file complete?" if found.is_unparsed else _ADVICE
        return EngineError(
            reason, engine=NAME, layer=layer, subject=str(self._model_path), advice=advice
        )

    def _fails_on(self, arrays: Mapping[str, Array]) -> Callable[[Path], bool]:
        def fails(path: Path) -> bool:
            try:
                with quiet(self._cv2), overheard(self._cv2):
                    net = self._read_model(Model(path))
                    for name, array in arrays.items():
                        net.setInput(array, name)
                    net.forward()
            except self._cv2.error:
                return True
            return False

        return fails


def _names(model: Model, engine: Sequence[str]) -> dict[str, str]:
    """OpenCV's names of the model's layers, by the model's."""
    known = set(engine)
    names = {}
    for layer in model.layers:
        has_other = layer.name not in known and bool(layer.tops) and layer.tops[0] in known
        names[layer.name] = layer.tops[0] if has_other else layer.name
    return names


def _ends(model: Model) -> dict[str, str]:
    """Names for the readers that OpenCV needs for blobs which nobody reads.

    Those are inputs beside others, and tops of layers that have several.
    """
    several = {layer.name for layer in model.layers if len(layer.tops) > 1}
    taken = {name for layer in model.layers for name in (layer.name, *layer.tops)}
    ends = {}
    tops = [name for name, top in model.outputs.items() if top.layer in several]
    for name in [*(model.unread if len(model.inputs) > 1 else ()), *tops]:
        reader = f"{name}_out"
        while reader in taken:
            reader += "_"
        taken.add(reader)
        ends[name] = reader
    return ends
