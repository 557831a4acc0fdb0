"""In which phase a definition is read, and what becomes of its rules and batch norms."""

from __future__ import annotations

import pytest

from bnfold import BnfoldError, Phase
from tests.deploying.training import data_layer, deployed, network

CONV = (
    'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" '
    "convolution_param { num_output: 4 kernel_size: 3 } }\n"
)


def train(words: str = "", *, phase: str = "TRAIN", kind: str = "BatchNorm", rest: str = "") -> str:
    norm = f'layer {{ name: "bn" type: "{kind}" bottom: "conv" top: "conv" {words} }}\n'
    return f"layer {{ {data_layer(phase)} }}\n" + CONV + norm + rest


def test_layers_of_the_other_phase_go_and_rules_that_are_settled_too(tmp_path):
    rest = """
layer { name: "a" type: "ReLU" bottom: "conv" top: "a" include { phase: TRAIN } }
layer { name: "b" type: "ReLU" bottom: "conv" top: "b" include { phase: TEST } }
layer { name: "c" type: "ReLU" bottom: "conv" top: "c" exclude { phase: TRAIN } }
layer { name: "d" type: "ReLU" bottom: "conv" top: "d" exclude { phase: TEST } }
"""
    report, text = deployed(tmp_path, train(phase="TEST", rest=rest))
    assert report.phase is Phase.TEST
    assert text.endswith(
        """
layer { name: "b" type: "ReLU" bottom: "conv" top: "b" }
layer { name: "c" type: "ReLU" bottom: "conv" top: "c" }
"""
    )


def test_a_file_with_a_train_form_alone_is_read_in_train(tmp_path):
    report, text = deployed(tmp_path, train())
    assert report.phase is Phase.TRAIN
    assert "read in phase TRAIN" in report.summary()
    assert "include" not in text


def test_a_file_with_both_forms_is_read_in_test_unless_the_user_says_so(tmp_path):
    test = data_layer("TEST").replace("crop_size: 8", "crop_size: 6")
    text = f"layer {{ {test} }}\n" + train()
    assert deployed(tmp_path, text)[0].inputs[0].shape == (1, 3, 6, 6)
    chosen = deployed(tmp_path, text, phase="TRAIN", force=True)[0]
    assert chosen.inputs[0].shape == (1, 3, 8, 8)


def test_a_blob_that_nobody_makes_in_any_phase_is_the_error_of_test(tmp_path):
    with pytest.raises(BnfoldError, match="reads 'dat', which no layer above it produces in phase"):
        deployed(tmp_path, CONV.replace('"data"', '"dat"'))


def test_a_file_whose_rules_ask_for_a_stage_is_told_to_name_it(tmp_path):
    """As those of DIGITS, which have all forms of a network in one file."""
    rule = 'include { stage: "val" }'
    text = f"layer {{ {data_layer()} {rule} }}\n" + CONV
    with pytest.raises(BnfoldError, match=r"if a rule asks for a stage") as caught:
        deployed(tmp_path, text)
    assert "bnfold deploy" not in str(caught.value)
    _, text = deployed(tmp_path, 'state { stage: "val" }\n' + text)
    assert 'type: "Input"' in text


@pytest.mark.parametrize(
    ("kind", "words", "after"),
    [
        (
            "BatchNorm",
            "batch_norm_param { use_global_stats: false eps: 1e-3 }",
            "batch_norm_param { use_global_stats: true eps: 1e-3 }",
        ),
        (
            "BatchNorm",
            "phase: TRAIN batch_norm_param { eps: 1e-3 }",
            "batch_norm_param { eps: 1e-3 }",
        ),
        (
            "BN",
            'bn_param { scale_filler { type: "constant" } }',
            'bn_param { scale_filler { type: "constant" } bn_mode: INFERENCE }',
        ),
        (
            "BN",
            "bn_param { shift_filler { } bn_mode: LEARN }",
            "bn_param { shift_filler { } bn_mode: INFERENCE }",
        ),
    ],
)
def test_batch_norms_that_were_read_in_train_use_what_they_have_stored(
    tmp_path, kind, words, after
):
    report, text = deployed(tmp_path, train(words, kind=kind))
    assert after in text
    changes = {change.action.value for change in report.changes if change.layer == "bn"}
    assert changes == ({"rules"} if "phase:" in words else {"statistics"})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("BatchNorm", "batch_norm_param { use_global_stats: true }"),
        ("BatchNorm", ""),
        ("BN", "bn_param { frozen: true }"),
        ("BN", "bn_param { bn_mode: INFERENCE }"),
    ],
)
def test_batch_norms_that_use_what_they_have_stored_stay(tmp_path, kind, words):
    report, text = deployed(tmp_path, train(words, kind=kind))
    assert f'layer {{ name: "bn" type: "{kind}" bottom: "conv" top: "conv" {words} }}' in text
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("BatchNorm", "batch_norm_param { use_global_stats: false }"),
        ("BN", "bn_param { scale_filler { } }"),
    ],
)
def test_statistics_of_the_batch_stay_in_test_with_a_warning(tmp_path, kind, words):
    """What the training definition computes in phase TEST is what the deploy definition does."""
    report, text = deployed(tmp_path, train(words, kind=kind, phase="TEST"))
    assert words in text
    (warning,) = report.warnings
    assert "--phase TRAIN" in warning


def test_weights_of_another_network_are_refused(tmp_path):
    model = network(data_layer()).conv("conv", "data", 4)
    model.net.layer[0].name = "other"
    with pytest.raises(BnfoldError, match="do the two files belong together"):
        deployed(tmp_path, model)
