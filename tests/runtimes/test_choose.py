"""Which engine is taken, and what is said where there is none."""

import sys
from types import SimpleNamespace

import pytest

from bnfold.errors import BnfoldError
from bnfold.runtimes import EngineError, EngineMissingError, available, open_runtime, pick
from tests.runtimes.networks import CHAIN, CHAIN_BLOBS, images, save

# A layer that OpenCV knows and Caffe does not.
ONLY_OPENCV = CHAIN.replace('"Softmax"', '"Mish"')


@pytest.fixture
def no_caffe(tmp_path, monkeypatch):
    """A machine without Caffe: what `import caffe` finds cannot be imported."""
    folder = tmp_path / "no caffe"
    folder.mkdir()
    (folder / "caffe.py").write_text("raise ImportError(\"No module named 'caffe'\")")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])


@pytest.fixture
def no_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)


def test_auto_takes_caffe_where_it_can_load_the_network(pycaffe, tmp_path):
    with pick("auto", [save(tmp_path, CHAIN, CHAIN_BLOBS)] * 2) as picked:
        assert picked.runtime.name == "pycaffe"
        assert picked.why == f"pycaffe {pycaffe.version}"
        assert len(picked.sessions) == 2


def test_auto_takes_opencv_where_caffe_cannot_load_one_of_the_networks(pycaffe, opencv, tmp_path):
    pair = [save(tmp_path, CHAIN, CHAIN_BLOBS), save(tmp_path, ONLY_OPENCV, CHAIN_BLOBS, "other")]
    with pick("auto", pair) as picked:
        assert picked.runtime.name == "opencv"
        assert picked.why.startswith(f"opencv {opencv.version}, since pycaffe cannot be used")
        assert "Unknown layer type: Mish" in picked.why
        assert picked.sessions[1].run({"data": images(1)})["prob"].shape == (1, 5)


def test_auto_takes_opencv_where_there_is_no_caffe(no_caffe, opencv, tmp_path):
    with pick("auto", [save(tmp_path, CHAIN, CHAIN_BLOBS)]) as picked:
        assert picked.runtime.name == "opencv"
        assert "No module named 'caffe'" in picked.why


def test_a_name_is_not_replaced_by_another_engine(no_caffe, tmp_path):
    with pytest.raises(EngineMissingError, match=r"No module named 'caffe'.*PYTHONPATH"):
        pick("pycaffe", [save(tmp_path, CHAIN, CHAIN_BLOBS)])


def test_without_any_engine_one_line_says_how_to_get_each(no_caffe, no_opencv):
    with pytest.raises(EngineMissingError) as caught:
        pick("auto", [])
    text = str(caught.value)
    assert text.startswith("no runtime is installed")
    assert "pip install 'bnfold[opencv]'" in text
    assert "make pycaffe" in text
    assert "\n" not in text


def test_a_network_for_no_engine_tells_each_one_s_reason(no_caffe, opencv, tmp_path):
    files = save(tmp_path, CHAIN.replace('"Softmax"', '"NoSuchType"'), CHAIN_BLOBS)
    with pytest.raises(EngineError) as caught:
        pick("auto", [files])
    assert not isinstance(caught.value, EngineMissingError)
    assert "OpenCV has no layer of type NoSuchType" in str(caught.value)
    assert "No module named 'caffe'" in str(caught.value)


def test_opencv_5_is_found_and_not_good_enough(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(__version__="5.0.0", dnn=object()))
    with pytest.raises(EngineMissingError, match=r"OpenCV 5\.0\.0 cannot read Caffe models"):
        open_runtime("opencv")


def test_the_list_says_what_is_there(opencv, no_caffe):
    caffe, cv2 = available()
    assert (caffe.name, caffe.found, caffe.version) == ("pycaffe", False, None)
    assert "PYTHONPATH" in caffe.detail
    assert (cv2.name, cv2.found, cv2.version) == ("opencv", True, opencv.version)


def test_the_list_names_the_place_of_caffe(pycaffe):
    info = available()[0]
    assert (info.found, info.version, info.detail) == (True, pycaffe.version, pycaffe.place)


@pytest.mark.parametrize(("name", "threads"), [("tensorflow", None), ("auto", 0)])
def test_bad_requests_are_bnfold_errors(name, threads):
    with pytest.raises(BnfoldError, match=r"tensorflow|0 threads"):
        pick(name, [], threads=threads)


def test_a_folder_that_was_named_and_holds_no_caffe_is_an_error(opencv, tmp_path):
    files = save(tmp_path, CHAIN, CHAIN_BLOBS)
    with pytest.raises(EngineMissingError, match="there is no Caffe in"):
        pick("auto", [files], caffe_root=tmp_path / "nowhere")


def test_why_caffe_was_not_taken_is_short_and_has_no_advice(no_caffe, opencv, tmp_path):
    with pick("auto", [save(tmp_path, CHAIN, CHAIN_BLOBS)]) as picked:
        assert picked.why == (
            f"opencv {opencv.version}, since pycaffe cannot be used: `import caffe` fails: "
            "No module named 'caffe' (`bnfold runtimes` says what to do)"
        )


@pytest.mark.parametrize(
    ("module", "package"),
    [("skimage", "scikit-image"), ("six", "six"), ("google.protobuf", "protobuf")],
)
def test_a_caffe_that_lacks_a_python_package_says_which_to_install(
    module, package, tmp_path, monkeypatch
):
    (tmp_path / "caffe").mkdir()
    (tmp_path / "caffe" / "__init__.py").write_text(
        f"raise ModuleNotFoundError(\"No module named '{module}'\", name='{module}')"
    )
    with pytest.raises(EngineMissingError) as caught:
        open_runtime("pycaffe", caffe_root=tmp_path)
    assert f"pip install {package}" in str(caught.value)
    assert "make pycaffe" not in str(caught.value)


def test_without_caffe_a_user_of_pip_reads_what_to_do(no_caffe):
    with pytest.raises(EngineMissingError, match=r"pip install 'bnfold\[opencv\]'.*opencv"):
        open_runtime("pycaffe")
