"""The options that decide what a fold does, as the library declares them.

A rewrite says itself what its option is (fold/options.py), and the library takes a while to import.
So a command has a place among its options where they will stand, and they are put there when
somebody looks: not for `bnfold --help`, which only lists the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bnfold.fold import MergeOptions
    from bnfold.fold.option import Option

F = TypeVar("F", bound=Callable[..., Any])


class _Place(click.Option):
    """Where options will stand."""

    def __init__(self, declarations: Any, names: tuple[str, ...]) -> None:
        super().__init__(declarations)
        self.names = names


def fold_options(*names: str) -> Callable[[F], F]:
    """Options of a `FoldCommand` that say how to fold: those of these names, or all."""
    return click.option("--fold-options", cls=_Place, names=names)


class FoldCommand(click.Command):
    """A command with `fold_options`."""

    _params: list[click.Parameter]

    @property
    def params(self) -> list[click.Parameter]:
        """The options and arguments."""
        if any(isinstance(param, _Place) for param in self._params):
            self._params = [one for param in self._params for one in _declared(param)]
        return self._params

    @params.setter
    def params(self, params: list[click.Parameter]) -> None:
        self._params = params


def _declared(param: click.Parameter) -> list[click.Parameter]:
    if not isinstance(param, _Place):
        return [param]
    from bnfold.fold import MergeOptions

    declared = MergeOptions.declared()
    return [_option(name, *declared[name]) for name in param.names or declared]


def _option(name: str, default: Any, option: Option) -> click.Option:
    """An option of the command line for one of the library's."""
    word = f"--{name.replace('_', '-')}"
    if default is True:
        off = f"--no-{name.replace('_', '-')}"
        return click.Option([f"{word}/{off}"], default=True, show_default=True, help=option.help)
    if default is False:
        return click.Option([word], is_flag=True, help=option.help)
    several = isinstance(default, (tuple, dict))
    return click.Option(
        [word],
        type=click.Choice(option.values) if option.values else option.convert,
        metavar=option.metavar or None,
        multiple=several,
        default=None if several else default,
        show_default=default is not None and not several,
        help=option.help,
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
