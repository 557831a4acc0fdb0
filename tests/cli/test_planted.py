"""An unpacked model's folder may hold modules: none of them is ever imported.

What Python itself imports before bnfold's first line is Python's to answer for: see SECURITY.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from models import Model

import bnfold
from bnfold.import_path import trusted

PLANTED = (
    *("json.py", "numpy/__init__.py", "caffe/__init__.py", "bnfold/__init__.py", "click.py"),
    *("sitecustomize.py", "cv2/__init__.py", "tempfile.py", "google/protobuf/__init__.py"),
)
HOME = Path(bnfold.__file__).parent.parent
COMMAND = Path(sys.executable).with_name("bnfold")


@pytest.fixture
def folder(tmp_path):
    """A model's folder with a module of every name that a command or its children import."""
    net = Model(seed=1).input("data", (1, 3, 8, 8)).conv("c", "data", 4).batch_norm("b", "c")
    model, weights = net.save(tmp_path)
    bnfold.merge(model, weights)
    for name in PLANTED:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"open({str(tmp_path / 'planted.txt')!r}, 'a').write({name!r} + ' ')\n")
    (tmp_path / "images").mkdir()
    return tmp_path


def script(tmp_path: Path) -> list[str]:
    """The installed command, or the same two lines where it is not installed beside Python."""
    if COMMAND.exists():
        return [str(COMMAND)]
    place = tmp_path.parent / "bnfold-command.py"
    place.write_text("import sys\nfrom bnfold.cli import main\nsys.exit(main())\n")
    return [sys.executable, str(place)]


def run(command: list[str], folder: Path, python_path: str) -> str:
    environment = {**os.environ, "PYTHONPATH": python_path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


ENGINES = [
    ["bench", "--repeats", "1", "--runtime", "opencv"],
    ["bench", "--repeats", "1", "--runtime", "pycaffe"],
    ["verify", "--random", "1", "--runtime", "pycaffe"],
    ["merge", "--verify", "--force", "--runtime", "pycaffe"],
]
FILES = ["--model", "net.prototxt", "--weights", "net.caffemodel"]


def elsewhere() -> str:
    """Where bnfold and Caffe are: not in the current folder."""
    known = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return os.pathsep.join([str(HOME), *known])


@pytest.mark.parametrize("arguments", ENGINES, ids=" ".join)
def test_no_child_imports_from_the_current_folder(arguments, folder, engines):
    if engines[arguments[-1]] is None:
        pytest.skip(f"{arguments[-1]} is not installed")
    run([*script(folder), *arguments, *FILES], folder, elsewhere())
    assert not (folder / "planted.txt").exists()


@pytest.mark.parametrize("arguments", ENGINES, ids=" ".join)
def test_an_empty_entry_in_pythonpath_is_no_way_in_for_a_child(arguments, folder, engines):
    if engines[arguments[-1]] is None:
        pytest.skip(f"{arguments[-1]} is not installed")
    # Only in what the children would inherit: whatever is planted would be a child's doing.
    place = folder.parent / "start.py"
    place.write_text(
        "import os, sys, bnfold.cli.app\n"
        "os.environ['PYTHONPATH'] = f':{os.environ[\"PYTHONPATH\"]}:.'\n"
        "sys.exit(bnfold.cli.app._run())\n"
    )
    run([sys.executable, str(place), *arguments, *FILES], folder, elsewhere())
    assert not (folder / "planted.txt").exists()


def test_the_command_takes_the_current_folder_out_of_its_own_path(folder):
    (folder / "sitecustomize.py").unlink()  # Python imports it before any line of bnfold.
    (folder / "bnfold" / "__init__.py").unlink()
    (folder / "bnfold").rmdir()
    for python_path in (f"{os.pathsep}{HOME}", f"{HOME}{os.pathsep}", f"{HOME}{os.pathsep}."):
        for arguments in (["inspect", *FILES], ["merge", *FILES, "--force"]):
            run([*script(folder), *arguments], folder, python_path)
    assert not (folder / "planted.txt").exists()


def test_python_m_bnfold_takes_it_out_as_its_first_act(folder):
    for name in ("bnfold/__init__.py", "sitecustomize.py"):
        (folder / name).unlink()
    (folder / "bnfold").rmdir()
    command = [sys.executable, "-m", "bnfold", "inspect", *FILES]
    run(command, folder, str(HOME))
    assert not (folder / "planted.txt").exists()


def test_what_children_import_from_leaves_the_current_folder_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr(sys, "path", ["", ".", str(tmp_path), "elsewhere", *sys.path])
    found = trusted()
    assert found[0] == str(elsewhere)
    assert str(tmp_path) not in found
    assert all(Path(entry).is_absolute() for entry in found)


def test_a_checkout_that_is_the_current_folder_comes_last(monkeypatch):
    monkeypatch.chdir(HOME)
    monkeypatch.setattr(sys, "path", [str(HOME), "/usr/lib/python"])
    assert trusted() == ["/usr/lib/python", str(HOME)]
    monkeypatch.setattr(sys, "path", ["relative", "/usr/lib/python"])
    assert trusted() == [str(HOME / "relative"), "/usr/lib/python", str(HOME)]


def test_in_a_folder_that_is_gone_relative_entries_count_for_nothing(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "path", ["", "relative", str(HOME)])
    assert trusted() == [str(HOME)]
