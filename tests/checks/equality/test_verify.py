"""`bnfold.verify` finds what is wrong, names it, and passes what is right."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from models import Model

import bnfold
from bnfold import VerifyOptions
from tests.checks.mistakes import EXAMPLE, edit, nudge, swap, with_wrong_eps


@pytest.fixture
def pair(tmp_path):
    """The example, and its folded files beside it."""
    for name in ("deploy.prototxt", "digits.caffemodel"):
        shutil.copy(EXAMPLE / name, tmp_path)
    model, weights = tmp_path / "deploy.prototxt", tmp_path / "digits.caffemodel"
    bnfold.merge(model, weights)
    return model, weights


@pytest.fixture
def check(runtime):
    """Verify in each engine in turn."""

    def check(model, weights, **options):
        options = VerifyOptions(runtime=runtime.name, **options)
        return bnfold.verify(model, weights, options=options)

    return check


def folded(path):
    return path.with_name(f"{path.stem}.folded{path.suffix}")


# ---------------------------------------------------------------- the same function


@pytest.mark.parametrize("seed", range(3))
def test_an_honest_fold_passes_with_room_to_spare(pair, check, seed):
    found = check(*pair, layers=True, seed=seed)
    assert found.passed
    assert found.failure == ""
    for compared in (*found.outputs, *found.scores, *found.layers):
        assert compared.difference.relative < 0.4 * compared.tolerance, compared.pair
        assert compared.tolerance < 1e-3


def test_what_is_compared_with_what(pair, check):
    found = check(*pair, layers=True)
    assert [c.pair.name for c in found.outputs] == ["prob"]
    assert [c.pair.name for c in found.scores] == ["fc6"]
    ends = {c.pair.layer: c.pair.end for c in found.layers}
    assert ends["conv1"] == "conv1/scale"
    assert ends["conv3"] == "conv3/scale"
    assert ends["conv1/relu"] is None
    assert ends["fc6"] is None
    order = [c.pair.layer for c in found.layers]
    assert order.index("conv1") < order.index("conv1/relu") < order.index("conv2")
    top1 = found.outputs[0].difference.top1
    assert (top1.same, top1.total) == (8, 8)
    assert found.outputs[0].difference.cosine == pytest.approx(1, abs=1e-9)


def test_a_real_network_passes(real_models, opencv, tmp_path):
    folder = real_models("nsfw")
    model, weights = folder / "deploy.prototxt", next(folder.glob("*.caffemodel"))
    out = {"output_model": tmp_path / "f.prototxt", "output_weights": tmp_path / "f.caffemodel"}
    report = bnfold.merge(model, weights, **out)
    found = bnfold.verify(
        model,
        weights,
        folded_model=report.output_model,
        folded_weights=report.output_weights,
        options=VerifyOptions(random=2, layers=True, runtime="opencv", threads=1),
    )
    assert found.passed, found.failure
    assert len(found.layers) > 100


@pytest.mark.parametrize("depth", [1, 12])
def test_networks_of_any_depth_pass(runtime, tmp_path, depth):
    for seed in range(4):
        net = Model(seed).input("data", (2, 3, 8, 8))
        last = "data"
        for i in range(depth):
            net.conv(f"c{i}", last, 6, words="pad: 1", bias=bool(i % 2))
            last = f"c{i}"
            net.batch_norm(f"b{i}", last).scale(f"s{i}", last).relu(f"r{i}", last)
        net.inner_product("f", last, 3, 6 * 64)
        net.layer('name: "p" type: "Softmax" bottom: "f" top: "p"')
        options = VerifyOptions(runtime=runtime.name, layers=True)
        report = bnfold.merge(*net.save(tmp_path), force=True, verify=options)
        assert report.verification.passed


def test_images_are_fed_through_preprocessing(pair, check):
    preprocess = bnfold.PreprocessOptions(scale=1 / 256)
    found = check(*pair, images=EXAMPLE / "val.txt", preprocess=preprocess)
    assert found.passed
    assert found.images == 360
    assert found.outputs[0].difference.top1.same == 360


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3", "conv4", "fc5", "fc6"])
@pytest.mark.parametrize("mistake", [nudge, swap])
def test_the_layer_with_a_mistake_is_named(pair, check, layer, mistake):
    edit(folded(pair[1]), layer, mistake)
    found = check(*pair)
    assert not found.passed
    assert found.parted.pair.layer == layer
    assert f"the networks part at layer '{layer}'" in found.failure
    line = found.parted.pair.line
    assert f"line {line} of deploy.folded.prototxt" in found.failure
    assert f'name: "{layer}"' in "".join(
        folded(pair[0]).read_text().splitlines()[line - 1 : line + 1]
    )
    if mistake is nudge:
        assert found.parted.difference.channel == 5
        assert "channel 5 differs most" in found.failure


@pytest.mark.parametrize(
    ("layer", "line", "other"),
    [
        ("conv3", "    eps: 0.001\n", "    eps: 1e-5\n"),
        ("fc5", "eps: 2e-2", "eps: 1e-3"),
    ],
)
def test_a_wrong_eps_is_named(tmp_path, pair, check, layer, line, other):
    with_wrong_eps(tmp_path, *pair, line, other)
    found = check(*pair)
    assert not found.passed
    assert found.parted.pair.layer == layer


def test_a_mistake_hidden_by_a_sure_softmax_is_seen_in_its_scores(tmp_path, check):
    net = Model(3).input("data", (1, 3, 6, 6)).conv("c", "data", 4).batch_norm("b", "c")
    net.inner_product("f", "c", 3, 64)
    net.net.layer[-1].blobs[1].data[:] = [900, 0, 0]
    net.layer('name: "p" type: "Softmax" bottom: "f" top: "p"')
    files = net.save(tmp_path)
    bnfold.merge(*files)
    edit(folded(files[1]), "c", swap)
    found = check(*files)
    assert found.outputs[0].within
    assert not found.scores[0].within
    assert found.parted.pair.layer == "c"


def test_a_batch_norm_taken_out_and_not_folded_is_named(tmp_path, check):
    net = Model(5).input("data", (1, 3, 6, 6)).conv("a", "data", 4)
    with_norm = Model(5).input("data", (1, 3, 6, 6)).conv("a", "data", 4).batch_norm("n", "a")
    files = with_norm.save(tmp_path)
    net.save(tmp_path, "net.folded")
    found = check(*files)
    assert found.parted.pair.layer == "a"
    assert found.parted.pair.end == "n"


def test_nan_is_no_proof(pair, check):
    def poison(arrays):
        arrays[0][0, 0] = np.nan

    edit(pair[1], "fc6", poison)
    edit(folded(pair[1]), "fc6", poison)
    found = check(*pair)
    assert not found.passed
    assert "NaN" in found.failure


def test_a_layer_that_is_meant_to_differ_is_left_out_and_listed(pair, check):
    edit(folded(pair[1]), "conv4", lambda arrays: arrays[0].__imul__(2))
    found = check(*pair, altered=frozenset({"conv4", "conv4/relu"}), layers=True)
    assert found.altered == ("conv4", "conv4/relu")
    assert found.parted.pair.layer == "fc5"


def test_outputs_that_agree_while_a_layer_does_not_fail_only_with_layers(tmp_path, check):
    # Twice as much out of one, half as much into the other: the same function.
    net = Model(4).input("data", (1, 3, 6, 6)).conv("a", "data", 4).relu("r", "a")
    net.conv("b", "a", 3)
    files = net.save(tmp_path)
    bnfold.merge(*files)
    edit(folded(files[1]), "a", lambda arrays: [array.__imul__(2) for array in arrays])
    edit(folded(files[1]), "b", lambda arrays: arrays[0].__imul__(0.5))
    assert check(*files).passed
    found = check(*files, layers=True)
    assert found.outputs_agree
    assert not found.passed
    assert found.parted.pair.layer == "a"
    assert "every output agrees" in found.failure
    assert check(*files, layers=True, altered=frozenset({"a", "r"})).passed


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('top: "prob"', 'top: "probability"', "output 'prob' is missing"),
        ("dim: 8 dim: 8", "dim: 9 dim: 9", "input 'data' has the shape (1, 1, 9, 9), not"),
    ],
)
def test_other_inputs_or_outputs_are_a_failure(pair, runtime, tmp_path, old, new, says):
    text = folded(pair[0]).read_text()
    assert old in text
    folded(pair[0]).write_text(text.replace(old, new))
    if "dim" in old:
        # The 9x9 image would not fit fc5, so both get a network that ends before it.
        for path in (pair[0], folded(pair[0])):
            content = path.read_text()
            path.write_text(content[: content.index("# fully connected")])
    found = bnfold.verify(*pair, options=VerifyOptions(runtime=runtime.name))
    assert not found.passed
    assert says in found.failure


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "options", [{"random": 0}, {"seed": -1}, {"tolerance": -1.0}, {"tolerance": float("nan")}]
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(bnfold.BnfoldError, match="give"):
        VerifyOptions(**options)


def test_a_missing_fold_is_told_how_to_make(pair):
    folded(pair[0]).unlink()
    with pytest.raises(bnfold.BnfoldError, match=r"make it with `bnfold merge --model"):
        bnfold.verify(*pair)


def test_random_inputs_have_the_scale_of_the_training(pair, check):
    # The images are 0.29 +- 0.35 on the whole; the file does not say so, its statistics do.
    found = check(*pair)
    assert "0.27 ± 0.338" in found.inputs
    assert "conv1/bn" in found.inputs
