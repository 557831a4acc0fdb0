"""`bnfold runtimes`."""

from __future__ import annotations

from pathlib import Path

import click

from bnfold.cli.options import FILE, JsonTarget, report_options
from bnfold.cli.usage import check_json_only


@click.command()
@click.option(
    "--caffe-root",
    type=FILE,
    metavar="DIR",
    help="Caffe's folder, for pycaffe  [default: whatever `import caffe` finds]",
)
@report_options
def runtimes(caffe_root: Path | None, force: bool, json_target: JsonTarget, quiet: bool) -> None:
    """List the engines that can run networks here, and how to get the others.

    They are needed for verify, accuracy and bench; merge and inspect need none.

    \b
    Examples:
      bnfold runtimes
      bnfold runtimes --caffe-root ~/caffe --json -
    """
    check_json_only(json_target.file)

    import bnfold
    from bnfold.cli.terminal import say, say_json

    report = bnfold.find_runtimes(caffe_root, json_file=json_target.file, force=force)
    if json_target.printed:
        say_json(report)
    elif not quiet:
        say(*report.lines())
