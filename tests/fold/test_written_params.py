"""How a parameter that a rewrite sets comes out in the prototxt."""

from __future__ import annotations

import pytest

from bnfold.fold.surgery import edit_document
from bnfold.graph import build
from bnfold.prototxt import parse

BEFORE = 'layer { name: "data" type: "Input" top: "data" }\n'


def written(layer, *settings):
    """The text of a layer after its fields were set, on one line."""
    net = build(parse(BEFORE + layer))
    for setting in settings:
        list(net.layers)[1].set(*setting)
    return " ".join(edit_document(net).render().removeprefix(BEFORE).split())


def scale(param=""):
    return f'layer {{ name: "s" type: "Scale" bottom: "data" top: "s"{param} }}'


def test_several_fields_of_a_new_message_stand_in_one():
    text = written(
        scale(), ("scale_param", "bias_term", True), ("scale_param", "axis", 2),
    )  # fmt: skip
    assert text == scale(" scale_param { bias_term: true axis: 2 }")


def test_a_new_message_of_nothing_but_defaults_is_not_written():
    assert written(scale(), ("scale_param", "bias_term", False)) == scale()


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("axis: 2", True, "axis: 2 bias_term: true"),
        ("bias_term: true axis: 2", True, "bias_term: true axis: 2"),
        ("bias_term: true axis: 2", False, "axis: 2"),
        ("bias_term: false axis: 2", False, "bias_term: false axis: 2"),
        ("bias_term: false axis: 2", True, "bias_term: true axis: 2"),
        ("bias_term: false axis: 2", None, "axis: 2"),
        ("axis: 2", None, "axis: 2"),
    ],
)
def test_a_field_is_written_only_where_it_says_something_new(before, value, after):
    text = written(scale(f" scale_param {{ {before} }}"), ("scale_param", "bias_term", value))
    assert text == scale(f" scale_param {{ {after} }}")


def test_a_float_is_written_as_short_as_it_was_meant():
    text = written(
        'layer { name: "r" type: "ReLU" bottom: "data" top: "r" }',
        ("relu_param", "negative_slope", 0.1),
    )
    assert text.endswith("relu_param { negative_slope: 0.1 } }")


def test_values_of_a_repeated_field_that_stay_stay_as_they_are_spelt():
    text = written(
        'layer { name: "e" type: "Eltwise" bottom: "data" bottom: "data" top: "e" '
        "eltwise_param { coeff: 1e-1 coeff: 2 } }",
        ("eltwise_param", "coeff", (0.1, 3.0)),
    )
    assert "coeff: 1e-1 coeff: 3" in text
