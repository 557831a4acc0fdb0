"""`merge --portable`: only what stock Caffe knows, or a list of what it does not."""

from __future__ import annotations

import json

import pytest
from models import Model

import bnfold


def network(kind: str = "DepthwiseConvolution") -> Model:
    net = Model(seed=3).input("data", (1, 4, 8, 8))
    net.conv("dw", "data", 4, group=4, kind=kind).batch_norm("b", "dw").relu("r", "dw")
    return net


def strange() -> Model:
    """A network with two layers that stock Caffe has nothing for."""
    net = network()
    net.layer(
        'name: "p" type: "Permute" bottom: "dw" top: "p" permute_param { order: [0, 2, 3, 1] }'
    )
    return net.layer('name: "m" type: "Mystery" bottom: "p" top: "m"')


@pytest.fixture
def pair(tmp_path):
    return strange().save(tmp_path)


def test_a_network_of_which_stock_caffe_knows_all_is_written(run, tmp_path, pycaffe):
    ran = run("merge", *network().save(tmp_path), "--portable")
    assert ran.code == 0
    assert "stock Caffe 1.0 knows every type, field and value of the result" in ran.out
    pycaffe.load(tmp_path / "net.folded.prototxt", tmp_path / "net.folded.caffemodel").close()


LISTED = [
    "Permute layer 'p': no such layer type; the network is refused [type, refused]",
    "Permute layer 'p': permute_param: no such field [field, refused]",
    "Mystery layer 'm': no such layer type; the network is refused [type, refused]",
]


def listed(out: str) -> list[str]:
    lines = [line for line in out.splitlines() if line.startswith("not in stock Caffe: line ")]
    return [line.split(": ", 2)[2] for line in lines]


def test_what_has_no_equal_is_listed_and_ends_with_1(run, pair, tmp_path):
    before = sorted(tmp_path.iterdir())
    ran = run("merge", *pair, "--portable")
    assert ran.code == 1
    assert listed(ran.out) == LISTED
    assert ran.err == (
        f"bnfold: {pair[0]}: stock Caffe would not load the result: {LISTED[0]}, and 2 more; no "
        "network was written (--portable=warn writes it)\n"
    )
    assert sorted(tmp_path.iterdir()) == before


def test_a_warning_writes_the_network_all_the_same(run, pair, tmp_path):
    ran = run("merge", *pair, "--portable=warn")
    assert ran.code == 0
    assert listed(ran.out) == LISTED
    text = (tmp_path / "net.folded.prototxt").read_text()
    assert 'type: "Mystery"' in text
    assert "Depthwise" not in text
    line = int(ran.out.split("not in stock Caffe: line ")[1].split()[0])
    assert 'type: "Permute"' in text.splitlines()[line - 1]


def test_a_file_may_stand_behind_the_option(run, pair):
    assert run("merge", "--portable", *pair).code == 1
    assert run("inspect", "--portable", pair[0]).code == 0


def test_another_word_is_refused(refused, pair):
    refused("merge", *pair, "--portable=maybe", says=["maybe", "'refuse', 'warn'"])


def test_inspect_lists_and_does_not_judge(run, pair):
    ran = run("inspect", *pair, "--portable")
    assert ran.code == 0
    assert listed(ran.out) == LISTED


def test_quiet_leaves_the_line_of_the_error(run, pair):
    ran = run("merge", *pair, "--portable", "--quiet")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)


def test_json_has_the_list_also_where_it_fails(run, pair, tmp_path):
    ran = run("merge", *pair, "--portable", "--json", tmp_path / "r.json")
    assert ran.code == 1
    found = json.loads((tmp_path / "r.json").read_text())
    assert [one["layer"] for one in found["unportable"]] == ["p", "p", "m"]
    assert found["output_model"] is None
    plain = json.loads(run("inspect", *pair, "--json", "-").out)
    assert "unportable" not in plain


def test_the_library_raises_with_the_report(pair):
    with pytest.raises(bnfold.CheckFailedError) as error:
        bnfold.merge(*pair, portable="refuse")
    assert len(error.value.report.unportable) == 3
    with pytest.raises(bnfold.BnfoldError, match="--portable 'maybe'"):
        bnfold.inspect(*pair, portable="maybe")


def test_the_other_rewrites_for_stock_caffe_are_on(run, pair):
    out = run("inspect", *pair, "--portable").out
    assert "rewritten dw (DepthwiseConvolution) as Convolution" in out


def test_a_batch_norm_of_five_blobs_that_cannot_fold_becomes_a_scale(tmp_path, pycaffe):
    net = (
        Model(seed=3)
        .input("data", (1, 4, 8, 8))
        .layer('name: "t" type: "TanH" bottom: "data" top: "t"')
    )
    ones = [[0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 1.0, 2.0], [1.0], [1.0, 1.5, 2.0, 1.0], [0.0] * 4]
    net.layer('name: "b" type: "BatchNorm" bottom: "t" top: "b"', "b", ones)
    net.layer('name: "u" type: "TanH" bottom: "b" top: "u"')
    report = bnfold.merge(*net.save(tmp_path), portable="refuse")
    assert report.unportable == ()
    pycaffe.load(report.output_model, report.output_weights).close()
    kept = bnfold.merge(*net.save(tmp_path), portable="warn", collapse=False, force=True)
    assert [one.kind.value for one in kept.unportable] == ["blobs"]
