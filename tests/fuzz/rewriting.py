"""What is asked of bnfold for a random network, through its public functions."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import bnfold


class Judged(Protocol):
    """A network and what to do with it: see wiring.Case."""

    @property
    def command(self) -> str: ...
    @property
    def options(self) -> dict[str, Any]: ...
    @property
    def seed(self) -> int: ...
    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write both files; gives their paths."""
        ...


@dataclass(frozen=True)
class Rewritten:
    """What came out.

    Attributes:
        files: the new prototxt and the new weights.
        is_exact: whether both networks must compute the same; a pruning may say that it is not.
        is_final: whether doing it once more must change nothing.
        folded: how many layers went.
    """

    files: tuple[Path, Path]
    is_exact: bool
    is_final: bool
    folded: int


def rewrite(case: Judged, model: Path, weights: Path) -> Rewritten:
    """Do what is asked; raises BnfoldError where bnfold refuses."""
    folder = model.parent / "after"
    folder.mkdir()
    files = (folder / "net.prototxt", folder / "net.caffemodel")
    outputs: dict[str, Any] = {"output_model": files[0], "output_weights": files[1]}
    is_exact, is_final = True, False
    if case.command == "prune":
        is_exact = not bnfold.prune(model, weights, **outputs, **case.options).borders
    else:
        bnfold.merge(model, weights, **outputs, **case.options)
        # Layers that are named may be gone.
        is_final = not case.options.keys() & {"keep", "only"}
    went = model.read_bytes().count(b"layer {") - files[0].read_bytes().count(b"layer {")
    return Rewritten(files, is_exact, is_final, went)


def rewrites_again(case: Judged, files: tuple[Path, Path]) -> str:
    """What a second merge changes; "" for nothing."""
    again = tuple(path.parent / f"again{path.suffix}" for path in files)
    try:
        bnfold.merge(*files, output_model=again[0], output_weights=again[1], **case.options)
    except bnfold.BnfoldError as error:
        return f"a second merge is refused: {error}".replace(str(files[0].parent), "")
    for once, twice in zip(files, again, strict=True):
        if once.read_bytes() != twice.read_bytes():
            return f"a second merge changes the {once.suffix[1:]}"
    return ""


def import_all() -> None:
    """Import what every fork would import for itself."""
    for module in pkgutil.walk_packages(bnfold.__path__, "bnfold."):
        if not module.name.startswith(("bnfold.runtimes.pycaffe_child", "bnfold.__main__")):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
