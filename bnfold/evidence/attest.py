"""`bnfold.attest` and `bnfold.check_attestation`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnfold.aliases import PathLike
from bnfold.errors import BnfoldError
from bnfold.evidence.check import AttestationCheck, check_statement
from bnfold.evidence.reports import read_report
from bnfold.evidence.statement import statement
from bnfold.one_line import one_line_errors
from bnfold.outputs import json_document, recorded


def attest(reports: Sequence[PathLike], output: PathLike, *, force: bool = False) -> Path:
    """Write an in-toto Statement about what a merge wrote, from the reports of the commands.

    Args:
        reports: files that `--json` wrote: of the merge first, then of checks of what it wrote.
        output: where to write the statement.
        force: replace that file if it exists.

    Returns:
        The path of the statement.

    Raises:
        BnfoldError: a report cannot be used, or is about other files; the message is one line.
    """
    paths = [Path(path) for path in reports]
    if not paths:
        raise BnfoldError("there is no report to attest; give that of the merge")
    target = Path(output)
    with one_line_errors(), recorded(paths, [target], json_file=None, force=force) as record:
        merged, *checks = ((str(path), read_report(path)) for path in paths)
        record.outputs.write(target, json_document(statement(merged, checks, target)))
    return target


def check_attestation(
    path: PathLike, *, json_file: PathLike | None = None, force: bool = False
) -> AttestationCheck:
    """Compute the digests of the files that a statement names, and compare.

    Args:
        path: the statement, which names files from its own folder.
        json_file: where to write what was found as JSON, too.
        force: replace that file if it exists.

    Returns:
        Which files are the same; `passed` says whether the statement holds: all outputs are those
        that it is about, and no input is another. Inputs that are not there are no failure.

    Raises:
        BnfoldError: the file is no statement about a network that bnfold wrote.
    """
    with one_line_errors(), recorded([path], json_file=json_file, force=force) as record:
        return record.save(check_statement(Path(path)))
