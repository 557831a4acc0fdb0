"""Times of two networks: that they are fair, and that what is said of them follows from them."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from models import Model

import bnfold
from bnfold.checks.speed import rounds
from bnfold.checks.speed.rounds import MIN_ROUNDS, Rounds, Setting, compare
from bnfold.runtimes import EngineMissingError, LayerInfo

CHAIN = ("b", "s")


def network(size: int = 32) -> Model:
    net = Model(seed=1).input("data", (1, 3, size, size))
    net.conv("c", "data", 8).batch_norm("b", "c").scale("s", "c").relu("r", "c")
    return net.conv("d", "c", 4)


@pytest.fixture
def pair(tmp_path):
    """A network, and its folded form under the default names."""
    files = network().save(tmp_path)
    bnfold.merge(*files)
    return files


_reports = {}


@pytest.fixture
def report(pair, runtime):
    """What was measured in each engine, once for all tests."""
    if runtime.name not in _reports:
        measured = bnfold.bench(*pair, runtime=runtime.name, repeats=12, threads=1)
        _reports[runtime.name] = measured
    return _reports[runtime.name]


def test_times_are_positive_and_consistent(report):
    for found in report.comparisons:
        for side in (found.original, found.folded):
            assert 0 < side.seconds.lower <= side.seconds.median <= side.seconds.upper < 10
            assert side.seconds.count == 12
            assert side.peak_memory is None or 10e6 < side.peak_memory < 4e9
        assert 0 < found.ratio.lower <= found.ratio.median <= found.ratio.upper
        assert found.ratio.interval.low <= found.ratio.median <= found.ratio.interval.high
        # The median of ratios within rounds lies where the ratio of medians may.
        low = found.folded.seconds.lower / found.original.seconds.upper
        high = found.folded.seconds.upper / found.original.seconds.lower
        assert low <= found.ratio.upper
        assert found.ratio.lower <= high


def test_sizes_come_from_the_files(report):
    before = 3 * 8 * 9 + 8 + (8 + 8 + 1) + (8 + 8) + 8 * 4 * 9 + 4
    assert (report.before.layers, report.after.layers) == (6, 4)
    assert (report.before.parameters, report.after.parameters) == (before, before - 33)
    assert report.removed == CHAIN
    assert report.inputs == {"data": (1, 3, 32, 32)}


def test_fusion_is_shown_where_there_is_one(report, runtime):
    if runtime.name == "opencv":
        assert [found.fusion for found in report.comparisons] == [False, True]
        off, on = report.comparisons
        assert off.merged_by_engine == 0
        assert on.merged_by_engine == 2
        # What the engine merged itself is nothing that a fold could save.
        assert off.limit.median < 1
        assert on.limit.median == 1
    else:
        (found,) = report.comparisons
        assert found.fusion is None
        assert found.merged_by_engine == 0
        assert found.limit.median < 1


def test_json_has_the_documented_keys(report, runtime):
    found = report.to_json()
    assert set(found) == {
        "format", "runtime", "threads", "inputs", "seed", "original", "folded", "removed",
        "comparisons",
    }  # fmt: skip
    assert found["format"] == "bnfold.bench/1"
    assert found["runtime"]["name"] == runtime.name
    assert found["threads"] == 1
    assert set(found["original"]) == {
        "model", "weights", "layers", "affine", "parameters", "weights_bytes",
    }  # fmt: skip
    for comparison in found["comparisons"]:
        assert set(comparison) == {
            "fusion", "rounds", "original", "folded", "ratio", "limit", "merged_by_engine",
        }  # fmt: skip
        assert comparison["rounds"] == 12
        assert set(comparison["original"]) == {"seconds", "peak_memory_bytes"}
        for spread in (comparison["folded"]["seconds"], comparison["ratio"], comparison["limit"]):
            assert set(spread) == {"median", "lower_quartile", "upper_quartile", "median_interval"}
            assert set(spread["median_interval"]) == {"low", "high", "confidence"}


def test_limit_by_hand():
    # 2 of 8 seconds, then 3 of 10, belong to the removed layers.
    profiles = [{"c": 6.0, "b": 1.5, "s": 0.5}, {"c": 7.0, "b": 0.0, "s": 3.0}]
    found = Rounds(CHAIN, [8.0, 10.0], [6.0, 9.0], profiles)
    assert found.limits == [0.75, 0.7]
    assert found.ratios == [0.75, 0.9]
    assert found.merged == 0
    assert Rounds(CHAIN, [8.0], [8.0], [{"c": 8.0, "b": 0.0, "s": 0.0}]).merged == 2
    assert Rounds(CHAIN, [8.0], [8.0]).merged is None
    assert Rounds((), [8.0], [8.0], [{"d": 0.0}]).limits == [1]


class Clockwork:
    """A session whose times are known, and which writes down when it is asked for one."""

    def __init__(self, log, name, layers, seconds, profile):
        self.log, self.name, self.seconds, self._profile = log, name, seconds, profile
        self.layers = [LayerInfo(layer, "", ()) for layer in layers]

    def feed(self, feeds):
        self.log.append(f"feed {self.name}")

    def forward(self):
        self.log.append(self.name)
        return self.seconds

    def profile(self):
        self.log.append("profile")
        return self._profile

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.log.append(f"close {self.name}")


@pytest.fixture
def clockwork(monkeypatch):
    """Compare two networks that only say what they take; gives the rounds and the log."""
    monkeypatch.setattr(rounds, "_WARM_SECONDS", 0)

    def run(profile, **setting):
        log = []
        sessions = {
            "old": Clockwork(log, "old", ["c", "b", "s"], 4.0, profile),
            "new": Clockwork(log, "new", ["c"], 3.0, profile),
        }
        runtime = SimpleNamespace(load=lambda model, weights: sessions[model])
        pairs = (("old", ""), ("new", ""))
        return compare(runtime, pairs, Setting(None, {}, **setting)), log

    return run


def test_networks_run_in_turns(clockwork):
    found, log = clockwork({"c": 3.0, "b": 0.5, "s": 0.5}, repeats=20)
    assert found.ratios == [0.75] * 20
    assert found.limits == [0.75] * 20
    assert log[:2] == ["feed old", "feed new"]
    assert log[-2:] == ["close new", "close old"]
    assert log[2:7] == ["old", "new"] * 2 + ["profile"]  # Not counted.
    counted = log[7:-2]
    turns = [counted[i : i + 3] for i in range(0, len(counted), 3)]
    assert len(turns) == 20
    assert all(sorted(turn) == ["new", "old", "profile"] for turn in turns)
    for there, back in zip(turns[::2], turns[1::2], strict=True):
        assert back == there[::-1]
    assert len({tuple(turn) for turn in turns}) > 2


def test_an_engine_without_a_profile_has_no_limit(clockwork):
    found, log = clockwork(None, repeats=3)
    assert found.profiles == []
    assert log.count("profile") == 1
    assert found.ratios == [0.75] * 3


def test_a_time_budget_never_means_few_rounds(clockwork):
    found, _ = clockwork(None, seconds=1e-9)
    assert len(found.original) == MIN_ROUNDS


def test_progress_rises_to_the_end(pair, opencv):
    told = []
    bnfold.bench(*pair, runtime="opencv", repeats=2, progress=lambda *what: told.append(what))
    times = [done for what, done in told if what == "time"]
    assert times == [0.25, 0.5, 0.75, 1.0]
    assert [what for what, _ in told].count("memory") == 4


def test_batch_and_files_by_name(tmp_path, opencv):
    files = network(16).save(tmp_path)
    folded = tmp_path / "a.prototxt", tmp_path / "b.caffemodel"
    bnfold.merge(*files, output_model=folded[0], output_weights=folded[1])
    found = bnfold.bench(
        *files, folded_model=folded[0], folded_weights=folded[1], batch=3, repeats=1,
        runtime="opencv",
    )  # fmt: skip
    assert found.inputs == {"data": (3, 3, 16, 16)}
    assert (found.folded_model, found.folded_weights) == folded
    assert found.comparisons[0].ratio.interval.confidence == 0


def test_bad_input_is_one_line(pair, opencv, tmp_path):
    def refuses(*says, files=pair, **options):
        with pytest.raises(bnfold.BnfoldError) as caught:
            bnfold.bench(*files, **{"runtime": "opencv", "repeats": 1, **options})
        assert "\n" not in str(caught.value)
        assert all(word in str(caught.value) for word in says)

    refuses("batch", "at least 1", batch=0)
    refuses("repeats", "at least 1", repeats=0)
    refuses("seconds", "nan", seconds=float("nan"))
    refuses("no runtime is named", runtime="torch")
    refuses("gone.caffemodel", "bnfold merge", folded_weights=tmp_path / "gone.caffemodel")
    refuses("nowhere.prototxt", files=(tmp_path / "nowhere.prototxt", pair[1]))
    other = network(16).save(tmp_path, "other")
    refuses("'data' 1x3x16x16", "'data' 1x3x32x32", folded_model=other[0], folded_weights=other[1])


def test_without_the_engine_it_says_how_to_get_it(pair, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(EngineMissingError, match=r"pip install 'bnfold\[opencv\]'"):
        bnfold.bench(*pair, runtime="opencv")
