"""Batches: in order, decoded ahead within bounds, and what happens to bad images."""

import threading

import numpy as np
import pytest

from bnfold import BnfoldError, PreprocessOptions
from bnfold.checks.images.batches import batches
from bnfold.checks.images.pixels import BadImageError
from bnfold.checks.images.preprocess import Preprocess
from bnfold.checks.images.sources import Sample
from tests.checks.pictures import flat

SHAPE = (1, 3, 2, 2)


def steps(shape=SHAPE, **options):
    return Preprocess.of(PreprocessOptions(**options), shape)


def sample(number, image=None):
    def read(channels):
        if isinstance(image, str):
            raise BadImageError("it is bad")
        return flat(number, number, number) if image is None else image

    return Sample(f"image {number}", number, read)


@pytest.mark.parametrize("workers", [1, 5])
def test_the_order_is_that_of_the_set(workers):
    got = list(batches(map(sample, range(11)), steps(), 4, workers=workers))
    assert [len(batch.samples) for batch in got] == [4, 4, 3]
    numbers = [s.label for batch in got for s in batch.samples]
    assert numbers == list(range(11))
    for batch in got:
        assert batch.images.dtype == np.float32
        assert batch.sizes == ((2, 2),) * len(batch.samples)
        want = [np.full((3, 2, 2), s.label) for s in batch.samples]
        np.testing.assert_array_equal(batch.images, want)


def test_the_limit_counts_samples():
    got = list(batches(map(sample, range(99)), steps(), 4, limit=6))
    assert [len(batch.samples) for batch in got] == [4, 2]


def test_no_more_is_read_than_two_batches_ahead():
    taken = []

    def source():
        for number in range(1000):
            taken.append(number)
            yield sample(number)

    stream = batches(source(), steps(), 4, workers=2)
    for done in range(1, 4):
        next(stream)
        assert len(taken) == 4 * done + 8
    stream.close()
    assert len(taken) == 20


def test_reading_goes_on_while_a_batch_is_used():
    seen = threading.Event()

    def later(channels):
        seen.set()
        return flat(0, 0, 0)

    stream = batches([sample(0), Sample("later", 1, later)], steps(), 1, workers=1)
    next(stream)
    assert seen.wait(60)


def test_threads_end_with_the_stream():
    stream = batches(map(sample, range(100)), steps(), 4, workers=3)
    next(stream)
    stream.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("bnfold-images")]


def test_bad_images_are_passed_over_up_to_the_bound():
    images = {3: "bad", 4: "bad", 9: "bad"}

    def run(bound):
        source = (sample(number, images.get(number)) for number in range(10))
        return list(batches(source, steps(), 4, max_bad=bound))

    got = run(3)
    assert [s.label for batch in got for s in batch.samples] == [0, 1, 2, 5, 6, 7, 8]
    assert [bad.name for batch in got for bad in batch.bad] == ["image 3", "image 4", "image 9"]
    with pytest.raises(BnfoldError, match=r"image 9: it is bad; 2 others .* --max-bad"):
        run(2)
    with pytest.raises(BnfoldError, match="image 3: it is bad; mend"):
        run(0)


def test_a_set_of_bad_images_gives_an_empty_batch():
    (batch,) = batches([sample(0, "bad"), sample(1, "bad")], steps(), 4, max_bad=2)
    assert batch.samples == ()
    assert len(batch.images) == 0
    assert len(batch.bad) == 2


def test_an_image_that_does_not_fit_is_named_and_is_not_bad():
    small = sample(7, flat(0, 0, 0, side=1))
    with pytest.raises(BnfoldError, match="image 7: the image is 1x1"):
        list(batches([small], steps(crop=(2, 2)), 4, max_bad=5))
    mixed = [sample(0), sample(1, flat(0, 0, 0, side=4))]
    with pytest.raises(BnfoldError, match=r"image 1: 4x4 .* image 0 is 2x2"):
        list(batches(mixed, steps(shape=()), 4))


@pytest.mark.parametrize("options", [{"limit": 0}, {"workers": 0}, {"max_bad": -1}])
def test_numbers_out_of_range(options):
    with pytest.raises(BnfoldError, match="at least"):
        batches([], steps(), 4, **options)
    with pytest.raises(BnfoldError, match="a batch of 0"):
        batches([], steps(), 0)
