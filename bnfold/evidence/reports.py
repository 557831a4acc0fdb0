"""JSON reports that come from files: they are somebody's claims until they are looked at."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnfold.errors import BnfoldError
from bnfold.whole import read_whole

MERGE = "bnfold.report/1"

_DIGEST = re.compile("[0-9a-f]{64}")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file.

    Raises:
        BnfoldError: it holds none.
        OSError: it cannot be read.
    """
    try:
        content = json.loads(read_whole(path))
    except (ValueError, RecursionError) as error:
        what = getattr(error, "msg", "it is too deep, or no UTF-8")
        line = getattr(error, "lineno", None)
        where = path if line is None else f"{path}:{line}"
        raise BnfoldError(f"{where}: is no JSON ({what}); give a file that bnfold wrote") from error
    if not isinstance(content, dict):
        raise BnfoldError(f"{path}: holds no JSON object; give a file that bnfold wrote")
    return content


def read_report(path: Path) -> dict[str, Any]:
    """The report of a command, as `--json` wrote it, with its format and its run.

    Raises:
        BnfoldError: it is none, or an older bnfold wrote it.
        OSError: it cannot be read.
    """
    report = read_json(path)
    kind, run = report.get("format"), report.get("run")
    if not (isinstance(kind, str) and kind.startswith("bnfold.")):
        raise BnfoldError(f"{path}: is no report of bnfold; give a file that '--json' wrote")
    if not isinstance(run, dict) or not all(
        isinstance(run.get(key), kind)
        for key, kind in {"version": str, "options": dict, "platform": dict}.items()
    ):
        raise BnfoldError(
            f"{path}: does not say which files it is about, as reports of bnfold 0.1 did not; "
            "make it again"
        )
    for key in ("inputs", "outputs"):
        _check_files(path, key, run.get(key))
    return report


def _check_files(path: Path, key: str, files: Any) -> None:
    if not isinstance(files, list) or not all(map(_is_file, files)):
        raise BnfoldError(
            f"{path}: run.{key} does not list files with their digests; make it again"
        )


def _is_file(file: Any) -> bool:
    if not isinstance(file, dict) or not isinstance(file.get("path"), str):
        return False
    digest = file.get("sha256")
    return digest is None or is_digest(digest)


def is_digest(text: Any) -> bool:
    """Whether this is a SHA-256 digest in hexadecimal."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def digests(files: list[Mapping[str, Any]]) -> set[str]:
    """The digests of a report's files."""
    return {file["sha256"] for file in files if file["sha256"] is not None}
