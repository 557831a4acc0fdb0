"""Random networks: whatever `merge` makes of them is proved, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from fuzz.networks import drawn
from fuzz.rewriting import rewrite

import bnfold
from bnfold.caffemodel import ArrayBlob, LayerEdit, open_weights

SEED = 20
READING = ("phase", "eps", "bn_dialect", "treat_as", "input_mean", "input_scale", "input_swap")


def merged(tmp_path, number):
    """A random network and what a merge makes of it, with the options to prove it with."""
    case = drawn(SEED, number)
    if case.command != "merge":
        pytest.skip("another command was drawn")
    model, weights = case.save(tmp_path)
    try:
        files = rewrite(case, model, weights).files
    except bnfold.BnfoldError as error:
        pytest.skip(f"merge refuses it: {error}")
    options = {name: case.options[name] for name in READING if name in case.options}
    return (model, weights), files, options


def prove(original, folded, options):
    return bnfold.prove(*original, folded_model=folded[0], folded_weights=folded[1], **options)


@pytest.mark.parametrize("number", range(18))
def test_what_merge_makes_of_random_networks_is_proved(tmp_path, number):
    assert prove(*merged(tmp_path, number)).failure == ""


@pytest.mark.parametrize("number", range(24, 34))
def test_one_number_that_is_wrong_is_seen(tmp_path, number):
    original, folded, options = merged(tmp_path, number)
    rng = np.random.default_rng(number)
    with open_weights(folded[1]) as weights:
        records = [r for r in weights.records if r.blobs and r.blobs[0].size > 1]
        for record in rng.permutation(len(records))[:3]:
            name, blobs = records[record].name, list(records[record].blobs)
            values = blobs[0].array()
            place = np.unravel_index(int(np.abs(values).argmax()), values.shape)
            values[place] *= 1.25
            blobs[0] = ArrayBlob(values)
            wrong = tmp_path / "wrong.caffemodel"
            with wrong.open("wb") as out:
                weights.write(out, {name: LayerEdit(blobs=tuple(blobs))})
            if values[place]:
                _check(original, (folded[0], wrong), options, name)


def _check(original, folded, options, name) -> None:
    """Nothing is proved, unless nobody reads what is wrong."""
    try:
        proof = prove(original, folded, options)
    except bnfold.BnfoldError:
        return
    assert not proof.proved, name
