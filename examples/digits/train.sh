#!/usr/bin/env bash
# Regenerates digits.caffemodel, images/ and val.txt: builds pycaffe if it is not cached, makes a
# throw-away virtual environment, trains, and measures the accuracy. Arguments go to train.py:
# `--out FOLDER` writes elsewhere, `--measure` only measures.
#
# PYTHON names the Python to use (3.11, which pycaffe is built for).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT

"${PYTHON:-python3}" -m venv "$venv"
# Pinned: another scikit-learn could split the data differently. protobuf is for pycaffe.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  h5py==3.16.0 numpy==2.4.6 opencv-python-headless==4.14.0.94 protobuf==7.36.2 scikit-learn==1.9.1

PYTHONPATH=$("$here/../../tools/build_pycaffe.sh" --python "$venv/bin/python")
# One thread, so that sums are added up in one order and two runs give the same bytes.
export PYTHONPATH OPENBLAS_NUM_THREADS=1
"$venv/bin/python" "$here/train.py" "$@"
