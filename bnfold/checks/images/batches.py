"""Batches of preprocessed images, read by threads while an engine works on the batch before.

OpenCV decodes and resizes outside of Python's lock, so threads run side by side. At most two
batches are read ahead: memory does not grow with the set.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from bnfold.aliases import Floats
from bnfold.checks.images.pixels import BadImageError, need_cv2
from bnfold.checks.images.preprocess import Preprocess
from bnfold.checks.images.sources import Sample
from bnfold.errors import BnfoldError
from bnfold.runtimes import check_threads


@dataclass(frozen=True)
class BadImage:
    """An image that could not be read: its name, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Batch:
    """Images, ready to be fed.

    Attributes:
        images: float32, (n, channels, height, width).
        samples: where each came from.
        sizes: (height, width) of each before preprocessing.
        bad: the unreadable images that were met, and left out, on the way to this batch.
    """

    images: Floats
    samples: tuple[Sample, ...]
    sizes: tuple[tuple[int, int], ...]
    bad: tuple[BadImage, ...]


def batches(
    source: Iterable[Sample],
    preprocess: Preprocess,
    size: int,
    *,
    limit: int | None = None,
    workers: int | None = None,
    max_bad: int = 0,
) -> Generator[Batch, None, None]:
    """Read, decode and preprocess images, in their order.

    A batch has `size` images, the last one as many as are left. The last one may have none, if
    there were unreadable images after those of the batch before. Threads end when the generator
    does: close it if it is not read to its end.

    Args:
        source: the images.
        preprocess: from pixels to what the network is fed.
        size: images in a batch, at least 1.
        limit: how many samples to take from the source, unreadable ones included; None for all.
        workers: threads that read; None for one for each processor, and at most 8.
        max_bad: how many unreadable images to pass over.

    Raises:
        BnfoldError: there are more than `max_bad` unreadable images; an image does not fit the
            preprocessing, or two images of a batch end in different sizes; a number is out of
            range; OpenCV is not installed.
    """
    for name, value, least in (
        ("a batch", size, 1),
        ("the limit", 1 if limit is None else limit, 1),
        ("the number of workers", 1 if workers is None else workers, 1),
        ("the number of bad images", max_bad, 0),
    ):
        if value < least:
            raise BnfoldError(f"{name} of {value} cannot be; give at least {least}")
    if workers is not None:
        check_threads(workers)
    # Threads that import a module all at once would wait for each other.
    need_cv2()
    return _batches(islice(source, limit), preprocess, size, workers, max_bad)


Ready = tuple[Sample, Floats, tuple[int, int]]


def _batches(
    samples: Iterator[Sample], preprocess: Preprocess, size: int, workers: int | None, max_bad: int
) -> Generator[Batch, None, None]:
    count = workers or min(8, os.cpu_count() or 1)
    waiting: deque[Future[Ready | BadImage]] = deque()
    pool = ThreadPoolExecutor(count, thread_name_prefix="bnfold-images")

    def read_ahead() -> None:
        while len(waiting) < max(2 * size, count + 1):
            sample = next(samples, None)
            if sample is None:
                return
            waiting.append(pool.submit(_read, sample, preprocess))

    bad_before = 0
    try:
        read_ahead()
        while waiting:
            ready: list[Ready] = []
            bad: list[BadImage] = []
            while waiting and len(ready) < size:
                result = waiting.popleft().result()
                read_ahead()
                if isinstance(result, tuple):
                    ready.append(result)
                    continue
                bad.append(result)
                if bad_before + len(bad) > max_bad:
                    raise _too_many(result, max_bad)
            bad_before += len(bad)
            yield _batch(ready, bad, preprocess)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read(sample: Sample, preprocess: Preprocess) -> Ready | BadImage:
    try:
        pixels = sample.read(preprocess.channels)
        return sample, preprocess(pixels), (int(pixels.shape[0]), int(pixels.shape[1]))
    except BadImageError as error:
        return BadImage(sample.name, str(error))
    except BnfoldError as error:
        raise BnfoldError(f"{sample.name}: {error}") from None


def _batch(ready: list[Ready], bad: list[BadImage], preprocess: Preprocess) -> Batch:
    arrays = [array for _, array, _ in ready]
    for (sample, array, _), (first, wanted, _) in zip(ready, ready[:1] * len(ready), strict=True):
        if array.shape != wanted.shape:
            sides = ["x".join(map(str, shape[1:])) for shape in (array.shape, wanted.shape)]
            raise BnfoldError(
                f"{sample.name}: {sides[0]} after preprocessing, and {first.name} is {sides[1]}; "
                "resize or crop them to one size"
            )
    images = np.stack(arrays) if arrays else np.empty((0, preprocess.channels, 1, 1), np.float32)
    samples, sizes = (tuple(entry[i] for entry in ready) for i in (0, 2))
    return Batch(images, samples, sizes, tuple(bad))  # type: ignore[arg-type]


def _too_many(last: BadImage, max_bad: int) -> BnfoldError:
    where = last.reason if last.reason.startswith(last.name) else f"{last.name}: {last.reason}"
    before = f"; {max_bad} others before it were passed over" if max_bad else ""
    return BnfoldError(f"{where}{before}; mend the set, or pass over more with --max-bad")
