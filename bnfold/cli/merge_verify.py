"""`bnfold merge --verify`: verification between writing the outputs and naming them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bnfold.cli.options import tolerances_of
from bnfold.cli.usage import RUNTIME, check_engine, only_with

if TYPE_CHECKING:
    from bnfold import Report, VerifyOptions


def verify_options(
    wanted: bool,
    dry_run: bool,
    phase: str,
    tolerances: Sequence[tuple[str, float]],
    runtime: str,
    caffe_root: Path | None,
    threads: int | None,
) -> VerifyOptions | None:
    """How to verify a merge before its outputs take their names; None for not at all.

    Raises:
        UsageError: options that exclude each other.
        BnfoldError: the tolerance is out of range.
    """
    only_with("--verify", wanted, ["tolerances", *RUNTIME])
    check_engine(runtime)
    if not wanted:
        return None
    if dry_run:
        raise click.UsageError("--dry-run writes no network to --verify; choose one of the two")
    if phase != "TEST":
        raise click.UsageError(f"engines run phase TEST, and cannot --verify --phase {phase}")
    from bnfold import VerifyOptions

    limits = tolerances_of(tolerances)
    return VerifyOptions(**limits, runtime=runtime, caffe_root=caffe_root, threads=threads)


def show_verification(report: Report, *, quiet: bool) -> None:
    """Print the verification of a merge, if there was one: a line, and its notes."""
    found = getattr(report, "verification", None)
    if found is None:
        return
    from bnfold.checks.equality.verification_text import verdict
    from bnfold.cli.terminal import say, warn

    warn(*found.notes)
    if not quiet:
        say(f"verified: {verdict(found)}")
