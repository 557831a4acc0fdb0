"""`bnfold runtimes`."""

from __future__ import annotations

import json


def test_every_engine_is_listed_with_its_version_and_place(run, opencv):
    ran = run("runtimes")
    assert (ran.code, ran.err) == (0, "")
    first, second = ran.out.splitlines()
    assert first.startswith("pycaffe ")
    assert second.startswith(f"opencv {opencv.version} in ")
    assert "cv2" in second


def test_json(run, opencv, tmp_path):
    ran = run("runtimes", "--json", "-")
    found = json.loads(ran.out)
    assert found["format"] == "bnfold.runtimes/1"
    names = {entry["name"]: entry for entry in found["runtimes"]}
    assert set(names) == {"pycaffe", "opencv"}
    assert names["opencv"]["found"] is True
    assert names["opencv"]["version"] == opencv.version
    assert run("runtimes", "--json", tmp_path / "r.json", "--quiet").out == ""
    assert json.loads((tmp_path / "r.json").read_text()) == found


def test_a_folder_without_caffe_is_not_made_up_for_by_another_caffe(run, tmp_path):
    ran = run("runtimes", "--caffe-root", tmp_path)
    assert ran.code == 0
    first = ran.out.splitlines()[0]
    assert first.startswith(f"pycaffe not usable: pycaffe: there is no Caffe in {tmp_path}")
    assert "make pycaffe" in first
