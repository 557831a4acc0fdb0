"""Merging what a merge wrote changes no byte, whatever the network: nothing is left to do."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from folding import merge_files, merge_model
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

import bnfold
from tests.fuzz.drawing import Drawing

from .networks import start
from .test_memory_random import networks as networks_that_share_memory
from .test_random_networks import networks as networks_of_all_layers

EXAMPLES = int(os.environ.get("BNFOLD_EXAMPLES", "60"))
OPTIONS = st.fixed_dictionaries(
    {}, optional={"tidy": st.just(True), "concat_branches": st.just(True)}
)

examples = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def assert_nothing_is_left_to_do(merged, **options) -> None:
    note(merged.text)
    note(merged.report.summary())
    again = merge_files(*merged.after, **options)
    note(again.report.summary())
    for once, twice in zip(merged.after, again.after, strict=True):
        assert once.read_bytes() == twice.read_bytes()
    layers = [(outcome.layer, outcome.line) for outcome in merged.report.plan.outcomes]
    assert len(layers) == len(set(layers))
    warnings = merged.report.plan.warnings
    assert len(warnings) == len(set(warnings))


@examples
@given(net=st.one_of(networks_that_share_memory(), networks_of_all_layers()), options=OPTIONS)
def test_networks_that_hypothesis_draws(net, options):
    note(net.text)
    with tempfile.TemporaryDirectory() as folder:
        assert_nothing_is_left_to_do(merge_model(Path(folder), net, **options), **options)


@examples
@given(seed=st.integers(0, 1 << 62))
def test_networks_of_every_way_to_write_a_layer(seed):
    case = Drawing(seed).draw()
    # A layer that is named may be gone after the first merge.
    assume(case.command == "merge" and not case.options.keys() & {"keep", "only"})
    note(case.text)
    with tempfile.TemporaryDirectory() as folder:
        files = case.save(Path(folder))
        try:
            merged = merge_files(*files, **case.options)
        except bnfold.BnfoldError:
            return
        assert_nothing_is_left_to_do(merged, **case.options)


def test_a_scale_whose_zeros_went_passes_what_it_did_not(merger):
    net = start().conv("c", "data", 4).relu("r", "c")
    factors = np.array([0.5, 0, 2, 1.5])
    net.layer('name: "s" type: "Scale" bottom: "c" top: "c"', "s", [factors])
    # A TanH of zero is zero, so that 'd' can do without the channel.
    net.plain("TanH", "t", "c", "c").conv("d", "c", 3, words="pad: 1")
    merged = merger(net, {"s": "folded"})
    assert merged.outcome("s").into == ("c",)
    (dead,) = merged.report.plan.of_type(bnfold.DeadChannels)
    assert (dead.layer, dead.channels, dead.total) == ("c", (1,), 4)


def test_what_rounding_makes_nothing_goes(merger):
    net = start().conv("c", "data", 4).plain("TanH", "t", "c")
    for name, factor in (("s", 0.1), ("u", 10)):
        blobs = [np.full(4, factor)]
        net.layer(f'name: "{name}" type: "Scale" bottom: "t" top: "t"', name, blobs)
    # In float32 a tenth times ten is 1 again, and a Scale of ones changes nothing.
    merged = merger(net.plain("TanH", "end", "t"), {"s": "merged", "u": "dropped"})
    assert "Scale" not in merged.text


def test_what_is_suspicious_is_said_once(merger):
    net = start().plain("TanH", "t", "data").batch_norm("b", "t").scale("s", "t")
    net.plain("TanH", "end", "t").conv("c", "end", 2)
    # With another eps it is another function.
    merged = merger(net, {"b": "merged", "s": "scale"}, engines=(), eps=1e3)
    (warning,) = merged.report.plan.warnings
    assert "eps 1000 is larger than most variances of 'b'; the result" in warning
