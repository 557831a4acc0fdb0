"""The library: typed results, no printing, light and friendly imports, rooms in one direction."""

from __future__ import annotations

import ast
import dataclasses
import pydoc
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from models import Model

import bnfold

ROOT = Path(bnfold.__file__).parent


@pytest.fixture
def pair(tmp_path):
    net = Model(seed=1).input("data", (1, 3, 8, 8))
    return net.conv("c", "data", 4, 1).batch_norm("b", "c").relu("r", "c").save(tmp_path)


def test_merge_gives_a_typed_report_and_prints_nothing(pair, capfd):
    report = bnfold.merge(*pair)
    assert isinstance(report, bnfold.Report)
    assert report.plan.outcomes == [
        bnfold.Outcome("b", "BatchNorm", 9, bnfold.Fate.FOLDED, into=("c",))
    ]
    assert report.plan.of_type(bnfold.EngineChange) == [bnfold.EngineChange("c", 5, None)]
    assert report.phase is bnfold.Phase.TEST
    assert report.after.weights_bytes == report.output_weights.stat().st_size
    assert (report.before.layers, report.after.layers) == (4, 3)
    assert (report.before.parameters, report.after.parameters) == (25, 16)
    assert capfd.readouterr() == ("", "")


def test_inspect_gives_the_same_plan(pair):
    inspected = bnfold.inspect(*pair)
    assert inspected.plan == bnfold.inspect(pair[0]).plan == bnfold.merge(*pair).plan
    assert inspected.output_model is inspected.output_weights is None


def test_results_cannot_be_changed_by_accident(pair):
    report = bnfold.inspect(pair[0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.model = None


def test_errors_are_one_type_that_is_a_value_error(pair):
    assert issubclass(bnfold.BnfoldError, ValueError)
    for call in (
        lambda: bnfold.merge(pair[0], "nowhere"),
        lambda: bnfold.merge("nowhere", pair[1]),
        lambda: bnfold.merge(pair[1], pair[0]),
        lambda: bnfold.merge(*pair, phase="DREAM"),
        lambda: bnfold.merge(*pair, eps=-1.0),
        lambda: bnfold.merge(*pair, bn_dialect="latin"),
        lambda: bnfold.merge(*pair, treat_as={"Mine": "Pooling"}),
        lambda: bnfold.inspect("nowhere"),
        lambda: bnfold.inspect(pair[1]),
        lambda: bnfold.inspect(*pair, phase="DREAM"),
    ):
        with pytest.raises(bnfold.BnfoldError):
            call()


def test_options_are_one_class_and_keywords_are_a_door_to_it(pair):
    options = bnfold.MergeOptions(collapse=False, keep=["b"])
    assert options.keep == ("b",)
    by_keyword = bnfold.inspect(*pair, collapse=False, keep=["b"])
    assert bnfold.inspect(*pair, options) == by_keyword != bnfold.inspect(*pair)
    assert bnfold.merge(*pair, options).plan == by_keyword.plan
    assert bnfold.inspect(*pair, options, keep=()).plan == bnfold.inspect(*pair).plan
    with pytest.raises(TypeError, match="colapse"):
        bnfold.merge(*pair, colapse=False)


def test_each_option_says_in_its_docs_and_on_the_command_line_what_it_does():
    declared = bnfold.MergeOptions.declared()
    assert list(declared) == [field.name for field in dataclasses.fields(bnfold.MergeOptions)]
    for command in ("merge", "inspect"):
        listed = getattr(import_module(f"bnfold.cli.{command}"), command).params
        helps = {param.name: getattr(param, "help", None) for param in listed}
        for name, (_, option) in declared.items():
            assert helps[name] == option.help
            assert f"\n        {name}: {option.help}\n" in bnfold.MergeOptions.__doc__


def test_every_public_name_is_there():
    for name in bnfold.__all__:
        assert getattr(bnfold, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        bnfold.nonsense  # noqa: B018


def test_codes_of_reasons_are_the_documented_ones():
    page = (ROOT.parent / "docs" / "refusals.md").read_text(encoding="utf-8")
    documented = re.findall(r"(?m)^\| `([a-z-]+)` \| \S", page)
    assert documented == [code.value for code in bnfold.Code]
    assert {"other-reader", "padding", "sign-or-shift", "not-linear"} <= set(documented)


# ---------------------------------------------------------------- imports


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported(code: str) -> set[str]:
    return set(python(f"import sys\n{code}\nprint(*sys.modules, sep='\\n')").split())


def test_import_version_and_help_wait_for_nothing_heavy():
    version = (
        "import bnfold, bnfold.cli.app\nsys.argv = ['bnfold', '--version']\nbnfold.cli.app._run()"
    )
    listed = version.replace("--version", "--help")
    helps = (
        f"{version}\nfor name in bnfold.cli.app.COMMANDS:\n"
        "    sys.argv = ['bnfold', name, '--help']\n    assert bnfold.cli.app._run() == 0"
    )
    for code in ("import bnfold", version, listed, helps):
        assert imported(code).isdisjoint({"numpy", "google.protobuf", "rich", "cv2", "caffe"})


def test_merge_needs_no_engine(pair):
    found = imported(f"import bnfold\nbnfold.merge({str(pair[0])!r}, {str(pair[1])!r})")
    assert "numpy" in found
    assert found.isdisjoint({"cv2", "caffe", "bnfold.runtimes", "rich"})


@pytest.mark.parametrize("order", ["caffe, bnfold.api", "bnfold.api, caffe"])
def test_bnfold_and_pycaffe_live_in_one_process_in_either_order(order, pair, pycaffe):
    model, weights = map(str, pair)
    python(
        f"import {order}, bnfold\n"
        f"report = bnfold.merge({model!r}, {weights!r})\n"
        "caffe.Net(str(report.output_model), caffe.TEST, weights=str(report.output_weights))"
    )


# ---------------------------------------------------------------- rooms

LEAVES = {"aliases", "__version__"}
"""What every room may import that knows of bnfold at all."""

ALLOWED = {
    "aliases": set(),
    "printable": set(),
    "errors": {"printable"},
    "import_path": set(),
    "whole": set(),
    "spelling": set(),
    "summary": {"outputs", "printable"},
    "mean_image": {"caffemodel", "errors", "whole"},
    "preprocess_options": {"errors"},
    "prototxt": set(),
    "caffemodel": set(),
    "graph": {"prototxt", "caffemodel", "errors"},
    "fold": {"graph", "prototxt", "caffemodel", "errors", "spelling"},
    "one_line": {"prototxt", "caffemodel", "errors"},
    "outputs": {"errors", "printable"},
    "network_files": {"outputs", "errors"},
    "proof": {"prototxt", "caffemodel", "errors", "printable"},
    "proving": {"proof", "merging", "fold", "network_files", "outputs", "summary"},
    "runtimes": {"graph", "prototxt", "caffemodel", "errors", "import_path", "whole", "summary"},
    "merging": {
        *("proving", "network_files", "outputs", "one_line", "summary", "spelling"),
        *("fold", "graph", "prototxt", "caffemodel", "errors"),
    },
    "reading": {
        *("outputs", "summary", "spelling", "graph", "prototxt", "caffemodel", "errors"),
    },
    "pruning": {
        *("merging", "outputs", "summary", "spelling", "whole"),
        *("fold", "graph", "prototxt", "caffemodel", "errors"),
    },
    "deploying": {
        *(
            "whole",
            "merging",
            "mean_image",
            "preprocess_options",
            "network_files",
            "outputs",
            "summary",
        ),
        *("spelling", "printable", "fold", "graph", "prototxt", "caffemodel", "errors"),
    },
    "checks": {
        *("deploying", "mean_image", "preprocess_options"),
        *("runtimes", "merging", "pruning", "network_files", "outputs", "one_line"),
        *("summary", "whole", "spelling", "import_path"),
        *("fold", "graph", "prototxt", "caffemodel", "errors"),
    },
    "evidence": {"outputs", "one_line", "errors", "spelling", "summary", "whole"},
    "api": {
        *("checks", "evidence", "deploying", "runtimes", "pruning", "merging", "reading"),
        *("proving", "proof", "network_files", "preprocess_options", "outputs", "one_line"),
        *("fold", "graph", "errors"),
    },
}


def rooms_that(path: Path) -> set[str]:
    """The rooms whose modules a file imports, inside functions too."""
    found = set()
    package = ("bnfold", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*base, *filter(None, [node.module])])
            names = [name] if name != "bnfold" else [f"bnfold.{a.name}" for a in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("bnfold.")}
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_arrows_between_rooms_point_one_way(room):
    files = sorted((ROOT / room).rglob("*.py")) or [ROOT / f"{room}.py"]
    for path in files:
        assert rooms_that(path) <= ALLOWED[room] | {room} | (LEAVES if ALLOWED[room] else set()), (
            path
        )


CHECKS = {
    "images": set(),
    "feeds": {"images"},
    "equality": {"images", "feeds"},
    "accuracy": {"images", "feeds"},
    "speed": {"feeds"},
    "running": {"feeds"},
}


@pytest.mark.parametrize("room", CHECKS)
def test_arrows_between_the_checks_point_one_way(room):
    for path in sorted((ROOT / "checks" / room).glob("*.py")):
        inside = re.findall(r"bnfold\.checks\.(\w+)", path.read_text())
        assert set(inside) <= CHECKS[room] | {room}, path


def aliases_in(path: Path) -> list[str]:
    """The names that a module gives to types."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and re.match("[A-Z][A-Za-z]*[a-z]", target.id):
                found.append(target.id)
    return found


def test_a_type_gets_a_name_in_one_place_only():
    found = [name for path in sorted(ROOT.rglob("*.py")) for name in aliases_in(path)]
    assert "Shape" in found
    assert sorted(found) == sorted(set(found))


def test_every_check_is_in_a_room():
    assert [path.name for path in (ROOT / "checks").glob("*.py")] == ["__init__.py"]
    assert {path.parent.name for path in (ROOT / "checks").glob("*/*.py")} == set(CHECKS)


def test_nobody_imports_the_command_line():
    for path in sorted(ROOT.rglob("*.py")):
        inside = path.relative_to(ROOT).parts[0]
        if inside not in ("cli", "__main__.py"):
            assert "cli" not in rooms_that(path), path


def test_commands_do_their_work_by_the_public_functions():
    """They import options and the texts of reports, and no step of the work itself."""
    steps = r"bnfold\.((merging|deploying|pruning)\.job|graph|runtimes|network_files|one_line)\b"
    steps += r"|bnfold\.checks\.\w+\.(verify|verified_merge|comparing|bench|measured_prune)\b"
    for path in sorted((ROOT / "cli").glob("*.py")):
        assert not re.findall(f"(?:from|import) (?:{steps})", path.read_text()), path
    for command in ("merge", "inspect", "deploy", "prove", "prune", "verify", "accuracy", "bench"):
        assert f" bnfold.{command}(" in (ROOT / "cli" / f"{command}.py").read_text()
    assert " bnfold.find_runtimes(" in (ROOT / "cli" / "runtimes.py").read_text()


# ---------------------------------------------------------------- what a person sees


def test_dir_lists_the_public_names_and_nothing_else():
    listed = {name for name in dir(bnfold) if not name.startswith("_")}
    assert listed == {name for name in bnfold.__all__ if not name.startswith("_")}


def test_help_shows_what_each_public_name_is():
    shown = pydoc.plain(pydoc.render_doc(bnfold))
    assert "Fold the batch normalisation of a trained network into its weights." in shown
    for name in bnfold.__all__:
        assert name.strip("_") in shown.replace("VERSION", "version")


def test_a_report_fits_a_screen_and_its_summary_is_what_the_command_prints(pair, capfd):
    report = bnfold.inspect(*pair)
    assert repr(report) == (
        f"<Report: {pair[0]}: 1 affine layer: folded 1, into 1 layer; "
        "engine CAFFE set on 1 convolution>"
    )
    command = [sys.executable, "-m", "bnfold", "inspect", *map(str, pair)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert report.summary() + "\n" == printed


def test_every_report_has_a_short_form_and_a_summary(pair, opencv):
    options = bnfold.VerifyOptions(runtime="opencv")
    merged = bnfold.merge(*pair, verify=options)
    assert merged.summary().splitlines()[-1].startswith("verified: same function")
    pruned = bnfold.prune(*pair, ratio=0.5, round_to=1, dry_run=True)
    found = bnfold.verify(*pair, options=options)
    measured = bnfold.bench(*pair, runtime="opencv", repeats=1)
    for report in (merged, pruned, found, measured):
        assert repr(report).startswith(f"<{type(report).__name__}: ")
        assert len(repr(report)) < 400
        assert "\n" not in repr(report)
        assert len(report.summary().splitlines()) > 1
