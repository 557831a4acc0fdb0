"""Average precision: a case worked out by hand, the library itself, and a network in both engines.

The network looks at an image of 32 x 32 in cells of 8 x 8. Red is class 1, green is class 2, how
bright a cell is decides the score, and the box is the cell's.
"""

import contextlib
import io
import json
import sys

import numpy as np
import pytest

import bnfold
from bnfold import BnfoldError
from bnfold.checks.accuracy.detection import Detection, average_precision
from bnfold.checks.accuracy.detection_truth import Thing, open_truth, read_labelmap
from bnfold.checks.images.sources import Sample
from tests.checks.pictures import png, weights_file

pytest.importorskip("pycocotools")

NETWORK = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } } }
layer { name: "conf" type: "Convolution" bottom: "data" top: "conf"
  convolution_param { num_output: 3 kernel_size: 8 stride: 8 } }
layer { name: "loc" type: "Convolution" bottom: "data" top: "loc"
  convolution_param { num_output: 4 kernel_size: 8 stride: 8 } }
layer { name: "conf_perm" type: "Permute" bottom: "conf" top: "conf_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "loc_perm" type: "Permute" bottom: "loc" top: "loc_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "loc_flat" type: "Flatten" bottom: "loc_perm" top: "loc_flat"
  flatten_param { axis: 1 } }
layer { name: "priors" type: "PriorBox" bottom: "conf" bottom: "data" top: "priors"
  prior_box_param { min_size: 8 step: 8 offset: 0.5 clip: false
    variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 } }
layer { name: "conf_rows" type: "Reshape" bottom: "conf_perm" top: "conf_rows"
  reshape_param { shape { dim: 0 dim: -1 dim: 3 } } }
layer { name: "conf_soft" type: "Softmax" bottom: "conf_rows" top: "conf_soft"
  softmax_param { axis: 2 } }
layer { name: "conf_flat" type: "Flatten" bottom: "conf_soft" top: "conf_flat"
  flatten_param { axis: 1 } }
layer { name: "out" type: "DetectionOutput" bottom: "loc_flat" bottom: "conf_flat"
  bottom: "priors" top: "out" include { phase: TEST }
  detection_output_param { num_classes: 3 share_location: true background_label_id: 0
    nms_param { nms_threshold: 0.45 top_k: 100 } code_type: CENTER_SIZE keep_top_k: 100
    confidence_threshold: 0.5 } }
"""


def network(folder, stem="net", green=1.0):
    model = folder / f"{stem}.prototxt"
    model.write_text(NETWORK)
    conf = np.zeros((3, 3, 8, 8))
    conf[1, 2] = 0.05 / 64  # red
    conf[2, 1] = 0.05 / 64 * green
    weights = weights_file(
        folder / f"{stem}.caffemodel", conf=conf, loc=np.zeros((4, 3, 8, 8))
    )  # fmt: skip
    # Their biases: background is 3, so that a cell must be brighter than 60 of 255.
    from bnfold.caffemodel import schema

    net = schema.message("NetParameter")()
    net.ParseFromString(weights.read_bytes())
    for layer, values in zip(net.layer, ([3, 0, 0], [0] * 4), strict=True):
        blob = layer.blobs.add()
        blob.shape.dim.append(len(values))
        blob.data.extend(values)
    weights.write_bytes(net.SerializeToString())
    return model, weights


def picture(*cells):
    """A black image with cells (row, column, channel, brightness)."""
    image = np.zeros((32, 32, 3), np.uint8)
    for row, column, channel, value in cells:
        image[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8, channel] = value
    return image


RED, GREEN = 2, 1
PICTURES = {
    "one.png": picture((0, 0, RED, 250), (2, 3, GREEN, 150)),
    "two.png": picture((1, 1, RED, 240), (3, 3, RED, 230)),
    "none.png": picture(),
}
# name, class, cell's row and column, difficult
OBJECTS = [
    ("one.png", "red", 0, 0, 0),
    ("one.png", "green", 2, 3, 0),
    ("two.png", "red", 1, 1, 0),
    ("two.png", "red", 3, 3, 1),
    ("none.png", "red", 0, 3, 0),
]


def voc(folder, size=32):
    """Annotations for images of that many pixels on each side."""
    folder.mkdir(exist_ok=True)
    side = size // 4
    for name in PICTURES:
        things = "".join(
            f"<object><name>{kind}</name><difficult>{difficult}</difficult><bndbox>"
            f"<xmin>{column * side}</xmin><ymin>{row * side}</ymin>"
            f"<xmax>{column * side + side}</xmax><ymax>{row * side + side}</ymax></bndbox></object>"
            for image, kind, row, column, difficult in OBJECTS
            if image == name
        )
        text = f"<size><width>{size}</width><height>{size}</height></size>{things}"
        (folder / name).with_suffix(".xml").write_text(f"<annotation>{text}</annotation>")
    return folder


def coco(path):
    names = list(PICTURES)
    data = {
        "images": [
            {"id": 7 + i, "file_name": f"val/{name}", "height": 32, "width": 32}
            for i, name in enumerate(names)
        ],
        "categories": [{"id": 11, "name": "red"}, {"id": 12, "name": "green"}],
        "annotations": [
            {
                "id": i, "image_id": 7 + names.index(name), "iscrowd": difficult, "area": 64,
                "category_id": {"red": 11, "green": 12}[kind], "bbox": [col * 8, row * 8, 8, 8],
            }
            for i, (name, kind, row, col, difficult) in enumerate(OBJECTS)
        ],
    }  # fmt: skip
    path.write_text(json.dumps(data))
    return path


LABELMAP = """
item { name: "none_of_the_above" label: 0 display_name: "background" }
item { name: "red" label: 1 display_name: "Red" }
item { name: "green" label: 2 display_name: "Green" }
"""


@pytest.fixture
def scene(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name, image in PICTURES.items():
        (images / name).write_bytes(png(image))
    (tmp_path / "labelmap.prototxt").write_text(LABELMAP)
    voc(tmp_path / "voc")
    coco(tmp_path / "coco.json")
    return tmp_path


def run(scene, folded=None, **more):
    model = network(scene)
    folded = folded or model
    options = {
        "images": scene / "images", "annotations": scene / "voc", "runtime": "opencv",
        "labelmap": scene / "labelmap.prototxt", **more,
    }  # fmt: skip
    return bnfold.accuracy(*model, folded_model=folded[0], folded_weights=folded[1], **options)


@pytest.mark.parametrize("engine", ["pycaffe", "opencv"])
@pytest.mark.parametrize("kind", ["voc", "coco.json"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_network_in_both_engines(request, scene, engine, kind, batch):
    request.getfixturevalue(engine)
    report = run(scene, annotations=scene / kind, runtime=engine, batch=batch)
    # Red: three objects count, the two that are found are found first: precision 1 up to a recall
    # of 2/3, and 0 beyond, which is 67 of the 101 recalls 0, 0.01 to 1. Green: all of one. The
    # difficult red one is found, too, and does no harm.
    want = (67 / 101 + 1) / 2
    assert [metric.name for metric in report.metrics] == ["mAP@0.5", "mAP@[.5:.95]"]
    for metric in report.metrics:
        assert float(metric.before) == pytest.approx(want, abs=1e-9)
        assert metric.after == metric.before
    assert report.images == 3
    assert report.changed == ()
    assert report.passed


@pytest.mark.parametrize("engine", ["pycaffe", "opencv"])
def test_what_is_lost_is_found(request, scene, engine):
    request.getfixturevalue(engine)
    # Green cells now pass for dark: that class is lost whole.
    report = run(scene, network(scene, "worse", green=0.1), runtime=engine, max_drop=49)
    assert float(report.metrics[0].drop) == pytest.approx(50, abs=1e-9)
    assert not report.passed
    assert report.changed == ()  # the best detection of each image is a red one
    assert "mAP@0.5 dropped by 50 points" in report.failure


def test_annotations_may_be_of_the_images_at_another_size(scene, opencv):
    voc(scene / "large", 128)
    assert run(scene, annotations=scene / "large").metrics == run(scene).metrics


def test_lists_as_ssd_has_them_name_the_annotations(scene, opencv):
    lines = [f"images/{name} voc/{name[:-4]}.xml\n" for name in PICTURES]
    (scene / "test.txt").write_text("".join(lines))
    report = run(scene, images=scene / "test.txt", annotations=None)
    assert report.metrics == run(scene).metrics


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"annotations": None}, "one.png|none.png: no annotation is named"),
        ({"labelmap": None}, "which label has which name"),
        ({"annotations": "nowhere"}, "nowhere: No such file"),
        ({"top": [1]}, "--top is for classes"),
        ({"preprocess": bnfold.PreprocessOptions(resize=(64, 64), crop=(32, 32))}, "whole images"),
    ],
)
def test_what_cannot_be_asked(scene, opencv, more, says):
    with pytest.raises(BnfoldError, match=says):
        run(scene, **more)


def test_images_without_objects_have_no_precision(scene, opencv):
    for path in (scene / "voc").iterdir():
        path.write_text("<annotation/>")
    with pytest.raises(BnfoldError, match="none of the images has an annotated object"):
        run(scene)


def test_pycocotools_that_is_missing_is_named(scene, opencv, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(BnfoldError, match=r"pip install 'bnfold\[detection\]'"):
        run(scene)


def test_a_case_worked_out_by_hand():
    things = [
        [Thing(1, (0, 0, 10, 10), 100), Thing(1, (50, 50, 10, 10), 100)],
        [Thing(1, (0, 0, 10, 10), 100), Thing(1, (80, 0, 20, 20), 400, ignored=True)],
    ]
    found = [
        Detection(0, 1, 0.9, (0, 0, 10, 10)),  # right
        Detection(0, 1, 0.8, (20, 20, 10, 10)),  # wrong
        Detection(1, 1, 0.75, (80, 0, 20, 20)),  # ignored
        Detection(0, 1, 0.7, (50, 50, 10, 8)),  # right at an overlap of 0.8
        Detection(1, 1, 0.6, (0, 0, 10, 6)),  # right at 0.6
    ]
    half, mean = average_precision(things, found)
    # At 0.5 the precisions are 1 at a recall of 1/3, 2/3 at 2/3 and 3/4 at 1; so 3/4 at 2/3, too,
    # since precision at a recall is the best at it or beyond. Of the 101 recalls 34 are below 1/3.
    low = (34 * 1 + 67 * 0.75) / 101
    # Above 0.6: the last one is wrong. Precision 2/3 up to a recall of 2/3, 33 recalls.
    middle = (34 * 1 + 33 * (2 / 3)) / 101
    # Above 0.8 only the first is right.
    high = 34 / 101
    assert half == pytest.approx(low, abs=1e-9)
    # 0.5 to 0.6 are 3 thresholds, 0.65 to 0.8 are 4, 0.85 to 0.95 are 3.
    assert mean == pytest.approx((3 * low + 4 * middle + 3 * high) / 10, abs=1e-9)


def test_pycocotools_from_its_own_files_agrees(tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(11)
    images = [f"{i}.png" for i in range(12)]
    boxes = [np.round(rng.uniform((0, 0, 8, 8), (60, 60, 68, 68)), 2).tolist() for _ in range(60)]
    truth = {
        "info": {},
        "images": [{"id": i, "file_name": n, "height": 99, "width": 99}
                   for i, n in enumerate(images)],
        "categories": [{"id": c, "name": f"c{c}"} for c in (1, 2, 3)],
        "annotations": [
            {"id": i + 1, "image_id": i % 12, "category_id": 1 + i % 3, "bbox": box,
             "area": box[2] * box[3], "iscrowd": int(i % 10 == 0)} for i, box in enumerate(boxes)
        ],
    }  # fmt: skip
    answers = [
        {"image_id": i % 12, "category_id": 1 + i % 3, "score": float(rng.uniform()),
         "bbox": (np.array(box) + rng.normal(0, 2, 4).clip(-5, 5)).tolist()}
        for i, box in enumerate(boxes + boxes[:20])
    ]  # fmt: skip
    for name, content in (("gt.json", truth), ("dt.json", answers)):
        (tmp_path / name).write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(str(tmp_path / "gt.json"))
        evaluation = COCOeval(reference, reference.loadRes(str(tmp_path / "dt.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    source = open_truth(tmp_path / "gt.json", None)
    things = [source.of(Sample(name, None, None), (1, 1))[1] for name in images]
    found = [
        Detection(a["image_id"], source.category(a["category_id"]), a["score"], tuple(a["bbox"]))
        for a in answers
    ]
    half, mean = average_precision(things, found)
    assert (half, mean) == (evaluation.stats[1], evaluation.stats[0])
    assert 0 < mean < half < 1


def test_nothing_found_and_nothing_there(capfd):
    thing = Thing(1, (0, 0, 10, 10), 100)
    assert average_precision([[thing]], []) == (0, 0)
    assert average_precision([[]], []) == (-1, -1)
    assert capfd.readouterr().out == ""


def test_labelmaps(tmp_path):
    path = tmp_path / "map"
    path.write_text(LABELMAP)
    assert [(e.number, e.names) for e in read_labelmap(path)][1:] == [
        (1, ("red", "Red")), (2, ("green", "Green")),
    ]  # fmt: skip
    path.write_text("red\ngreen\n")
    assert [(e.number, e.names) for e in read_labelmap(path)] == [(1, ("red",)), (2, ("green",))]
    path.write_text("background\nred\n")
    assert [e.number for e in read_labelmap(path)] == [0, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no labels"),
        ("red\nred\n", "the name 'red' stands twice"),
        ('item { name: "a" label: 1 } item { name: "b" label: 1 }', "label 1 stands twice"),
        ('item { name: "a" }', "has no label"),
        ("item { name: ", "map:1"),
    ],
)
def test_labelmaps_with_mistakes(tmp_path, text, says):
    (tmp_path / "map").write_text(text)
    with pytest.raises(BnfoldError, match=says):
        read_labelmap(tmp_path / "map")


def test_coco_categories_by_name_or_by_id(tmp_path):
    coco(tmp_path / "c.json")
    (tmp_path / "map").write_text(
        'item { name: "11" label: 1 display_name: "Rouge" }\n'
        'item { name: "x" label: 2 display_name: "green" }\nitem { name: "sky" label: 3 }'
    )
    truth = open_truth(tmp_path / "c.json", tmp_path / "map")
    assert [truth.category(label) for label in (1, 2)] == [11, 12]
    with pytest.raises(BnfoldError, match="label 3 of the network has no category"):
        truth.category(3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not COCO's JSON"),
        ("{}", "'categories' is missing"),
        ("[]", "JSON"),
        ("[" * 100000, "not COCO's JSON: nested too deeply"),
        ('{"categories": [{"name": "a", "id": Infinity}]}', "not COCO's JSON"),
        ('{"categories": [], "images": [{"file_name": "a"}]}', "'id' is missing"),
        ('{"categories": [], "images": [{"file_name": "a", "id": {}}]}', "not COCO's JSON"),
        ('{"categories": [], "images": [], "annotations": ["x"]}', "not COCO's JSON"),
        (
            (
                '{"categories": [], "annotations": [],'
                ' "images": [{"file_name": "a", "id": 1, "height": "x", "width": 1}]}'
            ),
            "not COCO's JSON",
        ),
    ],
)
def test_json_that_is_not_cocos(tmp_path, text, says):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(BnfoldError, match=says):
        open_truth(tmp_path / "c.json", None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, r"a.xml: No such file .* the image x/a.png has no annotation"),
        ("<annotation>", "not an annotation of VOC's kind"),
        ("<a><object><name>zebra</name></object></a>", "class 'zebra' is not in the labelmap"),
        ("<a><object><name>red</name></object></a>", "the box of 'red' lacks a side"),
    ],
)
def test_xml_that_is_not_vocs(tmp_path, text, says):
    (tmp_path / "map").write_text("red\n")
    if text is not None:
        (tmp_path / "a.xml").write_text(text)
    truth = open_truth(tmp_path, tmp_path / "map")
    with pytest.raises(BnfoldError, match=says):
        truth.of(Sample("x/a.png", None, None), (1, 1))


def test_an_image_that_is_not_in_the_json(tmp_path):
    truth = open_truth(coco(tmp_path / "c.json"), None)
    assert truth.of(Sample("elsewhere/one.png", None, None), (1, 1))[0] == (32, 32)
    with pytest.raises(BnfoldError, match="the image three"):
        truth.of(Sample("three.png", None, None), (1, 1))
