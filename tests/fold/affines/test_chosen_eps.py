"""An eps from the user, held against the variances that it is added to."""

from __future__ import annotations

import pytest

import bnfold

from ..networks import start


@pytest.fixture
def pair(tmp_path):
    return start().conv("c", "data", 4).batch_norm("b", "c").conv("d", "c", 4).save(tmp_path)


def test_an_eps_below_the_variances_is_taken_without_a_word(pair):
    for eps in (0.0, 1e-5, 1e-3):
        assert bnfold.merge(*pair, eps=eps, force=True).plan.warnings == []


def test_an_eps_above_most_variances_gets_a_warning(pair):
    (warning,) = bnfold.merge(*pair, eps=100.0).plan.warnings
    assert "eps 100 is larger than most variances of 'b'" in warning


@pytest.mark.parametrize("eps", [1e30, 1e12])
def test_an_eps_that_leaves_nothing_of_the_input_is_refused(pair, eps):
    for call in (bnfold.merge, bnfold.inspect, lambda *a, **o: bnfold.prune(*a, ratio=0.5, **o)):
        with pytest.raises(bnfold.BnfoldError, match=rf"^{pair[0]}: .*'b'.* choose a smaller"):
            call(*pair, eps=eps)


def test_the_own_eps_of_a_layer_is_never_questioned(tmp_path):
    net = start().conv("c", "data", 4).batch_norm("b", "c", eps=1e12)
    assert bnfold.merge(*net.save(tmp_path)).plan.warnings == []
