"""`bnfold inspect --for`."""

from __future__ import annotations

import json

import pytest

import bnfold
from bnfold.cli.inspect import inspect
from bnfold.graph.readers import READERS

TEXT = """\
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
layer {
  name: "ip"
  type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 1 more: 1 transpose: true }
}
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(TEXT)
    return path


def test_each_problem_has_its_line_and_the_list_its_source(run, model):
    ran = run("inspect", model, "--for", "bvlc")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        f"{model}:5: InnerProduct layer 'ip': inner_product_param.more: no such field "
        "[field, refused]\n"
        "BVLC Caffe 1.0 does not load it: 1 refused, 0 passed over\n"
        f"the table is of {READERS['bvlc'].source}\n"
    )


def test_what_is_lost_does_not_keep_a_network_from_loading(run, model):
    ran = run("inspect", model, "--for", "opencv4")
    assert ran.code == 0
    assert "inner_product_param.transpose: true is passed over without a word" in ran.out
    assert "OpenCV 4 finds nothing that it does not load: 0 refused, 1 passed over" in ran.out


def test_the_command_knows_every_table():
    (option,) = (param for param in inspect.params if param.name == "reader")
    assert list(option.type.choices) == list(READERS)


def test_json_is_printed_or_written(run, model, tmp_path):
    ran = run("inspect", model, "--for", "mnn", "--json", "-")
    found = json.loads(ran.out)
    assert (found["reader"], found["loads"]) == ("mnn", False)
    assert [one["field"] for one in found["problems"]] == ["inner_product_param.more"]
    assert run("inspect", model, "--for", "mnn", "--json", tmp_path / "r.json", "-q").out == ""
    report = bnfold.inspect_for("mnn", model).to_json()
    for other in (json.loads((tmp_path / "r.json").read_text()), report):
        assert found | {"run": None} == other | {"run": None}


def test_phase_says_which_layers_run(run, model):
    model.write_text(f'{TEXT}layer {{ name: "t" type: "Mystery" include {{ phase: TRAIN }} }}\n')
    assert "Mystery" not in run("inspect", model, "--for", "bvlc").out
    assert "Mystery" in run("inspect", model, "--for", "bvlc", "--phase", "TRAIN").out


def test_options_of_a_fold_have_no_effect(refused, model):
    refused("inspect", model, "--for", "ncnn", "--keep", "ip", says=["--keep", "--for"])


def test_a_file_that_is_no_network(refused, model):
    model.write_text('name: "n"')
    refused("inspect", model, "--for", "ncnn", says=[str(model), "no `layer"])


def test_names_of_a_file_do_not_reach_the_terminal_raw(run, model):
    model.write_text(TEXT.replace('"ip"', r'"\033[31mip"'))
    assert "\033" not in run("inspect", model, "--for", "bvlc").out


def test_the_library_names_what_is_near_to_a_reader_that_there_is_not(model):
    with pytest.raises(bnfold.BnfoldError, match=r"no reader 'ncn'.*'ncnn'"):
        bnfold.inspect_for("ncn", model)
