"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)


def model_option(function: F) -> F:
    """`--model`."""
    return click.option(
        "--model", required=True, type=FILE, metavar="PROTOTXT", help="The network's prototxt."
    )(function)


def folding_options(function: F) -> F:
    """The options that decide what a fold does."""
    for option in (
        click.option(
            "--phase",
            type=click.Choice(["TEST", "TRAIN"]),
            default="TEST",
            show_default=True,
            help="The phase whose function is preserved; layers outside of it are left alone.",
        ),
        click.option(
            "--engine-caffe/--no-engine-caffe",
            default=True,
            show_default=True,
            help="Set `engine: CAFFE` on convolutions whose kernel is 1 in all axes.",
        ),
        click.option(
            "--eps",
            type=float,
            metavar="E",
            help="Use this eps for every BatchNorm, in place of each layer's own.",
        ),
    ):
        function = option(function)
    return function


def report_options(function: F) -> F:
    """`--json`, `--quiet` and `--force`."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="Print nothing but warnings and errors."),
        click.option(
            "--json",
            "json_target",
            metavar="P|-",
            help="Write the report as JSON to file P, or to standard output for '-'.",
        ),
        click.option("--force", is_flag=True, help="Replace outputs that exist."),
    ):
        function = option(function)
    return function


def runtime_options(function: F) -> F:
    """`--runtime`, `--caffe-root` and `--threads`: which engine runs the networks, and how."""
    for option in (
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            metavar="N",
            help="How many threads the engine may use  [default: its own choice]",
        ),
        click.option(
            "--caffe-root",
            type=FILE,
            metavar="DIR",
            help="Caffe's folder, for pycaffe  [default: whatever `import caffe` finds]",
        ),
        click.option(
            "--runtime",
            type=click.Choice(["auto", "opencv", "pycaffe"]),
            default="auto",
            show_default=True,
            help="The engine that runs the networks; auto is pycaffe where it can load them, "
            "and else opencv.",
        ),
    ):
        function = option(function)
    return function
