"""`bnfold runtimes`."""

from __future__ import annotations

from pathlib import Path

import click

from bnfold.cli.options import FILE, report_options
from bnfold.cli.usage import check_json_only

JSON_FORMAT = "bnfold.runtimes/1"


@click.command()
@click.option(
    "--caffe-root",
    type=FILE,
    metavar="DIR",
    help="Caffe's folder, for pycaffe  [default: whatever `import caffe` finds]",
)
@report_options
def runtimes(caffe_root: Path | None, force: bool, json_target: str | None, quiet: bool) -> None:
    """List the engines that can run networks here, and how to get the others.

    They are needed for verify, accuracy and bench; merge and inspect need none.

    \b
    Examples:
      bnfold runtimes
      bnfold runtimes --caffe-root ~/caffe --json -
    """
    check_json_only(json_target)

    from bnfold.cli.terminal import document, say, say_bytes
    from bnfold.jobs import one_line_errors
    from bnfold.outputs import Outputs
    from bnfold.runtimes import available

    json_file = None if json_target in (None, "-") else Path(json_target)
    with one_line_errors(), Outputs() as outputs:
        if json_file is not None:
            outputs.claim([json_file], [], force)
        found = available(caffe_root)
        rows = [
            {"name": i.name, "found": i.found, "version": i.version, "detail": i.detail}
            for i in found
        ]
        content = document({"format": JSON_FORMAT, "runtimes": rows})
        if json_file is not None:
            outputs.write(json_file, content)
    if json_target == "-":
        say_bytes(content)
    elif not quiet:
        for info in found:
            state = f"{info.version} in " if info.found else "not usable: "
            say(f"{info.name} {state}{info.detail}")
