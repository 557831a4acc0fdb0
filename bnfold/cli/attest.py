"""`bnfold attest`."""

from __future__ import annotations

from pathlib import Path

import click

from bnfold.cli.options import FILE, OUTPUT, JsonTarget, report_options
from bnfold.cli.usage import not_with, only_with
from bnfold.errors import CheckFailedError


@click.command(
    epilog="Exit codes: 0 written, or all holds; 1 a file is not what the statement says; 2 bad "
    "input or usage."
)
@click.argument("reports", nargs=-1, type=FILE, metavar="[MERGE.json CHECK.json...]")
@click.option("--output", type=OUTPUT, metavar="P", help="Where to write the statement.")
@click.option(
    "--check",
    type=FILE,
    metavar="P",
    help="Say whether the files that the statement P is about are still the same.",
)
@report_options
def attest(
    reports: tuple[Path, ...],
    output: Path | None,
    check: Path | None,
    force: bool,
    json_target: JsonTarget,
    quiet: bool,
) -> None:
    """Write down what a network was made of and what was checked, or check such a statement.

    The statement is an in-toto Statement (v1), unsigned: the outputs with their SHA-256 digests,
    those of the inputs, the version, every option, what was folded, and the results of checks.

    \b
    Examples:
      bnfold attest merge.json verify.json accuracy.json --output attestation.json
      bnfold attest --check attestation.json
    """
    not_with("--check", check is not None, ["reports", "output"])
    import bnfold
    from bnfold.cli.terminal import say, say_json

    if check is None:
        only_with("--check", False, ["json_target"])
        if not reports or output is None:
            raise click.UsageError(
                "Missing the reports and --output, or --check; see the examples of --help"
            )
        path = bnfold.attest(reports, output, force=force)
        if not quiet:
            say(f"wrote {path}")
        return
    only_with("--json FILE", json_target.file is not None, ["force"])
    found = bnfold.check_attestation(check, json_file=json_target.file, force=force)
    if json_target.printed:
        say_json(found)
    elif not quiet:
        say(*found.lines()[: None if found.passed else -1])
    if found.failure is not None:
        raise CheckFailedError(found.failure)
