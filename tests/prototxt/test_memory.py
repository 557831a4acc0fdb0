"""How much memory a large file takes: in proportion to it, and not much more than its text."""

from __future__ import annotations

import tracemalloc

from bnfold.prototxt import parse

LAYER = """layer {{
  name: "conv{i}"
  type: "Convolution"
  bottom: "conv{before}"
  top: "conv{i}"
  convolution_param {{
    num_output: 64
    kernel_size: 3
    pad: 1
  }}
}}
"""


def test_a_file_of_half_a_mb_takes_less_than_25_times_its_size():
    count = 500_000 // len(LAYER)
    text = "".join(LAYER.format(i=i, before=i - 1) for i in range(count))
    tracemalloc.start()
    try:
        document = parse(text)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(document.root.fields) == count
    assert held < 17 * len(text)
    assert peak < 25 * len(text)
