"""Bad input: one line that says what and where, exit code 2, no output, inputs untouched."""

from __future__ import annotations

import os

import numpy as np
import pytest
from models import Model, blob

import bnfold
from bnfold.caffemodel import schema


def network(**storage) -> Model:
    net = Model(seed=1, **storage).input("data", (1, 3, 8, 8))
    net.conv("c", "data", 4).batch_norm("b", "c").scale("s", "c").relu("r", "c")
    return net.inner_product("f", "c", 2, 144).batch_norm("fb", "f")


def arguments(model, weights):
    return ["merge", "--model", model, "--weights", weights]


@pytest.fixture
def pair(tmp_path):
    return network().save(tmp_path)


@pytest.fixture
def refuses(refused, tmp_path):
    """Refuse a network after `change` was made to its text or its weights."""

    def refuses(*, text=None, change=None, says=(), net=None, options=()):
        net = net or network()
        if change is not None:
            change({record.name: record for record in net.net.layer})
        model, weights = net.save(tmp_path)
        if text is not None:
            old, new = text
            assert old in net.text
            model.write_text(net.text.replace(old, new, 1))
        line = refused(*arguments(model, weights), *options, says=says)
        refused(*arguments(model, weights), *options, "--dry-run", says=says)
        return line

    return refuses


# ---------------------------------------------------------------- files


def test_prototxt_that_is_cut_anywhere(refused, pair, run):
    model, weights = pair
    content = model.read_bytes()
    for cut in range(1, len(content), 7):
        model.write_bytes(content[:cut])
        ran = run(*arguments(model, weights), "--dry-run")
        assert ran.code in (0, 2)
        if ran.code == 2:
            assert ran.err.startswith("bnfold: ")
            assert ran.err.count("\n") == 1
    model.write_bytes(content[: len(content) // 2])
    refused(*arguments(model, weights), says=f"{model}:")


def test_caffemodel_that_is_cut_anywhere(refused, pair):
    model, weights = pair
    content = weights.read_bytes()
    starts = {0}
    for record in schema.message("NetParameter").FromString(content).layer:
        starts.add(content.index(record.SerializeToString()[:12]))
    for cut in sorted({*range(1, len(content), 97), *range(1, 40), len(content) - 1}):
        weights.write_bytes(content[:cut])
        refused(*arguments(model, weights), says=str(weights))


def test_prototxt_given_as_weights(refused, pair):
    model, _ = pair
    copy = model.with_name("copy.prototxt")
    copy.write_bytes(model.read_bytes())
    refused(*arguments(model, copy), says=[str(copy), "text", ".caffemodel"])


def test_caffemodel_given_as_model(refused, pair):
    _, weights = pair
    copy = weights.with_name("copy.caffemodel")
    copy.write_bytes(weights.read_bytes())
    refused(*arguments(copy, weights), says=[str(copy), "binary", ".prototxt"])


@pytest.mark.parametrize("which", [0, 1])
def test_one_file_given_as_both(which, refused, pair):
    refused(*arguments(pair[which], pair[which]), says=["as the model and as the weights"])


def test_swapped_arguments(refused, pair):
    model, weights = pair
    refused(*arguments(weights, model), says="give the")


@pytest.mark.parametrize("which", [0, 1])
def test_empty_file(which, refused, pair):
    pair[which].write_bytes(b"")
    refused(*arguments(*pair), says=str(pair[which]))


@pytest.mark.parametrize("which", [0, 1])
def test_folder_in_the_place_of_a_file(which, refused, pair):
    pair[which].unlink()
    pair[which].mkdir()
    refused(*arguments(*pair), says=[str(pair[which]), "directory"])


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", ["", ".", "/"])
def test_path_without_a_name(which, name, refused, pair):
    given = list(pair)
    given[which] = name
    refused(*arguments(*given))


@pytest.mark.parametrize("which", [0, 1])
def test_missing_file(which, refused, pair):
    pair[which].unlink()
    refused(*arguments(*pair), says=[str(pair[which]), "No such file", "check the path"])


@pytest.mark.parametrize("which", [0, 1])
def test_link_that_goes_in_a_circle(which, refused, pair):
    pair[which].unlink()
    pair[which].symlink_to(pair[which].name)
    before = list(map(str, pair))
    refused(*arguments(*pair), says=before[which])


@pytest.mark.parametrize("which", [0, 1])
def test_file_without_permission(which, refused, pair, monkeypatch):
    if os.geteuid() == 0:
        # Root may read everything, so the system's answer is put in its mouth.
        import bnfold.caffemodel.file
        import bnfold.merging.job
        import bnfold.merging.reading

        def denied(path, *_):
            raise PermissionError(13, "Permission denied", str(path))

        if which == 0:
            monkeypatch.setattr(bnfold.merging.reading, "load", denied)
        else:
            monkeypatch.setattr(bnfold.merging.job, "open_weights", denied)
    else:
        pair[which].chmod(0)
    refused(*arguments(*pair), says=[str(pair[which]), "Permission denied"])


def test_bytes_of_noise(refused, pair):
    noise = np.random.default_rng(5).bytes(3000)
    for path in pair:
        content = path.read_bytes()
        path.write_bytes(noise)
        refused(*arguments(*pair), says=str(path))
        path.write_bytes(content)


# ---------------------------------------------------------------- the network


def test_two_layers_of_one_name(refuses):
    says = ["net.prototxt:", "two layers are named 'c'", "line 5"]
    refuses(text=('name: "s"', 'name: "c"'), says=says)


def test_bottom_that_nobody_produces(refuses):
    says = ["net.prototxt:18:", "'nowhere'", "spelling"]
    refuses(text=('"ReLU" bottom: "c"', '"ReLU" bottom: "nowhere"'), says=says)


def test_bottom_that_is_produced_only_later(refuses):
    refuses(text=('"ReLU" bottom: "c"', '"ReLU" bottom: "f"'), says=["only later", "line"])


def test_top_that_two_layers_produce(refuses):
    refuses(text=('bottom: "c" top: "f"', 'bottom: "c" top: "data"'), says=["'data'", "already"])


def test_layer_with_two_tops_of_one_name(refuses):
    refuses(text=('top: "f"', 'top: "f" top: "f"'), says=["two tops named 'f'"])


def test_layer_without_a_type(refuses):
    refuses(text=('type: "ReLU"', ""), says=["net.prototxt:", "no type"])


def test_batch_norm_with_two_bottoms(refuses):
    changed = ('"BatchNorm" bottom: "c"', '"BatchNorm" bottom: "c" bottom: "data"')
    refuses(text=changed, says=["'b'", "2 bottoms"])


def test_text_without_layers(refused, pair):
    pair[0].write_text('name: "x"\n')
    refused(*arguments(*pair), says=[str(pair[0]), "no `layer"])


def test_type_of_a_v1_layer_that_is_a_message(refused, pair):
    pair[0].write_text('layers { name: "x" type { } }\n')
    refused(*arguments(*pair), says=f"{pair[0]}:1:")


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("batch_norm_param {", "batch_norm_param { eps: tiny", "eps"),
        ("batch_norm_param {", 'batch_norm_param { eps: "1e-5"', "eps"),
        ("batch_norm_param {", "batch_norm_param { eps: 1 eps: 2", "eps"),
        ("batch_norm_param {", "batch_norm_param { eps: -1e-5", "eps"),
        ("batch_norm_param {", "batch_norm_param { eps: nan", "eps"),
        ("batch_norm_param {", "batch_norm_param { eps: 1e39", "eps"),
        ("batch_norm_param {", "batch_norm_param { use_global_stats: yes", "use_global_stats"),
        ("bias_term: true", "bias_term: maybe", "bias_term"),
        ("bias_term: true", "bias_term: 2", "bias_term"),
        ("num_output: 4", "num_output: -4", "num_output"),
        ("num_output: 4", "num_output: four", "num_output"),
        ("num_output: 4", "num_output: 4 group: 1.5", "group"),
        ("num_output: 4", "num_output: 4 engine: TURBO", "engine"),
        ("kernel_size: 3", "kernel_size { }", "kernel_size"),
        ("convolution_param {", "convolution_param { } convolution_param {", "convolution_param"),
        ("scale_param {", "scale_param { axis: one", "axis"),
    ],
)
def test_bad_value_in_the_prototxt_names_file_line_and_field(old, new, field, refuses):
    line = refuses(text=(old, new), says=[f"{field}: "])
    place = line.removeprefix("bnfold: ").split(" ")[0]
    path, number, column, _ = place.rsplit(":", 3)
    assert path.endswith("net.prototxt")
    assert int(number) > 1
    assert int(column) >= 1


@pytest.mark.parametrize("written", ["num_output: 0", ""])
def test_convolution_without_outputs(written, refuses):
    refuses(text=("num_output: 4", written), says=["'c'", "num_output"])


# ---------------------------------------------------------------- weights of another network


def test_weights_with_other_names(refuses):
    def rename(records):
        for record in records.values():
            record.name += "_other"

    refuses(change=rename, says=["belong together"])


def test_weights_without_one_of_the_layers(refuses):
    refuses(change=lambda r: setattr(r["s"], "name", "x"), says=["'s'", "no weights", "belong"])


def test_weights_of_another_shape(refuses):
    refuses(text=("num_output: 4", "num_output: 5"), says=["belong together"])
    refuses(text=("kernel_size: 3", "kernel_size: 5"), says=["'c'", "4x3x3x3", "kernel 5"])
    refuses(text=("num_output: 4", "num_output: 4 group: 3"), says=["'c'", "group 3"])


def test_weights_of_a_transposed_matrix(refuses):
    says = ["'f'", "2x144", "axis 1"]
    refuses(text=("num_output: 2", "num_output: 2 transpose: true"), says=says)


def test_bias_term_that_does_not_agree(refuses):
    refuses(text=("num_output: 4", "num_output: 4 bias_term: false"), says=["'c'", "2 blobs"])
    refuses(change=lambda r: r["c"].blobs.pop(), says=["'c'", "1 blob ", "weight and bias"])
    refuses(text=("bias_term: true", "bias_term: false"), says=["'s'", "2 blobs"])
    refuses(change=lambda r: r["s"].blobs.pop(), says=["'s'", "1 blob "])


@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_batch_norm_with_a_wrong_count_of_blobs(count, refuses):
    def change(records):
        del records["b"].blobs[count:]
        while len(records["b"].blobs) < count:
            records["b"].blobs.add().CopyFrom(blob(np.ones(4)))

    refuses(change=change, says=["'b'", "belong together"])


@pytest.mark.parametrize("index", [0, 1, 2])
def test_batch_norm_with_a_blob_of_a_wrong_size(index, refuses):
    # The first blob says how many channels there are, and so the second does not fit it.
    says = [
        ["'b'", "variance", "4 values, expected 7"],
        ["'b'", "variance", "7 values, expected 4"],
        ["'b'", "factor", "7 values, expected 1"],
    ][index]
    refuses(change=lambda r: r["b"].blobs[index].CopyFrom(blob(np.ones(7))), says=says)


def test_blob_without_values(refuses):
    for name in "cbs":
        refuses(change=lambda r, n=name: r[n].blobs[0].ClearField("data"), says=f"'{name}'")


def test_weight_of_no_values_at_all(refuses):
    refuses(change=lambda r: r["c"].blobs[0].CopyFrom(blob(np.ones((4, 0, 3, 3)))), says="'c'")


def test_weight_of_too_few_axes(refuses):
    refuses(change=lambda r: r["c"].blobs[0].CopyFrom(blob(np.ones(4))), says="'c'")


# ---------------------------------------------------------------- values that no network has


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("layer", "index", "what"),
    [
        ("b", 0, "mean"),
        ("b", 1, "variance"),
        ("b", 2, "factor"),
        ("s", 0, "scale"),
        ("s", 1, "bias"),
        ("c", 0, ""),
        ("c", 1, "bias"),
        ("f", 0, ""),
    ],
)
def test_nan_and_infinity(layer, index, what, value, refuses):
    def change(records):
        data = records[layer].blobs[index].data
        data[len(data) // 2] = value

    refuses(change=change, says=[f"'{layer}'", "NaN or infinity", what])


def test_negative_variance(refuses):
    def change(records):
        records["b"].blobs[1].data[2] = -0.5 * records["b"].blobs[2].data[0]

    refuses(change=change, says=["'b'", "variance -0.5", "channel 2"])


def test_variance_that_is_negative_by_rounding_alone_is_fine(run, tmp_path):
    net = network()
    records = {record.name: record for record in net.net.layer}
    records["b"].blobs[1].data[2] = -1e-9
    assert run(*arguments(*net.save(tmp_path))).code == 0


def test_variance_plus_eps_of_zero(refuses):
    def change(records):
        records["b"].blobs[1].data[1] = 0

    refuses(change=change, options=["--eps", "0"], says=["'b'", "channel 1", "--eps"])


def test_result_that_overflows_float32(refuses):
    def change(records):
        records["c"].blobs[0].data[5] = 3e38
        records["s"].blobs[0].data[:] = [100] * 4

    refuses(change=change, says=["'c'", "float32"])


def test_values_that_overflow_even_float64(refuses):
    def change(records):
        records["c"].blobs[1].double_data[0] = 1e308
        records["b"].blobs[1].double_data[0] = 1e-30

    refuses(net=network(storage="double"), change=change, options=["--eps", "0"], says="'c'")

    def tiny_factor(records):
        records["b"].blobs[2].double_data[0] = 1e-310

    refuses(net=network(storage="double"), change=tiny_factor, says="layer '")


def test_kept_float16_that_overflows(refuses):
    def change(records):
        values = np.full(4, 60000, "<f2")
        records["c"].blobs[1].raw_data = values.tobytes()
        records["s"].blobs[0].raw_data = values.tobytes()

    says = ["bias of Convolution layer 'c'", "float16", "--keep-dtype"]
    refuses(net=network(storage="half"), change=change, options=["--keep-dtype"], says=says)


@pytest.mark.parametrize("eps", ["-1", "nan", "inf", "1e39", "small"])
def test_bad_eps_option(eps, refused, pair):
    refused(*arguments(*pair), "--eps", eps, says="eps")


# ---------------------------------------------------------------- inspect


def test_inspect_refuses_what_merge_refuses(refused, pair):
    model, weights = pair
    refused("inspect", "--model", weights, says="binary")
    refused("inspect", "--model", model, "--weights", model, says="text")
    refused("inspect", "--model", model, "--eps", "-1", says="eps")
    weights.write_bytes(weights.read_bytes()[:-5])
    refused("inspect", "--model", model, "--weights", weights, says=str(weights))


# ---------------------------------------------------------------- names of other people


@pytest.mark.parametrize("name", [r"\n", r"a\r\nb", r"\033[2J", r"\302\205", r"\342\200\250"])
def test_a_layer_s_name_does_not_break_the_line(name, refuses, tmp_path):
    text = f'name: "{name}"'
    for old in ('name: "b"', 'name: "c"', 'name: "s"'):
        refuses(text=(old, text), says="belong together")
    with pytest.raises(bnfold.BnfoldError) as raised:
        bnfold.merge(tmp_path / "net.prototxt", tmp_path / "net.caffemodel")
    assert len(str(raised.value).splitlines()) == 1
    assert str(raised.value).isprintable()


def test_an_axis_count_that_the_weight_does_not_have(run, tmp_path):
    """Parallel branches over a volume, with the kernels of an image."""
    net = Model(seed=1).input("data", (1, 3, 8, 8, 8))
    net.conv("a", "data", 4, 3, words="pad: 1").conv("b", "data", 4, 1)
    net.plain("Eltwise", "sum", "a b")
    ran = run(*arguments(*net.save(tmp_path)))
    assert ran.code == 0
    assert "the weight of Convolution layer 'a' is not for the 3 axes" in ran.out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a Git LFS pointer"),
        ("<!DOCTYPE html>\n<html></html>", "a web page"),
        ("\n<html>", "a web page"),
    ],
)
def test_model_that_is_no_file_of_its_own(refused, pair, content, says):
    model, weights = pair
    model.write_text(content)
    refused(*arguments(model, weights), says=[f"{model}:1:1: this is", says])
    refused("inspect", "--model", model, says=[f"{model}:1:1: this is", says])
