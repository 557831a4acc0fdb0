"""The network as it executes: values between two writes, readers, phases, inputs."""

from __future__ import annotations

import pytest

from bnfold.graph import Phase, build
from bnfold.prototxt import PrototxtError, parse


def net(text: str, phase: Phase = Phase.TEST):
    return build(parse(text, "net.prototxt"), phase)


def layer(name, bottoms=(), tops=(), more="", kind="ReLU"):
    words = " ".join([*(f'bottom: "{b}"' for b in bottoms), *(f'top: "{t}"' for t in tops)])
    return f'layer {{ name: "{name}" type: "{kind}" {words} {more} }}\n'


def by_name(built):
    return {layer.name: layer for layer in [*built.layers, *built.outside]}


DATA = layer("data", tops=["data"], kind="Input")


def test_in_place_layer_ends_one_value_and_begins_another_of_that_name():
    text = DATA + layer("a", ["data"], ["x"]) + layer("b", ["x"], ["x"]) + layer("c", ["x"], ["y"])
    layers = by_name(net(text))
    first, second = layers["a"].tops[0], layers["b"].tops[0]
    assert (first.name, second.name) == ("x", "x")
    assert first is not second
    assert first.readers == [layers["b"]]
    assert second.readers == [layers["c"]]
    assert second.producer is layers["b"]


def test_readers_of_one_name_may_read_different_values():
    text = DATA + layer("a", ["data"], ["x"]) + layer("early", ["x"], ["e"])
    text += layer("b", ["x"], ["x"]) + layer("late", ["x"], ["l"])
    layers = by_name(net(text))
    assert layers["early"].bottoms == layers["a"].tops
    assert layers["late"].bottoms == layers["b"].tops


def test_outputs_are_the_values_that_nobody_reads():
    text = (
        DATA + layer("a", ["data"], ["x"]) + layer("b", ["x"], ["x"]) + layer("c", ["data"], ["y"])
    )
    layers = by_name(net(text))
    assert [layers[name].tops[0].is_output for name in "abc"] == [False, True, True]


def test_layer_that_reads_a_value_twice_is_its_reader_twice():
    layers = by_name(net(DATA + layer("a", ["data", "data"], ["x"])))
    assert layers["data"].tops[0].readers == [layers["a"]] * 2


@pytest.mark.parametrize(
    "shape",
    ["input_dim: [1, 2, 3, 4]", "input_shape { dim: [1, 2, 3, 4] }"],
)
def test_legacy_inputs_are_values_without_a_producer(shape):
    built = net(f'input: "data" {shape}\n' + layer("a", ["data"], ["x"]))
    (value,) = built.inputs
    assert (value.name, value.producer) == ("data", None)
    assert value.readers == list(built.layers)


def test_legacy_input_without_a_shape_gives_way_to_a_layer_that_makes_it():
    built = net('input: "data"\n' + DATA + layer("a", ["data"], ["x"]))
    assert built.inputs == []
    assert by_name(built)["a"].bottoms[0].producer.name == "data"


# ---------------------------------------------------------------- phases

RULES = [
    ("", True, True),
    ("include { phase: TEST }", True, False),
    ("include { phase: TRAIN }", False, True),
    ("include { phase: 1 }", True, False),
    ("exclude { phase: TEST }", False, True),
    ("include { phase: TEST } include { phase: TRAIN }", True, True),
    ("exclude { phase: TEST } exclude { phase: TRAIN }", False, False),
    ("include { }", True, True),
    ("include { min_level: 1 }", False, False),
    ("include { max_level: 0 }", True, True),
    ("include { phase: TEST max_level: -1 }", False, False),
    ('include { stage: "deploy" }', False, False),
    ('include { not_stage: "deploy" }', True, True),
    ('exclude { stage: "deploy" }', True, True),
    ("phase: TRAIN", True, True),
]


@pytest.mark.parametrize(("rule", "in_test", "in_train"), RULES)
def test_rules_decide_which_layers_run(rule, in_test, in_train):
    text = DATA + layer("a", ["data"], ["x"], rule)
    for phase, runs in ((Phase.TEST, in_test), (Phase.TRAIN, in_train)):
        built = net(text, phase)
        assert ("a" in {layer.name for layer in built.layers}) is runs
        assert ("a" in {layer.name for layer in built.outside}) is not runs


def test_rules_see_the_level_and_the_stages_of_the_file():
    text = 'state { level: 2 stage: "deploy" stage: "fast" }\n' + DATA
    text += layer("a", ["data"], ["x"], 'include { min_level: 2 stage: "deploy" stage: "fast" }')
    text += layer("b", ["data"], ["y"], 'include { stage: "deploy" not_stage: "fast" }')
    assert [layer.name for layer in net(text).layers] == ["data", "a"]


def test_include_and_exclude_together_are_refused_as_caffe_does():
    text = DATA + layer("a", ["data"], ["x"], "include { } exclude { }")
    with pytest.raises(PrototxtError, match=r"net\.prototxt:2:1: .*include and exclude"):
        net(text)


def test_two_phases_may_use_one_layer_name_and_one_top():
    text = layer("data", tops=["data"], more="include { phase: TRAIN }", kind="Data")
    text += layer("data", tops=["data"], more="include { phase: TEST }", kind="Data")
    built = net(text + layer("a", ["data"], ["x"]))
    (running,) = (layer for layer in built.layers if layer.name == "data")
    assert built.twins(running) == built.outside


def test_outside_layer_is_a_reader_of_what_stands_under_the_name_at_its_place():
    outside = layer("o", ["x"], more="include { phase: TRAIN }", kind="Silence")
    text = DATA + layer("a", ["data"], ["x"]) + layer("b", ["x"], ["x"]) + outside
    layers = by_name(net(text))
    assert layers["a"].tops[0].outside_readers == []
    assert layers["b"].tops[0].outside_readers == [layers["o"]]


def test_outside_layer_also_reads_what_is_under_an_in_place_layer_of_this_phase_alone():
    only = layer("b", ["x"], ["x"], "include { phase: TEST }")
    outside = layer("o", ["x"], more="include { phase: TRAIN }", kind="Silence")
    layers = by_name(net(DATA + layer("a", ["data"], ["x"]) + only + outside))
    for name in "ab":
        assert layers[name].tops[0].outside_readers == [layers["o"]]


# ---------------------------------------------------------------- V1 and sharing


@pytest.mark.parametrize(("word", "kind"), [("CONVOLUTION", "Convolution"), ("14", "InnerProduct")])
def test_v1_types_are_read_by_their_modern_names(word, kind):
    text = (
        f'input: "data" input_dim: [1, 1, 1, 1] layers {{ name: "a" type: {word} bottom: "data" }}'
    )
    (read,) = net(text).layers
    assert (read.type, read.is_v1) == (kind, True)


def test_v1_and_modern_layers_in_one_file_are_refused():
    with pytest.raises(PrototxtError, match="both"):
        net(DATA + 'layers { name: "a" type: CONVOLUTION }')


def test_v0_layers_are_refused_with_advice():
    with pytest.raises(PrototxtError, match=r"V0.*upgrade"):
        net('layers { layer { name: "a" type: "conv" } bottom: "data" }')


def test_sharers_are_found_by_param_name_in_every_phase():
    text = DATA + layer("a", ["data"], ["x"], 'param { name: "w" } param { lr_mult: 2 }')
    text += layer("b", ["data"], ["y"], 'param { name: "w" } include { phase: TRAIN }')
    built = net(text + layer("c", ["data"], ["z"], 'param { name: "v" }'))
    layers = by_name(built)
    assert list(built.sharers(layers["a"])) == [layers["b"]]
    assert list(built.sharers(layers["c"])) == []


def test_v1_params_are_names_by_themselves():
    text = 'input: "data" input_dim: [1, 1, 1, 1]'
    for name in "ab":
        text += f' layers {{ name: "{name}" type: CONVOLUTION top: "{name}" param: "w" }}'
    built = net(text)
    layers = by_name(built)
    assert list(built.sharers(layers["a"])) == [layers["b"]]


# ---------------------------------------------------------------- what Caffe refuses, too


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (layer("a", ["x"], ["y"]), "which no layer above it produces in phase TEST"),
        (layer("a", ["x"], ["y"]) + layer("b", tops=["x"]), "only later, on line 2"),
        (DATA + layer("a", ["data"], ["x"]) + layer("b", ["data"], ["x"]), "already produced by"),
        (DATA + layer("a", ["data"], ["x", "x"]), "two tops named 'x'"),
        (
            DATA + layer("a", ["data"], ["x", "y"]) + layer("b", ["x", "y"], ["y"]),
            "'y' is already produced by",
        ),
        ('input: "x" input_dim: [1, 1, 1, 1]' + layer("a", tops=["x"]), "an input of the network"),
        ('input: "x" input: "x"' + layer("a", ["x"]), "as an input of the network"),
        (DATA + DATA.replace('top: "data"', 'top: "y"'), "two layers are named 'data'"),
        ("", "no `layer"),
        ('layer { name: "a" }', "no type"),
        ('layer { name: a type: "ReLU" }', "name: expected a string"),
        ("layer: 3", "layer: expected a message"),
        ('layer { type: "ReLU" include { phase: NEVER } }', "phase: expected TRAIN or TEST"),
    ],
)
def test_networks_that_cannot_run_are_errors_with_a_place(text, message):
    with pytest.raises(PrototxtError, match=r"^net\.prototxt:\d+:\d+: ") as caught:
        net(text)
    assert message in str(caught.value)
