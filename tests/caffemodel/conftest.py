import pytest

from .build import Folder


@pytest.fixture
def files(tmp_path):
    return Folder(tmp_path)
