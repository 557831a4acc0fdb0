"""Prints the shape of every blob and how many parameters each layer has, as Caffe has them.

The answer is a line of JSON for each file that is named on input.

A program of its own, because Caffe ends the process over a network that it refuses.
"""

import json
import os
import sys

os.environ["GLOG_minloglevel"] = "2"  # noqa: SIM112

import caffe

caffe.set_mode_cpu()
for line in sys.stdin:
    net = caffe.Net(line.rstrip("\n"), caffe.TEST)
    shapes = {name: list(blob.data.shape) for name, blob in net.blobs.items()}
    counts = {name: sum(b.count for b in blobs) for name, blobs in net.params.items()}
    print(json.dumps([shapes, counts]), flush=True)
