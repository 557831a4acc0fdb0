import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bnfold.graph import build
from bnfold.graph.shapes import infer_shapes
from bnfold.prototxt import parse


def shapes_of(text, weights=None):
    """Inferred shapes, by the names of values; of a name's values, the last."""
    return {v.name: s for v, s in infer_shapes(build(parse(text), weights=weights)).items()}


class Caffe:
    """Asks Caffe, in a process that stays, for the shapes of a network."""

    def __init__(self, folder):
        self.path = folder / "net.prototxt"
        self.log = (folder / "caffe.log").open("w+")
        self.process = None

    def shapes(self, text):
        """The shape of every blob by its name; None if Caffe refused the network."""
        answer = self.ask(text)
        return answer and {name: tuple(shape) for name, shape in answer[0].items()}

    def parameters(self, text):
        """How many parameters each layer has, by its name; None if Caffe refused the network."""
        answer = self.ask(text)
        return answer and answer[1]

    def ask(self, text):
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("caffe_shapes.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                text=True,
            )
        self.path.write_text(text)
        self.process.stdin.write(f"{self.path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.close()
            return None
        return json.loads(line)

    def why(self):
        """What Caffe said last."""
        self.log.seek(0)
        return self.log.read()[-2000:]

    def close(self):
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()
            process.wait(60)


@pytest.fixture(scope="session")
def caffe(tmp_path_factory):
    if importlib.util.find_spec("caffe") is None:
        if os.environ.get("BNFOLD_REQUIRE_PYCAFFE") == "1":
            pytest.fail("BNFOLD_REQUIRE_PYCAFFE is set, and pycaffe is not on PYTHONPATH")
        pytest.skip("needs pycaffe on PYTHONPATH")
    caffe = Caffe(tmp_path_factory.mktemp("caffe"))
    yield caffe
    caffe.close()
    caffe.log.close()
