"""Accuracy before and after: against counts made here, and the gate at its edge."""

import re
from decimal import Decimal
from fractions import Fraction

import cv2
import numpy as np
import pytest

import bnfold
from bnfold import BnfoldError, PreprocessOptions
from bnfold.checks.accuracy.scores import Tally
from bnfold.checks.images.batches import Batch
from bnfold.checks.images.sources import Sample
from tests.checks.pictures import (
    BRIGHTEST,
    brightest,
    datum,
    flat,
    png,
    weights_file,
    write_list,
    write_lmdb,
)
from tests.conftest import EXAMPLE

ENGINES = ["pycaffe", "opencv"]


@pytest.fixture(params=ENGINES)
def engine(request):
    """The name of each engine in turn, where it is installed."""
    request.getfixturevalue(request.param)
    return request.param


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    pair = folder / "m.prototxt", folder / "w.caffemodel"
    bnfold.merge(
        EXAMPLE / "deploy.prototxt", EXAMPLE / "digits.caffemodel", output_model=pair[0],
        output_weights=pair[1],
    )  # fmt: skip
    return pair


def digits_lines():
    lines = (EXAMPLE / "val.txt").read_text().splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The same digits as a list, as folders and as an LMDB."""
    root = tmp_path_factory.mktemp("sets")
    rows = [(name, label, (EXAMPLE / name).read_bytes()) for name, label in digits_lines()]
    write_list(root / "list.txt", [(f"my images/{n}", data, label) for n, label, data in rows])
    for name, label, data in rows:
        target = root / "folders" / str(label) / name.replace("/", "_")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    pixels = [cv2.imdecode(np.frombuffer(d, np.uint8), 0)[:, :, None] for _, _, d in rows]
    records = [datum(label, p) for (_, label, _), p in zip(rows, pixels, strict=True)]
    records[1::2] = [datum(label, data=data, encoded=True) for _, label, data in rows[1::2]]
    write_lmdb(root / "db", records)
    return {"list": root / "list.txt", "folder": root / "folders", "lmdb": root / "db"}


@pytest.fixture(scope="module")
def counted(engines):
    """Right answers within the top 1 and top 2 of those digits, counted image by image."""
    right = {}
    for name, runtime in engines.items():
        if runtime is None:
            continue
        session = runtime.load(EXAMPLE / "deploy.prototxt", EXAMPLE / "digits.caffemodel")
        right[name] = [0, 0]
        for path, label in digits_lines():
            pixels = cv2.imread(str(EXAMPLE / path), cv2.IMREAD_GRAYSCALE) / 256
            scores = list(session.run({"data": pixels.reshape(1, 1, 8, 8)})["prob"].ravel())
            order = sorted(range(10), key=lambda i, s=scores: -s[i])
            right[name][0] += order[0] == label
            right[name][1] += label in order[:2]
    return right


@pytest.mark.parametrize("kind", ["list", "folder", "lmdb"])
def test_the_numbers_are_those_of_a_count_of_ones_own(engine, kind, sets, folded, counted):
    report = bnfold.accuracy(
        EXAMPLE / "deploy.prototxt", EXAMPLE / "digits.caffemodel", folded_model=folded[0],
        folded_weights=folded[1], images=sets[kind], top=[1, 2], runtime=engine, batch=7,
        preprocess=PreprocessOptions(scale=1 / 256),
    )  # fmt: skip
    one, two = report.metrics
    assert [one.right_before, two.right_before] == counted[engine]
    assert [one.right_after, two.right_after] == counted[engine]
    assert one.before == Fraction(counted[engine][0], 360)
    assert counted[engine][0] not in (0, 360)
    assert report.images == 360
    assert report.changed == ()
    assert report.agreement == 1
    assert 0 < report.largest_difference < 1e-4
    assert report.passed
    assert report.engine.startswith(engine)
    assert 0 < report.engine_seconds < report.seconds


IMAGES = [
    ("red.png", flat(10, 20, 200), 2),
    ("blue.png", flat(200, 20, 10), 0),
    ("green.png", flat(10, 200, 20), 1),
    ("nearly blue.png", flat(110, 100, 10), 0),
    ("blue again.png", flat(120, 10, 20), 0),
    ("wrong.png", flat(120, 10, 20), 2),
    ("still green.png", flat(101, 200, 10), 1),
    ("red too.png", flat(1, 2, 3), 2),
]


@pytest.fixture
def pair(tmp_path):
    """A network, and a "folded" one that is worse at one image of eight."""
    images = write_list(tmp_path / "val.txt", IMAGES)
    model = brightest(tmp_path)
    worse = brightest(tmp_path, (0.9, 1, 1), "worse")
    return {
        "model": model[0], "weights": model[1], "folded_model": worse[0],
        "folded_weights": worse[1], "images": images, "runtime": "opencv",
    }  # fmt: skip


def test_what_changed_is_told(pair, opencv):
    report = bnfold.accuracy(**pair, top=[1, 2])
    assert [(m.name, m.right_before, m.right_after) for m in report.metrics] == [
        ("top-1", 7, 6), ("top-2", 8, 8),
    ]  # fmt: skip
    (changed,) = report.changed
    assert (changed.name, changed.label) == ("nearly blue.png", 0)
    assert (changed.before.label, changed.after.label) == (0, 1)
    assert changed.before.score == 110
    assert changed.after.score == 100
    assert report.agreement == Fraction(7, 8)
    assert report.largest_difference == pytest.approx(20, rel=1e-6)
    assert report.largest_at == "blue.png"
    assert "7 -> 6 of 8" in report.failure


@pytest.mark.parametrize(
    ("bound", "passes"),
    [(12.5, True), ("12.5", True), (Fraction(25, 2), True), (Decimal("12.4999999999999999"), False),
     ("12.49999999999999999999", False), (13, True), (0, False)],
)  # fmt: skip
def test_the_gate_at_its_edge(pair, opencv, bound, passes):
    report = bnfold.accuracy(**pair, max_drop=bound)
    assert report.metrics[0].drop == Fraction(25, 2)
    assert report.passed == passes


def test_the_gate_takes_decimals_as_they_are_written(pair, opencv):
    # 3 of 1000 lost are 0.3 points; in floats 100 * (0.999 - 0.996) is more than 0.3.
    assert 100 * (0.999 - 0.996) > 0.3
    metric = bnfold.Metric("top-1", Fraction(999, 1000), Fraction(996, 1000))
    report = bnfold.accuracy(**pair, max_drop=0.3)
    assert metric.drop == report.max_drop == Fraction(3, 10)


def test_a_better_network_passes(pair, opencv):
    for key in ("model", "weights"):
        pair[key], pair[f"folded_{key}"] = pair[f"folded_{key}"], pair[key]
    report = bnfold.accuracy(**pair)
    assert report.metrics[0].drop == Fraction(-25, 2)
    assert report.passed


def tally(scores_before, scores_after, labels, top):
    before, after = (np.array(s, np.float32) for s in (scores_before, scores_after))
    samples = tuple(Sample(f"i{n}", label, None) for n, label in enumerate(labels))
    counts = Tally("output", top)
    counts.add(Batch(None, samples, (), ()), before, after)
    return counts


def test_ties_count_against_the_network_as_in_caffe():
    scores = [[0.5, 0.5, 0], [0, 0, 0], [3, 2, 1]]
    counts = tally(scores, scores, [1, 0, 0], [1, 2, 3])
    assert [m.right_before for m in counts.metrics()] == [1, 2, 3]


def test_scores_that_are_no_numbers_are_wrong():
    good, bad = [[1, 0], [1, 0], [1, 0]], [[np.nan, 0], [1, np.nan], [np.inf, 0]]
    counts = tally(good, bad, [0, 0, 0], [1])
    (metric,) = counts.metrics()
    assert (metric.right_before, metric.right_after) == (3, 0)
    assert counts.not_finite == [0, 3]
    assert counts.largest == np.inf


def test_random_scores_against_a_sort():
    rng = np.random.default_rng(5)
    scores, labels = (
        rng.permuted(np.tile(np.arange(20), (200, 1)), axis=1),
        rng.integers(0, 20, 200),
    )
    counts = tally(scores[:, :, None, None], scores, labels, [5, 1])
    want = [
        sum(label in sorted(range(20), key=lambda i, r=row: -r[i])[:k]
            for row, label in zip(scores, labels, strict=True))
        for k in (1, 5)
    ]  # fmt: skip
    assert [m.right_before for m in counts.metrics()] == want


def write_output(folder, text, **blobs):
    (folder / "n.prototxt").write_text(text)
    return folder / "n.prototxt", weights_file(folder / "n.caffemodel", **blobs)


SECOND = """
layer { name: "fc2" type: "InnerProduct" bottom: "pool" top: "fc2"
  inner_product_param { num_output: 3 bias_term: false } }
"""


def same(model, images, **more):
    """Accuracy of a network against itself."""
    return bnfold.accuracy(
        *model, folded_model=model[0], folded_weights=model[1], images=images, **more
    )


def test_of_several_outputs_one_must_be_named(tmp_path, opencv):
    images = write_list(tmp_path / "val.txt", IMAGES)
    model = write_output(tmp_path, BRIGHTEST + SECOND, fc=np.eye(3), fc2=np.eye(3)[::-1])
    with pytest.raises(BnfoldError, match=r"fc \(1x3.*\), fc2 \(1x3.*\); name one with --output"):
        same(model, images, runtime="opencv")
    found = same(model, images, runtime="opencv", output_blob="fc2")
    assert found.output == "fc2"
    assert found.metrics[0].right_before == 3


def test_an_output_that_is_no_score(tmp_path, opencv):
    images = write_list(tmp_path / "val.txt", IMAGES)
    text = BRIGHTEST[: BRIGHTEST.index('layer { name: "pool"')] + (
        'layer { name: "p" type: "Power" bottom: "data" top: "p" }'
    )
    model = write_output(tmp_path, text, p=np.ones(1))
    with pytest.raises(BnfoldError, match=r"no output has a score for each class: p \(1x3x2x2\)"):
        same(model, images, runtime="opencv")


JUDGED = BRIGHTEST.replace(
    'layer { name: "pool"',
    'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 1 } } }\n'
    'layer { name: "pool"',
) + (
    'layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" }\n'
    'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }'
)


def test_a_network_that_judges_itself_is_read_before_its_judges(tmp_path, pycaffe):
    images = write_list(tmp_path / "val.txt", IMAGES)
    model = write_output(tmp_path, JUDGED, fc=np.eye(3))
    report = same(model, images, runtime="pycaffe", batch=3)
    assert report.output == "fc"
    assert report.metrics[0].right_before == 7


def test_labels_that_are_no_class_are_found_before_the_run(tmp_path, opencv):
    images = write_list(tmp_path / "val.txt", [("a.png", b"", 0), ("b.png", b"", 3)])
    with pytest.raises(BnfoldError, match=r"val.txt:2: label 3, and output 'fc' has 3 scores"):
        same(brightest(tmp_path), images, runtime="opencv")
    write_lmdb(tmp_path / "db", [datum(3, flat(1, 2, 3))])
    with pytest.raises(BnfoldError, match="00000000: label 3"):
        same(brightest(tmp_path), tmp_path / "db", runtime="opencv")


def test_bad_images_are_named_counted_and_not_in_the_accuracy(pair, opencv, tmp_path):
    whole = png(flat(1, 2, 3))
    more = [
        ("zero.png", b"", 0),
        ("cut.png", whole[:-9], 0),
        ("four.png", np.dstack([flat(1, 2, 3), np.zeros((2, 2), np.uint8)]), 2),
        ("gray.png", np.full((2, 2), 7, np.uint8), 0),
    ]
    pair["images"] = write_list(tmp_path / "val.txt", [*more, *IMAGES])
    report = bnfold.accuracy(**pair, max_bad=2)
    assert [(bad.name, bad.reason) for bad in report.bad] == [
        ("zero.png", "the file is empty"), ("cut.png", "the file is cut off"),
    ]  # fmt: skip
    assert report.images == 10
    # The gray one is a tie of three, and so wrong; the one with alpha is right.
    assert report.metrics[0].right_before == 8
    with pytest.raises(BnfoldError, match=r"cut.png: the file is cut off; 1 others"):
        bnfold.accuracy(**pair, max_bad=1)


def test_a_set_of_nothing_but_bad_images(pair, opencv, tmp_path):
    pair["images"] = write_list(tmp_path / "val.txt", [("a.png", b"", 0)])
    with pytest.raises(BnfoldError, match="none of its images can be read"):
        bnfold.accuracy(**pair, max_bad=1)


def test_progress_ends_at_the_number_of_images(pair, opencv):
    told = []
    bnfold.accuracy(**pair, batch=3, limit=7, progress=lambda *numbers: told.append(numbers))
    assert told == [(3, 7), (6, 7), (7, 7)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"top": [4]}, "top 4 of 3 scores"),
        ({"top": []}, "from 1 up"),
        ({"top": [0]}, "from 1 up"),
        ({"max_drop": -1}, "from 0 up"),
        ({"max_drop": "some"}, "from 0 up"),
        ({"max_drop": float("nan")}, "from 0 up"),
        ({"folded_model": None}, r"net.folded.prototxt: .* make it with `bnfold merge"),
        ({"output_blob": "nothing"}, "nothing"),
        ({"annotations": "here"}, "detection networks"),
        ({"preprocess": PreprocessOptions(crop=(1, 1))}, "1x1"),
    ],
)
def test_what_cannot_be_asked(pair, opencv, options, says):
    with pytest.raises(BnfoldError, match=says) as caught:
        bnfold.accuracy(**{**pair, **options})
    assert not re.search(r"\n", str(caught.value))


def test_networks_with_other_inputs_are_not_compared(pair, opencv, tmp_path):
    other = brightest(
        tmp_path, stem="other", text=BRIGHTEST.replace("dim: 2 dim: 2", "dim: 4 dim: 4")
    )
    pair["folded_model"], pair["folded_weights"] = other
    with pytest.raises(BnfoldError, match="does not have the inputs"):
        bnfold.accuracy(**pair)


def test_the_json_object_is_plain(pair, opencv):
    import json

    report = bnfold.accuracy(**pair).to_json()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["format"] == "bnfold.accuracy/1"
    assert report["passed"] is False
    assert report["metrics"][0] == {
        "name": "top-1", "before": 87.5, "after": 75.0, "drop": 12.5, "right_before": 7,
        "right_after": 6,
    }  # fmt: skip
