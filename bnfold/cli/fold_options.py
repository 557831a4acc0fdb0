"""The options that decide what a fold does, as the library declares them.

A rewrite says itself what its option is (fold/option.py), and the library takes three times as long
to import as the rest of a command that only prints its help. So what the library declares is kept
in fold_options.json, which tools/write_docs.py writes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bnfold.fold import MergeOptions

F = TypeVar("F", bound=Callable[..., Any])

_TYPES = {"str": str, "float": float}


def fold_options(*names: str) -> Callable[[F], F]:
    """Give a command the options that say how to fold: those of these names, or all."""
    declared = _declared()

    def give(command: F) -> F:
        # Decorators come last first.
        for name in reversed(names or tuple(declared)):
            command = _option(name, declared[name])(command)
        return command

    return give


class FoldCommand(click.Command):
    """A command with `fold_options`; one that may stand by itself has its value behind `=` only."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give such an option the value that it has by itself: a file may stand behind it."""
        bare = {f"--{name}": one["bare"] for name, one in _declared().items() if one["bare"]}
        end = args.index("--") if "--" in args else len(args)
        given = [f"{word}={bare[word]}" if word in bare else word for word in args[:end]]
        return super().parse_args(ctx, [*given, *args[end:]])


@functools.cache
def _declared() -> dict[str, dict[str, Any]]:
    import json

    text = Path(__file__).with_name("fold_options.json").read_text(encoding="utf-8")
    declared: dict[str, dict[str, Any]] = json.loads(text)
    return declared


def _option(name: str, option: Mapping[str, Any]) -> Callable[[F], F]:
    """An option of the command line for one of the library's."""
    word, default, text = f"--{name.replace('_', '-')}", option["default"], option["help"]
    if default is True:
        off = f"--no-{name.replace('_', '-')}"
        return click.option(f"{word}/{off}", default=True, show_default=True, help=text)
    if default is False:
        return click.option(word, is_flag=True, help=text)
    if option["bare"]:
        return click.option(
            word,
            type=click.Choice(option["values"]),
            is_flag=False,
            flag_value=option["bare"],
            help=text,
        )
    several = isinstance(default, (list, dict))
    return click.option(
        word,
        type=click.Choice(option["values"]) if option["values"] else _TYPES[option["convert"]],
        metavar=option["metavar"] or None,
        multiple=several,
        default=None if several else default,
        show_default=default is not None and not several,
        help=text,
    )


def merge_options(values: Mapping[str, Any]) -> MergeOptions:
    """The library's options from what `fold_options` gave a command.

    Raises:
        BnfoldError: a value is out of range.
        click.UsageError: `--treat-as` is not of the form TYPE=KNOWN.
    """
    from bnfold.fold import MergeOptions

    treat_as = {}
    for pair in values["treat_as"]:
        unknown, equals, known = pair.partition("=")
        if not unknown or not equals or not known:
            raise click.UsageError(f"--treat-as {pair}: expected TYPE=KNOWN, as Conv2=Convolution")
        treat_as[unknown] = known
    return MergeOptions(**{**values, "treat_as": treat_as})
