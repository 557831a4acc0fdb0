"""How the command ends where the outside world interferes: never in a traceback, never with 1."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest
from models import Model

pytestmark = pytest.mark.usefixtures("interruptible")

OUTPUTS = {"net.folded.prototxt", "net.folded.caffemodel"}
COMMAND = [sys.executable, "-c", "from bnfold.cli import main; main()"]


@pytest.fixture
def files(tmp_path):
    net = Model(seed=1).input("data", (1, 3, 8, 8)).conv("c", "data", 4).batch_norm("b", "c")
    model, weights = net.save(tmp_path)
    return ["--model", str(model), "--weights", str(weights)]


def shell(line: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the command with arguments in a shell, with a redirection behind it."""
    return subprocess.run(
        ["bash", "-c", f'"$@" {line}', "bash", *COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )


# ---------------------------------------------------------------- standard output and error


@pytest.mark.parametrize("options", [[], ["--json", "-"]])
@pytest.mark.parametrize(
    ("line", "says"),
    [("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
)
def test_a_report_that_cannot_be_printed_is_one_line_and_exit_code_two(line, says, options, files):
    for command in (["inspect"], ["merge", "--force"]):
        done = shell(line, [*command, *files, *options])
        assert done.returncode == 2
        assert done.stderr.startswith("bnfold: standard output: ")
        assert says in done.stderr
        assert done.stderr.count("\n") == 1


def test_help_and_version_that_cannot_be_printed_are_no_success(files):
    for command in (["--help"], ["--version"], []):
        for line in ("> /dev/full", ">&-"):
            done = shell(line, command)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_closed_output_is_no_matter_where_nothing_is_printed(files, tmp_path):
    done = shell(">&-", ["merge", "--quiet", *files])
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "net.folded.caffemodel").exists()


def test_no_output_file_takes_the_place_of_a_closed_stream(files, tmp_path):
    done = shell("<&- >&- 2>&-", ["merge", *files])
    assert done.returncode == 2
    weights = (tmp_path / "net.folded.caffemodel").read_bytes()
    assert b"bnfold" not in weights
    assert shell("", ["merge", "--force", *files]).returncode == 0
    assert (tmp_path / "net.folded.caffemodel").read_bytes() == weights


def test_a_closed_error_stream_changes_nothing_else(files):
    assert shell("2>&-", ["inspect", *files]).returncode == 0
    assert shell("2>/dev/full", ["inspect", "--model", "nowhere"]).returncode == 2
    assert shell("2>&-", ["inspect", "--model", "nowhere"]).returncode == 2


# ---------------------------------------------------------------- interrupts

INTERRUPTED = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.{signal})

sys.meta_path.insert(0, Interrupt())
from bnfold.cli import main
main()
"""


@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    "module",
    ["bnfold.import_path", "click", "bnfold.cli.app", "bnfold.cli.merge", "bnfold.merging.job",
     "numpy", "numpy.linalg", "google.protobuf", "bnfold.fold.driver"],
)  # fmt: skip
def test_a_signal_during_the_imports_ends_the_command_without_a_word(module, sent, files):
    code = INTERRUPTED.format(name=module, signal=sent)
    done = subprocess.run(
        [sys.executable, "-c", code, "merge", *files], capture_output=True, text=True
    )
    number = signal.Signals[sent]
    assert done.returncode in (128 + number, -number)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_signal_that_the_caller_ignores_stays_ignored(files):
    code = INTERRUPTED.format(name="bnfold.merging.job", signal="SIGINT")
    code = f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code, "merge", *files], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_where_python_ignores_exceptions_still_ends_the_command(tmp_path):
    code = """
import os, signal, sys, time
from bnfold.cli import app

class Late:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)

def command(**options):
    Late()
    time.sleep(1000)

app.cli.main = command
app.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_interrupt_at_any_moment_leaves_no_traceback_and_no_part_of_an_output(files, tmp_path):
    rng = random.Random(8)
    before = set(tmp_path.iterdir())
    # Until Python runs the first line of bnfold, an interrupt is Python's own matter.
    code = "from bnfold.cli import main; print('on', flush=True); main()"
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", code, "merge", *files],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        time.sleep(rng.uniform(0.02, 0.4))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
        assert "Traceback" not in err
        assert process.returncode in (0, 130, -signal.SIGINT)
        made = set(tmp_path.iterdir()) - before
        if process.returncode:
            assert {path.name for path in made} in (set(), OUTPUTS)
        for path in made:
            path.unlink()
