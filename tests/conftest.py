"""Engines and real models, for tests that need them."""

from __future__ import annotations

import functools
import gc
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bnfold.checks.speed import rounds
from bnfold.fold import driver, options
from bnfold.runtimes import EngineMissingError, open_runtime

# Whoever else uses the machine decides how long an example takes: that says nothing of bnfold.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

EXAMPLE = Path(__file__).parent.parent / "examples" / "digits"
TOOLS = Path(__file__).parent.parent / "tools"


def pytest_terminal_summary(terminalreporter, config):
    """How to have this order of tests again; a line for each reason why tests were skipped."""
    seed = config.getoption("randomly_seed", None)
    if seed is not None:
        terminalreporter.write_line(f"the order of tests: -p randomly --randomly-seed={seed}")
    reasons = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        reasons[str(reason).removeprefix("Skipped: ")] += 1
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"skipped {count}: {reason}")


def missing(reason: str, required_by: str) -> None:
    """Skip the test, or fail it where the environment says that nothing may be missing."""
    if os.environ.get(required_by) == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engines():
    """Every engine by its name, started once; None where it is not installed.

    On one thread: the tests run on all cores as it is, and threads that wait for each other spin.
    """

    def start(name):
        try:
            return open_runtime(name, threads=1)
        except EngineMissingError:
            return None

    started = {name: start(name) for name in ("pycaffe", "opencv")}
    yield started
    for engine in filter(None, started.values()):
        engine.close()


@pytest.fixture
def pycaffe(engines):
    """Caffe itself. BNFOLD_REQUIRE_PYCAFFE=1 makes its absence a failure."""
    if engines["pycaffe"] is None:
        missing("pycaffe is not installed (see tools/build_pycaffe.sh)", "BNFOLD_REQUIRE_PYCAFFE")
    return engines["pycaffe"]


@pytest.fixture(scope="session", autouse=True)
def links_hold_after_each_rewrite():
    """Have every rewrite that a test runs leave a network whose links hold."""
    known = [each for one in (driver, options) for each in vars(one).values()]
    rewrites = {each for each in known if isinstance(each, type) and "run" in vars(each)}
    rewrites -= {driver.Rewrite, options.OptionalRewrite}
    assert {driver.Collapse, options.MergeBranches} <= rewrites
    with pytest.MonkeyPatch.context() as patch:
        for rewrite in rewrites:
            patch.setattr(rewrite, "run", _proven(rewrite.run))
        yield


def _proven(run):
    @functools.wraps(run)
    def proven(rewrite, context):
        changed = run(rewrite, context)
        context.net.check()
        return changed

    return proven


@pytest.fixture(scope="session", autouse=True)
def quick_disk():
    """Wait for no disk: no test takes the power away. Commands in their own processes do wait."""
    with pytest.MonkeyPatch.context() as patch:
        # Like fsync, it refuses what is no open file.
        patch.setattr(os, "fsync", os.fstat)
        yield


@pytest.fixture(scope="session", autouse=True)
def cold_engines():
    """Measure without warming up: no test judges a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "_WARM_SECONDS", 0.0)
        yield


@pytest.fixture
def interruptible():
    """Signals that end a process, also where the tests were started so that they ignore them.

    A shell has what it starts in the background ignore interrupts, and `nohup` hang-ups.
    """
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def opencv(engines):
    if engines["opencv"] is None:
        pytest.skip("OpenCV 4 is not installed")
    return engines["opencv"]


@pytest.fixture(params=["pycaffe", "opencv"])
def runtime(request):
    """Each engine in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def digits():
    """The example network: its prototxt and its weights."""
    return EXAMPLE / "deploy.prototxt", EXAMPLE / "digits.caffemodel"


@pytest.fixture(scope="session")
def real_models():
    """The folder of a real model by its name, from the cache of tools/fetch_models.py.

    Nothing is downloaded here. BNFOLD_REQUIRE_MODELS=1 makes an absence a failure.
    """
    command = [sys.executable, "-c", "import fetch_models as f; print(f.cache_root() / 'models')"]
    root = subprocess.run(command, cwd=TOOLS, check=True, capture_output=True, text=True)
    models = Path(root.stdout.strip())

    def find(name: str) -> Path:
        found = sorted(models.glob(f"{name}-*"))
        if not found:
            missing(f"{name} is not here: tools/fetch_models.py {name}", "BNFOLD_REQUIRE_MODELS")
        return found[-1]

    return find


def pytest_collection_finish():
    """Keep what stays to the end of the run out of the search for garbage, which is long enough."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
