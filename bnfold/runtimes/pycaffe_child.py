"""The program that runs Caffe, in a process of its own: Caffe's way to fail is to abort it.

Usage: python pycaffe_child.py REQUESTS REPLIES ARRAYS, three inherited file descriptors. Requests
and replies are lines of JSON; arrays lie in ARRAYS, a file without a name that lives in memory, as
plain numbers at the offsets that the lines tell. Standard input is never written to: its end is the
end of the parent. Standard output and error are the log.

It may run under the Python that some Caffe was built for (3.7 or later), so it needs nothing but
Caffe and numpy, and imports nothing of bnfold.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from typing import Any

ALIGNMENT = 64


def leave_with_parent() -> None:
    """Have the system end this process, even within Caffe's code, when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # An interrupt is the parent's to handle.
    try:
        # SIGIO, whose default is to end the process, comes when the other end of the pipe closes.
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    except (AttributeError, OSError):
        pass  # Then the end of the requests tells, after the forward pass that is under way.


def read_array(fd: int, offset: int, out: Any) -> None:
    """Fill the contiguous array `out` with what lies at `offset`."""
    view = memoryview(out).cast("B")
    while len(view):
        count = os.preadv(fd, [view], offset)
        if count == 0:
            raise EOFError("the shared file is too short")
        view, offset = view[count:], offset + count


def write_array(fd: int, offset: int, array: Any) -> None:
    """Put the contiguous array at `offset`."""
    view = memoryview(array).cast("B")
    while len(view):
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def is_split(name: str, kind: str) -> bool:
    """Whether Caffe added the layer itself, to give one blob to several readers.

    Source: BVLC caffe, src/caffe/util/insert_splits.cpp, `SplitLayerName`.
    """
    return kind == "Split" and name.endswith("_split")


class Network:
    """A net, and what is asked of it."""

    def __init__(self, caffe: Any, model: str, weights: str) -> None:
        self.net = caffe.Net(model, caffe.TEST, weights=weights)
        self.names = list(self.net._layer_names)
        self.kinds = [layer.type for layer in self.net.layers]
        self.tops = [list(self.net.top_names[name]) for name in self.names]
        self.index = {name: i for i, name in enumerate(self.names)}
        self.writer = {top: i for i, tops in enumerate(self.tops) for top in tops}
        self.fed: dict[str, Any] | None = None

    def describe(self) -> dict[str, Any]:
        """Inputs, outputs, layers and the names of layers that have blobs."""
        return {
            "inputs": [[name, self.shape(name)] for name in self.net.inputs],
            "outputs": [
                [name, self.shape(name)] for name in self.net.outputs if self.computed(name)
            ],
            "layers": [[self.names[i], self.kinds[i], self.tops[i]] for i in self.shown()],
            "with_blobs": list(self.net.params),
        }

    def shown(self) -> list[int]:
        """The layers that the file describes and that compute."""
        return [
            i
            for i, kind in enumerate(self.kinds)
            if kind != "Input" and not is_split(self.names[i], kind)
        ]

    def computed(self, blob: str) -> bool:
        """Whether a layer computes the blob: Caffe counts inputs that nobody reads as outputs."""
        return blob in self.writer and self.kinds[self.writer[blob]] != "Input"

    def shape(self, blob: str) -> list[int]:
        """The present shape of a blob."""
        return list(self.net.blobs[blob].shape)

    def set_inputs(self, arrays: int, feeds: list[Any]) -> None:
        """Take the inputs from the shared file, and reshape the net where theirs changed."""
        self.fed = None
        changed = [(name, shape) for name, shape, _ in feeds if shape != self.shape(name)]
        for name, shape in changed:
            self.net.blobs[name].reshape(*shape)
        if changed:
            self.net.reshape()
        for name, _, offset in feeds:
            data = self.net.blobs[name].data
            single = data if data.dtype == "float32" else data.astype("float32")
            read_array(arrays, offset, single)
            if single is not data:  # A Caffe of doubles.
                data[...] = single

    def keep_inputs(self) -> None:
        """Remember the inputs: layers may overwrite them, in place or through shared memory."""
        self.fed = {name: self.net.blobs[name].data.copy() for name in self.net.inputs}

    def restore_inputs(self) -> None:
        """Set the inputs to what was fed."""
        if self.fed is None:
            raise ValueError("nothing was fed to the network")
        for name, array in self.fed.items():
            self.net.blobs[name].data[...] = array

    def forward(self) -> float:
        """Run the net on what was fed; the seconds of that."""
        self.restore_inputs()
        start = time.perf_counter()
        self.net._forward(0, len(self.names) - 1)
        return time.perf_counter() - start

    def profile(self) -> list[list[Any]]:
        """Run the net on what was fed; the seconds of each layer."""
        self.restore_inputs()
        seconds = []
        for i in range(len(self.names)):
            start = time.perf_counter()
            self.net._forward(i, i)
            seconds.append(time.perf_counter() - start)
        return [[self.names[i], seconds[i]] for i in self.shown()]

    def fetch(self, arrays: int, places: list[Any]) -> list[Any]:
        """Run the net, and copy each value out right after the layer that wrote it.

        A later layer may overwrite it: one in place, or one that shares its memory (Flatten, say).
        What comes after the last of these layers is not run. Answers offsets and shapes.
        """
        stops: dict[int, list[tuple[int, str]]] = {}
        for number, place in enumerate(places):
            layer, blob = self.locate(place)
            stops.setdefault(layer, []).append((number, blob))
        found: list[Any] = [None] * len(places)
        begin, offset = 0, 0
        for layer in sorted(stops):
            if layer >= begin:
                self.net._forward(begin, layer)
                begin = layer + 1
            for number, blob in stops[layer]:
                data = self.net.blobs[blob].data.reshape(-1).astype("float32", copy=False)
                write_array(arrays, offset, data)
                found[number] = [offset, self.shape(blob)]
                offset += -(-data.nbytes // ALIGNMENT) * ALIGNMENT
        return found

    def locate(self, place: Any) -> tuple[int, str]:
        """The index of the layer, and the name of the blob, of a place."""
        if isinstance(place, str):
            if place not in self.net.blobs:
                raise ValueError(f"no blob is named '{place}'")
            return self.writer.get(place, -1), place
        name, top = place
        if name not in self.index:
            raise ValueError(f"no layer is named '{name}'")
        tops = self.tops[self.index[name]]
        if not 0 <= top < len(tops):
            raise ValueError(f"layer '{name}' has no top {top}, it has {len(tops)}")
        return self.index[name], tops[top]


class Server:
    """Answers requests, one at a time; `do_x` answers the request x."""

    def __init__(self, arrays: int) -> None:
        self.arrays = arrays
        self.caffe: Any = None
        self.nets: dict[int, Network] = {}
        self.loaded = 0

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to a request."""
        try:
            return {"done": getattr(self, "do_" + request.pop("do"))(**request)}
        except Exception as error:  # Whatever Caffe's binding raises, the parent shall know.
            return {"failed": str(error) or type(error).__name__, "kind": type(error).__name__}

    def do_start(self, path: list[str] | None, first: list[str]) -> dict[str, str]:
        """Import Caffe, with `path` as sys.path if given, and the folders `first` before it.

        Started with `-I`, the interpreter's own path has neither the current folder on it nor that
        of this script.
        """
        sys.path[:] = first + (sys.path if path is None else path)
        import caffe  # type: ignore[import-not-found,import-untyped,unused-ignore]

        if not hasattr(caffe, "Net"):
            raise ImportError("the module named caffe is not pycaffe")
        caffe.set_mode_cpu()
        self.caffe = caffe
        return {
            "version": str(getattr(caffe, "__version__", "unknown")),
            "place": os.path.dirname(caffe.__file__),  # noqa: PTH120
        }

    def do_load(self, model: str, weights: str) -> dict[str, Any]:
        """Load a net."""
        network = Network(self.caffe, model, weights)
        self.loaded += 1
        self.nets[self.loaded] = network
        return dict(network.describe(), net=self.loaded)

    def do_try(self, model: str, weights: str) -> None:
        """Load a net and forget it, to see whether Caffe can."""
        self.caffe.Net(model, self.caffe.TEST, weights=weights)

    def do_feed(self, net: int, feeds: list[Any]) -> None:
        """Set inputs for forward and profile."""
        self.nets[net].set_inputs(self.arrays, feeds)
        self.nets[net].keep_inputs()

    def do_run(self, net: int, feeds: list[Any], places: list[Any]) -> list[Any]:
        """Set inputs, run, fetch."""
        self.nets[net].set_inputs(self.arrays, feeds)
        return self.nets[net].fetch(self.arrays, places)

    def do_forward(self, net: int) -> float:
        """One timed pass."""
        return self.nets[net].forward()

    def do_profile(self, net: int) -> list[list[Any]]:
        """One pass, timed by layer."""
        return self.nets[net].profile()

    def do_drop(self, net: int) -> None:
        """Let go of a net."""
        self.nets.pop(net, None)


def main() -> None:
    """Answer requests until there are no more."""
    requests, replies, arrays = (int(argument) for argument in sys.argv[1:4])
    leave_with_parent()
    server = Server(arrays)
    with os.fdopen(requests) as lines, os.fdopen(replies, "w") as answers:
        for line in lines:
            answers.write(json.dumps(server.answer(json.loads(line))) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
