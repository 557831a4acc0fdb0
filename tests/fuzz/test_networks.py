"""The random networks find what is wrong, and nothing where nothing is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .drawing import Drawing
from .shrink import shrink, without
from .wiring import Case, Node, layer_input

ROOT = Path(__file__).parents[2]
NUMBERS = 10

RUN = f"""
import json, sys
from tests.fuzz.judge import Judge
from tests.fuzz.networks import drawn
judge = Judge()
print(json.dumps([vars(judge(drawn(7, number))) for number in range({NUMBERS})]))
"""

PLANTED = """
import sys
from pathlib import Path
import numpy as np
from bnfold.fold.weights import Scaled
from tests.fuzz import networks
Scaled.weighted_sums = lambda self, weights, inputs, outputs, count: np.zeros(count)
networks.MOST_FAILURES, networks.SHRINK_SECONDS = 1, 5
summary = networks.run(60, 31, Path(sys.argv[1]))
print("\\n".join(summary.failures))
"""


@pytest.fixture
def caffe_python(pycaffe):
    """Run a program in a process of its own, which may import Caffe."""

    def run(program: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(ROOT), str(Path(pycaffe.place).parent)])
        return subprocess.run(
            [sys.executable, *(["-c", program] if program else []), *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=options.pop("check", True),
            **options,
        )

    return run


def test_a_seed_says_which_networks_are_drawn(tmp_path):
    one, other = (Drawing(11).draw() for _ in range(2))
    for name, case in (("one", one), ("other", other)):
        (tmp_path / name).mkdir()
        case.save(tmp_path / name)
    for file in ("net.prototxt", "net.caffemodel", "asked.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
    assert one.text != Drawing(12).draw().text


def test_networks_compute_the_same_before_and_after(caffe_python):
    verdicts = json.loads(caffe_python(RUN).stdout)
    assert [one for one in verdicts if one["kind"] not in ("same", "refused", "unfit")] == []
    assert sum(one["kind"] == "same" for one in verdicts) > NUMBERS / 4
    assert sum(one["folded"] for one in verdicts) > NUMBERS / 4


def test_a_wrong_rewrite_is_found_made_small_and_saved(caffe_python, tmp_path):
    """Planted: a shift that goes into the weights behind it is lost."""
    found = caffe_python(PLANTED, str(tmp_path)).stdout.splitlines()
    assert "differs" in found[-1]
    (folder,) = tmp_path.iterdir()
    assert str(folder) in found[-1]
    text = (folder / "net.prototxt").read_text()
    drawn = Drawing((31 << 32) + int(folder.name.rpartition("-")[2])).draw()
    assert 2 < text.count("layer {") < len(drawn.nodes)
    again = caffe_python("", "-m", "tests.fuzz", "--again", str(folder))
    assert '"same"' in again.stdout


def test_a_network_gets_small():
    nodes = [layer_input("data", (1, 2))]
    nodes += [Node(f"r{i}", "ReLU", ("data",), ("data",)) for i in range(20)]
    case = Case((*nodes, Node("bad", "Power", ("data",), ("p",), "power_param", ("scale: 2",))))
    small = shrink(case, lambda other: any(node.name == "bad" for node in other.nodes), 10)
    assert [node.type for node in small.nodes] == ["Input", "Power"]
    assert small.nodes[1].words == ()


def test_a_layer_that_goes_hands_on_what_it_read():
    nodes = (
        layer_input("data", (1, 2)),
        Node("a", "Power", ("data",), ("a",)),
        Node("b", "ReLU", ("a",), ("a",)),
        Node("c", "Scale", ("a",), ("c",), blobs=(np.ones(2),)),
    )
    left = without(nodes, nodes[1])
    assert [(node.bottoms, node.tops) for node in left[1:]] == [
        (("data",), ("data",)),
        (("data",), ("c",)),
    ]
