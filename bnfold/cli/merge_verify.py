"""`bnfold merge --verify`: verification between writing the outputs and naming them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from bnfold.cli.usage import RUNTIME, check_engine, only_with
from bnfold.outputs import Outputs
from bnfold.report import Report

Check = Callable[[Report, Outputs, bool], Report]


def proof(
    wanted: bool,
    dry_run: bool,
    phase: str,
    tolerance: float | None,
    runtime: str,
    caffe_root: Path | None,
    threads: int | None,
) -> Check:
    """What to do with a merge before its outputs take their names: nothing, or verify it.

    Raises:
        UsageError: options that exclude each other.
        BnfoldError: the tolerance is out of range.
    """
    only_with("--verify", wanted, ["tolerance", *RUNTIME])
    check_engine(runtime)
    if not wanted:
        return lambda report, outputs, quiet: report
    if dry_run:
        raise click.UsageError("--dry-run writes no network to --verify; choose one of the two")
    if phase != "TEST":
        raise click.UsageError(f"engines run phase TEST, and cannot --verify --phase {phase}")
    from bnfold.checks.equality.verified_merge import prove
    from bnfold.checks.equality.verify import VerifyOptions
    from bnfold.cli.progress import progress

    options = VerifyOptions(
        tolerance=tolerance, runtime=runtime, caffe_root=caffe_root, threads=threads
    )

    def check(report: Report, outputs: Outputs, quiet: bool) -> Report:
        with progress("verifying", quiet, unit="inputs") as tell:
            return prove(report, outputs, options, tell)

    return check


def show_proof(report: Report, *, quiet: bool) -> None:
    """Print the verification of a merge, if there was one: a line, and its notes."""
    found = getattr(report, "verification", None)
    if found is None:
        return
    from bnfold.checks.equality.verification_text import verdict
    from bnfold.cli.terminal import say, warn

    warn(*found.notes)
    if not quiet:
        say(f"verified: {verdict(found)}")
