"""Every JSON report keeps to the schema that is shipped for it."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib import resources
from pathlib import Path

import pytest
from conftest import EXAMPLE
from fold.branches.branching import small_rep_vgg
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from models import Model
from referencing import Registry, Resource

import bnfold

OPENCV = ("--runtime", "opencv")
SCHEMAS = {
    path.name: json.loads(path.read_text(encoding="utf-8"))
    for path in (resources.files("bnfold") / "schemas").iterdir()
    if path.name.endswith(".schema.json")
}
REGISTRY = Registry().with_resources(
    (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)


def check(document: dict) -> None:
    """Hold a document to the schema that its own `format` names."""
    kind = document["format"].removeprefix("bnfold.").partition("/")[0]
    Draft202012Validator(SCHEMAS[f"{kind}.schema.json"], registry=REGISTRY).validate(document)


def check_run(said: dict) -> None:
    """Hold what a report says of its run to the files that are there."""
    assert said["version"] == bnfold.__version__
    for file in (*said["inputs"], *said["outputs"]):
        path = Path(file["path"])
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        assert file["sha256"] == digest


@pytest.fixture
def folder(tmp_path):
    """A copy of the example, where commands may write."""
    return shutil.copytree(EXAMPLE, tmp_path / "digits")


@pytest.fixture
def pair(folder):
    return "--model", folder / "deploy.prototxt", "--weights", folder / "digits.caffemodel"


@pytest.fixture
def report_of(run):
    """Run a command with `--json -`; gives the exit code and the report, checked."""

    def report_of(*arguments) -> tuple[int, dict]:
        ran = run(*arguments, "--json", "-")
        document = json.loads(ran.out)
        check(document)
        check_run(document["run"])
        return ran.code, document

    return report_of


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_schema_is_described(name):
    text = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    assert f"`bnfold/schemas/{name}`" in text


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_schema_is_a_schema(name):
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_a_key_that_is_not_documented_is_found():
    document = {"format": "bnfold.runtimes/1", "runtimes": [], "more": 1}
    with pytest.raises(ValidationError, match="more"):
        check(document)


def test_every_object_says_which_keys_it_has():
    """An object that is a mapping says what its values are; any other has no further keys."""
    for name, schema in SCHEMAS.items():
        for found in objects(schema):
            mapping = "properties" not in found and "type" in found["additionalProperties"]
            assert mapping or found["additionalProperties"] is False, (name, found)


def objects(schema) -> list[dict]:
    inner = schema.values() if isinstance(schema, dict) else schema
    inner = [one for one in inner if isinstance(one, (dict, list))]
    own = [schema] if isinstance(schema, dict) and schema.get("type") == "object" else []
    return own + [found for one in inner for found in objects(one)]


def test_merge(report_of, pair):
    code, report = report_of("merge", *pair)
    assert code == 0
    assert report["layers"]
    assert report["engines"]
    assert [len(report["run"][files]) for files in ("inputs", "outputs")] == [2, 2]
    assert report["run"]["options"]["eps"] is None
    assert report["run"]["options"]["phase"] == "TEST"


def test_merge_with_a_verification(report_of, pair, opencv):
    code, report = report_of("merge", *pair, "--verify", "--runtime", "opencv")
    assert code == 0
    assert report["verification"]["outputs"]


def test_merge_onto_another_file(report_of, pair, folder, run):
    assert run("merge", *pair).code == 0
    given = folder / "given.prototxt"
    text = (folder / "deploy.folded.prototxt").read_text().replace('"data"', '"image"')
    given.write_text(text)
    made = ("--output-weights", folder / "given.caffemodel")
    code, report = report_of("merge", *pair, "--onto", given, *made)
    assert code == 0
    assert report["output_model"] is None
    assert report["onto"]["renamed"] == [{"name": "data", "becomes": "image"}]


def test_deploy(report_of, folder, pair):
    train = "--model", folder / "train_val.prototxt", "--input", "raw:1,1,8,8"
    code, report = report_of("deploy", *train, "--strip")
    assert code == 0
    assert report["changes"]
    code, report = report_of("deploy", *train, *pair[2:], "--merge", "--force", "--modern")
    assert code == 0
    assert report["merged"]["layers"]
    words = 'layer { name: "d" type: "ImageData" top: "data" transform_param { crop_size: 8 } }'
    rest = 'layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }'
    (folder / "images.prototxt").write_text(words + rest)
    code, report = report_of("deploy", "--model", folder / "images.prototxt")
    assert report["preprocess"] == {"crop": [8, 8]}


def test_inspect_of_a_network_that_is_to_take_raw_pixels(report_of, tmp_path):
    net = Model(seed=3).input("data", (1, 3, 8, 8)).conv("c", "data", 5, words="pad: 1")
    options = ("--input-mean", "1,2,3", "--input-swap")
    code, report = report_of("inspect", *net.save(tmp_path), *options)
    assert code == 0
    (found,) = report["inputs"]
    assert (found["mean"], found["order_into"], found["code"]) == ([1, 2, 3], ["c"], "padding")


def test_inspect_without_weights(report_of, pair):
    code, report = report_of("inspect", *pair[:2])
    assert code == 0
    assert report["weights"] is None


@pytest.mark.parametrize("reader", ["bvlc", "ncnn"])
def test_what_a_reader_does_not_load(report_of, pair, folder, reader):
    model = folder / "deploy.prototxt"
    model.write_text(model.read_text().replace('type: "BatchNorm"', 'type: "BN" more: 1', 1))
    code, report = report_of("inspect", *pair, "--for", reader)
    assert code == 0
    assert report["problems"]


def test_inspect_of_branches(report_of, tmp_path):
    model, weights = small_rep_vgg().save(tmp_path)
    code, report = report_of("inspect", "--model", model, "--weights", weights)
    assert code == 0
    assert report["branches"]


def test_inspect_that_tidies(report_of, tmp_path):
    net = small_rep_vgg()
    net.layer('name: "drop" type: "Dropout" bottom: "data" top: "dropped"')
    net.channels["dropped"] = net.channels["data"]
    model, weights = net.relu("last", "dropped", "last").save(tmp_path)
    code, report = report_of("inspect", "--model", model, "--weights", weights, "--tidy")
    assert code == 0
    assert report["tidied"]


def test_prove(report_of, run, pair, folder):
    assert run("merge", *pair, "--quiet").code == 0
    code, report = report_of("prove", *pair)
    assert (code, report["verdict"], report["ends"]) == (0, "proved", None)
    assert report["coefficients"] == sum(layer["coefficients"] for layer in report["layers"])
    (folder / "digits.folded.caffemodel").write_bytes((folder / "digits.caffemodel").read_bytes())
    (folder / "deploy.folded.prototxt").write_bytes((folder / "deploy.prototxt").read_bytes())
    code, report = report_of("prove", *pair)
    assert (code, report["verdict"], report["deviation"]) == (0, "proved", 0)
    code, report = report_of("prove", *pair, "--folded-model", pair[1], "--folded-weights", pair[3])
    assert report["verdict"] == "proved"


def test_verify_that_passes_and_verify_that_fails(run, report_of, pair, folder, opencv):
    assert run("merge", *pair).code == 0
    code, report = report_of("verify", *pair, "--runtime", "opencv", "--layers")
    assert (code, report["passed"]) == (0, True)
    assert report["layers"]
    folded = folder / "digits.folded.caffemodel"
    folded.unlink()
    assert run("merge", *pair, "--eps", "0.1", "--force").code == 0
    code, report = report_of("verify", *pair, "--runtime", "opencv")
    assert (code, report["passed"]) == (1, False)
    assert report["parted"]


def test_accuracy(run, report_of, pair, folder, opencv):
    assert run("merge", *pair).code == 0
    images = ("--images", folder / "val.txt", "--limit", "24")
    preprocess = ("--preprocess", folder / "preprocess.toml")
    code, report = report_of("accuracy", *pair, *images, *preprocess, "--runtime", "opencv")
    assert code == 0
    assert report["images"] == 24


def test_bench(run, report_of, pair, opencv):
    assert run("merge", *pair).code == 0
    code, report = report_of("bench", *pair, "--runtime", "opencv", "--repeats", "10")
    assert code == 0
    assert report["comparisons"]


def test_prune_and_prune_with_merge_and_images(report_of, pair, folder, opencv):
    least = ("--ratio", "0.1", "--round", "1")
    code, report = report_of("prune", *pair, *least)
    assert code == 0
    assert report["merged"] is None
    images = ("--images", folder / "val.txt", "--limit", "24", "--runtime", "opencv")
    preprocess = ("--preprocess", folder / "preprocess.toml")
    code, report = report_of("prune", *pair, *least, "--merge", "--force", *images, *preprocess)
    assert code == 0
    assert report["merged"]["layers"]
    assert report["accuracy"]["images"] == 24


def test_run_and_verify_with_what_was_recorded(report_of, pair, folder, opencv):
    kept = ("--save-inputs", folder / "in.npz", "--output", folder / "out.npz")
    code, report = report_of("run", *pair, *kept, *OPENCV)
    assert (code, report["values"][0]["name"]) == (0, "prob")
    again = ("--inputs", folder / "in.npz", "--recorded", folder / "out.npz")
    code, report = report_of("verify", *pair, *again, *OPENCV)
    assert (code, report["passed"]) == (0, True)


def test_attest(report_of, pair, folder, opencv):
    code, _ = report_of("merge", *pair, "--attest", folder / "said.json", "--verify", *OPENCV)
    assert code == 0
    statement = json.loads((folder / "said.json").read_text())
    schema = SCHEMAS["attestation.schema.json"]
    Draft202012Validator(schema, registry=REGISTRY).validate(statement)
    code, report = report_of("attest", "--check", folder / "said.json")
    assert (code, report["passed"]) == (0, True)


def test_runtimes(report_of):
    code, report = report_of("runtimes")
    assert code == 0
    assert {row["name"] for row in report["runtimes"]} == {"opencv", "pycaffe"}
