"""`bnfold prune` as a user meets it: files of channels, reports, outputs whole or not at all."""

from __future__ import annotations

import json
import re

import pytest
from models import Model


def network() -> Model:
    net = Model(seed=1).input("data", (1, 3, 8, 8))
    for name, bottom, words in (("c1", "data", ""), ("c2", "c1", "pad: 1")):
        net.conv(name, bottom, 8, 3, bias=False, words=words)
        net.batch_norm(f"{name}/bn", name).scale(f"{name}/s", name)
        net.layer(f'name: "{name}/a" type: "Sigmoid" bottom: "{name}" top: "{name}"')
    return net.conv("head", "c2", 3, 1)


@pytest.fixture
def pair(tmp_path):
    return network().save(tmp_path)


@pytest.fixture
def prune(run, pair):
    return lambda *more: run("prune", "--model", pair[0], "--weights", pair[1], *more)


def listed(folder, text: str):
    path = folder / "list.txt"
    path.write_text(text)
    return path


LISTS = {
    "lines": "c1: 0, 3-4\nc2: 7\n",
    "toml": '# made by hand\n"c1" = [0, 3, 4]\n\nc2 = [7]  # the last\n',
    "json": '{"c1": [0, 3, 4], "c2": [7]}',
}


@pytest.mark.parametrize("form", LISTS)
def test_a_file_of_channels(form, prune, tmp_path):
    ran = prune("--channels", listed(tmp_path, LISTS[form]), "--json", "-")
    assert ran.code == 0, ran.err
    layers = {one["layer"]: one["removed"] for one in json.loads(ran.out)["layers"]}
    assert layers == {"c1": [0, 3, 4], "c2": [7], "head": []}


def test_report_in_a_pipe_says_what_became_of_each_layer_and_where_it_is_not_exact(prune, tmp_path):
    ran = prune("--channels", listed(tmp_path, "c1: 0, 3"))
    assert ran.code == 0
    first, second, third, border, removed, sizes, wrote = ran.out.splitlines()
    assert first.startswith("pruned c1 (Convolution): channels 8 -> 6 parameters 216 -> 162")
    assert second.startswith("narrowed c2 (Convolution): channels 8 parameters 576 -> 432")
    assert third.startswith("kept head (Convolution): channels 3 parameters 27")
    assert re.fullmatch(r"border c2: .* off by up to [\d.e-]+; elsewhere exact", border)
    assert re.fullmatch(r"removed 2 of 19 channels, \|gamma\| up to [\d.]+", removed)
    assert re.match(r"parameters [\d,]+ -> [\d,]+, operations .* M, weights .* -> .*", sizes)
    assert wrote.endswith("net.pruned.prototxt and " + str(tmp_path / "net.pruned.caffemodel"))


def test_json_has_every_layer_before_and_after(prune, tmp_path):
    ran = prune("--ratio", "0.5", "--round", "4", "--json", tmp_path / "report.json", "--quiet")
    assert (ran.code, ran.out) == (0, "")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["format"] == "bnfold.prune/1"
    assert {one["after"]["channels"] % 4 for one in report["layers"][:2]} == {0}
    assert report["after"]["parameters"] < report["before"]["parameters"]
    size = (tmp_path / "net.pruned.caffemodel").stat().st_size
    assert report["after"]["weights_bytes"] == size
    assert report["merged"] is None


def test_a_folded_network_has_no_batch_norm_and_leaves_nothing_beside_it(prune, tmp_path):
    ran = prune("--ratio", "0.3", "--merge")
    assert ran.code == 0
    assert "folded: layers " in ran.out
    assert "BatchNorm" not in (tmp_path / "net.pruned.prototxt").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {
        *("net.prototxt", "net.caffemodel", "net.pruned.prototxt", "net.pruned.caffemodel")
    }


def test_a_dry_run_writes_nothing(prune, tmp_path):
    assert prune("--ratio", "0.3", "--dry-run").code == 0
    assert not list(tmp_path.glob("*pruned*"))


def test_excluded_layers_stay(prune):
    ran = prune("--threshold", "100", "--round", "1", "--exclude", "c1", "--json", "-")
    layers = {one["layer"]: len(one["removed"]) for one in json.loads(ran.out)["layers"]}
    assert layers == {"c1": 0, "c2": 7, "head": 0}


class TestRefusals:
    @pytest.fixture
    def refuse(self, refused, pair):
        return lambda *more, says: refused(
            "prune", "--model", pair[0], "--weights", pair[1], *more, says=says
        )

    @pytest.mark.parametrize(
        "more", [(), ("--ratio", "0.1", "--threshold", "1"), ("--ratio", "0.1", "--channels", "x")]
    )
    def test_one_way_to_choose(self, more, refuse):
        refuse(*more, says="give one of --ratio, --threshold and --channels")

    def test_values_out_of_range(self, refuse):
        refuse("--ratio", "1", says="ratio 1.0: must be at least 0 and below 1")
        refuse("--threshold", "nan", says="threshold nan: must be")
        refuse("--ratio", "0.1", "--round", "0", says="round 0: must be at least 1")
        refuse("--ratio", "0.1", "--exclude", "c9*", says="--exclude c9*: no layer has such a name")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("c1 0", "list.txt:1: not of the form"),
            ("c1: 0\nc1: 1", "list.txt:2: a second line for that layer"),
            ("c1: 1-", "list.txt:1: '1-' is no channel"),
            ("c1: 0-200000000000", "list.txt:1: '0-200000000000' is more channels"),
            ("c1: 0-900000\nc2: 0-900000", "list.txt:2: '0-900000' is more channels"),
            (f"c1: {'1' * 5000}", "list.txt:1: '1111"),
            ('{"c1": ' + "[" * 100000, "list.txt: "),
            ("c1" + " " * 100000 + "0", "list.txt:1: not of the form"),
            ("c1: 8", "channel 8 of 'c1': it has channels 0 to 7"),
            ("c9: 1", "channels of 'c9': no such layer"),
            ("head: 1", "channel 1 of 'head' cannot be removed: 'head' is an output"),
            ("c1: 0-7", "'c1': no channel would be left"),
            ('{"c1": 3}', "'c1' must have a list of channel numbers"),
            ('{"c1": [3', "list.txt: "),
        ],
    )
    def test_a_file_that_cannot_be_followed(self, text, says, refuse, tmp_path):
        refuse("--channels", listed(tmp_path, text), says=says)

    def test_a_file_that_is_not_there(self, refuse, tmp_path):
        refuse("--channels", tmp_path / "none.txt", says="none.txt: No such file")

    def test_outputs_that_exist(self, refuse, tmp_path):
        (tmp_path / "net.pruned.prototxt").write_text("mine")
        refuse("--ratio", "0.1", says="exists; use --force")


class TestAccuracy:
    """The accuracy of the smaller network, measured before it takes its name."""

    @pytest.fixture
    def on_digits(self, run, digits, tmp_path, opencv):
        folder = digits[0].parent
        outputs = tmp_path / "small.prototxt", tmp_path / "small.caffemodel"
        return lambda *more: run(
            *("prune", "--model", digits[0], "--weights", digits[1], "--ratio", "0.1"),
            *("--output-model", outputs[0], "--output-weights", outputs[1]),
            *("--images", folder / "val.txt", "--preprocess", folder / "preprocess.toml"),
            *("--runtime", "opencv", *more),
        )

    def test_is_reported_and_not_gated_unless_asked(self, on_digits, tmp_path):
        ran = on_digits("--round", "1")
        assert ran.code == 0, ran.err
        right = re.search(r"top-1 98.61 % -> [\d.]+ % \(355 -> (\d+) of 360\), .* lost", ran.out)
        assert right is not None
        assert 36 < int(right[1]) < 355
        assert {path.name for path in tmp_path.iterdir()} == {"small.prototxt", "small.caffemodel"}

    @pytest.mark.parametrize("folded", [(), ("--merge",)])
    def test_a_drop_beyond_the_bound_writes_a_report_alone(self, on_digits, tmp_path, folded):
        ran = on_digits("--round", "1", "--max-drop", "1", "--json", tmp_path / "r.json", *folded)
        assert ran.code == 1
        assert ran.err.count("\n") == 1
        assert "top-1 dropped by" in ran.err
        assert "no network was written" in ran.err
        report = json.loads((tmp_path / "r.json").read_text())
        assert report["output_model"] is None
        assert report["accuracy"]["passed"] is False
        assert [path.name for path in tmp_path.iterdir()] == ["r.json"]

    def test_is_in_the_json(self, on_digits):
        report = json.loads(on_digits("--max-drop", "100", "--json", "-").out)
        metric = report["accuracy"]["metrics"][0]
        assert (metric["name"], metric["right_before"]) == ("top-1", 355)
        assert report["accuracy"]["folded_model"] == report["output_model"]

    @pytest.mark.parametrize("more", [("--max-drop", "1"), ("--dry-run", "--images", "val.txt")])
    def test_options_that_do_not_go_together(self, prune, more):
        ran = prune("--ratio", "0.1", *more)
        assert ran.code == 2
        assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "says", "more"),
    [
        (["--ratio", "0.2"], "--round 8 and --min-channels 1", r"--round (\d+) would remove (\d+)"),
        (["--ratio", "0.01", "--round", "1"], "would go first", r"--ratio ([\d.]+) would remove"),
        (["--threshold", "0"], "a |gamma| of at most 0", r"--threshold ([\d.]+) would remove"),
        (["--ratio", "0.9", "--min-channels", "8"], "--min-channels 8", "lower --min-channels"),
    ],
)
def test_a_pruning_that_removes_nothing_says_why_and_what_would(prune, options, says, more):
    ran = prune(*options, "--dry-run", "--json", "-")
    assert ran.code == 0
    assert "no channel was removed: " in ran.err
    assert says in ran.err
    found = re.search(more, ran.err)
    assert found is not None
    if found.groups():
        option = found[0].split()[0]
        rest = [*options, "--round", "1"] if option != "--round" else options
        report = json.loads(prune(*rest, option, found[1], "--dry-run", "--json", "-").out)
        assert sum(len(layer["removed"]) for layer in report["layers"]) > 0


def test_a_dry_run_folds_the_smaller_network_too(prune):
    dry = json.loads(
        prune("--ratio", "0.5", "--round", "1", "--merge", "--dry-run", "--json", "-").out
    )
    wet = json.loads(prune("--ratio", "0.5", "--round", "1", "--merge", "--json", "-").out)
    assert dry["merged"]["layers"] == wet["merged"]["layers"]
    assert dry["after"]["layers"] == wet["after"]["layers"]
