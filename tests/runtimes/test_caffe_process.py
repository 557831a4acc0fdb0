"""The process that Caffe runs in: how it starts, dies and is cleaned up after."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bnfold.runtimes import EngineError, EngineMissingError, open_runtime
from bnfold.runtimes.caffe_process import CaffeProcess, ChildDiedError
from bnfold.runtimes.pycaffe import PyCaffe
from tests.runtimes.networks import CHAIN, CHAIN_BLOBS, chain_values, images, save

SLOW = CHAIN.replace("dim: 6 dim: 7", "dim: 500 dim: 500").replace(
    'layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"\n'
    "  inner_product_param { num_output: 5 } }\n"
    'layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }\n',
    "",
)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid, seconds=60):
    end = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_running(pid)


def test_an_abort_of_one_network_does_not_cost_the_others(own_pycaffe, tmp_path):
    x = images(2)
    session = own_pycaffe.load(*save(tmp_path, CHAIN, CHAIN_BLOBS))
    before = session.run({"data": x})["prob"]
    with pytest.raises(EngineError, match="NoSuchType"):
        own_pycaffe.load(*save(tmp_path, CHAIN.replace('"ReLU"', '"NoSuchType"'), stem="bad"))
    np.testing.assert_array_equal(session.run({"data": x})["prob"], before)


def test_what_was_fed_is_gone_with_the_process(own_pycaffe, tmp_path):
    session = own_pycaffe.load(*save(tmp_path, CHAIN, CHAIN_BLOBS))
    session.feed({"data": images(1)})
    own_pycaffe._process.close()
    with pytest.raises(EngineError, match="nothing was fed"):
        session.forward()
    session.feed({"data": images(1)})
    assert session.forward() > 0


@pytest.fixture
def when_asked(own_pycaffe, monkeypatch):
    """Send a signal once Caffe's process was asked something and its answer is awaited."""
    process = own_pycaffe._process
    waits = process._line

    def when_asked(pid, number):
        os.kill(process.pid, signal.SIGSTOP)  # So that it cannot answer before.

        def line(timeout):
            threading.Timer(0.3, os.kill, (pid, number)).start()
            return waits(timeout)

        monkeypatch.setattr(process, "_line", line)

    return when_asked


def test_a_process_that_is_killed_while_it_runs_is_an_error_at_once(
    own_pycaffe, when_asked, tmp_path
):
    x = images(2)
    session = own_pycaffe.load(*save(tmp_path, CHAIN, CHAIN_BLOBS))
    pid = own_pycaffe._process.pid
    when_asked(pid, signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(EngineError, match="Caffe's process was killed"):
        session.run({"data": x})
    assert time.monotonic() < start + 60
    np.testing.assert_allclose(session.run({"data": x})["prob"], chain_values(x)["prob"], rtol=1e-4)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_it_runs_leaves_a_runtime_that_works(own_pycaffe, when_asked, tmp_path):
    x = images(2)
    session = own_pycaffe.load(*save(tmp_path, CHAIN, CHAIN_BLOBS))
    pid = own_pycaffe._process.pid
    when_asked(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        session.run({"data": x})
    assert wait_until_gone(pid)
    np.testing.assert_allclose(session.run({"data": x})["prob"], chain_values(x)["prob"], rtol=1e-4)


def maps_of(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def test_closing_ends_the_process_and_leaves_nothing_behind(pycaffe, tmp_path):
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    for ending in ("close", "forget"):
        runtime = PyCaffe()
        pid = runtime._process.pid
        session = runtime.load(*save(tmp_path, CHAIN, CHAIN_BLOBS))
        session.run({"data": images(64)})
        assert is_running(pid)
        # What is shared has no name that could outlive both.
        assert "/dev/shm/" not in maps_of(pid) + maps_of(os.getpid())
        if ending == "close":
            runtime.close()
            runtime.close()
            with pytest.raises(EngineError, match="closed"):
                session.run({"data": images(1)})
        del runtime, session
        assert wait_until_gone(pid)
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # No zombie is left to be waited for.
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


@pytest.mark.parametrize("busy", [False, True])
def test_the_process_ends_with_a_parent_that_is_killed(pycaffe, tmp_path, busy):
    model, weights = save(tmp_path, SLOW, CHAIN_BLOBS)
    program = f"""
import numpy as np
from bnfold.runtimes import pick
picked = pick("pycaffe", [({str(model)!r}, {str(weights)!r})])
print(picked.runtime._process.pid, flush=True)
x = np.zeros((64, 3, 500, 500), np.float32)
while {busy}:
    picked.sessions[0].run({{"data": x}})
import time; time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    assert is_running(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_until_gone(pid)


def test_a_process_that_is_silent_at_its_start_is_given_up(tmp_path, monkeypatch):
    (tmp_path / "caffe.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr("bnfold.runtimes.pycaffe._START_SECONDS", 0.7)
    with pytest.raises(EngineMissingError, match=r"gave no answer for 0\.7 s"):
        open_runtime("pycaffe", caffe_root=tmp_path)


def test_a_module_that_dies_while_it_is_imported_is_reported(tmp_path):
    (tmp_path / "caffe.py").write_text(
        "import os, sys\nprint('no such card')\nsys.stdout.flush()\nos.abort()\n"
    )
    with pytest.raises(EngineMissingError, match="died of SIGABRT: no such card"):
        open_runtime("pycaffe", caffe_root=tmp_path)


def test_another_module_named_caffe_is_not_taken_for_it(tmp_path):
    (tmp_path / "caffe.py").write_text("")
    with pytest.raises(EngineMissingError, match="not pycaffe"):
        open_runtime("pycaffe", caffe_root=tmp_path)


def test_an_interpreter_that_is_not_there_is_named():
    with pytest.raises(EngineMissingError, match="cannot start /no/python"):
        PyCaffe(python="/no/python")


def test_the_root_of_a_caffe_is_looked_into_first(pycaffe, tmp_path, monkeypatch):
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "caffe").symlink_to(pycaffe.place)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not (Path(p) / "caffe").is_dir()])
    for root in (tmp_path, tmp_path / "python"):
        with open_runtime("pycaffe", caffe_root=root) as runtime:
            assert runtime.version == pycaffe.version
            assert runtime.place.startswith(str(tmp_path))


def test_the_number_of_threads_reaches_the_process(pycaffe):
    with open_runtime("pycaffe", threads=1) as runtime:
        environment = Path(f"/proc/{runtime._process.pid}/environ").read_bytes()
    assert b"OPENBLAS_NUM_THREADS=1\0" in environment


def test_a_process_that_has_ended_says_so_instead_of_hanging():
    process = CaffeProcess(sys.executable, None)
    process.close()
    with pytest.raises(ChildDiedError, match="had ended"):
        process.ask("start", path=None, first=[])
