import pytest

from bnfold.runtimes import open_runtime


@pytest.fixture
def own_pycaffe(pycaffe):
    """A process with Caffe that a test may ruin."""
    with open_runtime("pycaffe") as runtime:
        yield runtime
