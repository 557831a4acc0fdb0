"""What is wrong with a command line as such: options that come to nothing, unknown words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bnfold.spelling import did_you_mean, nearest

RUNTIME = ("runtime", "caffe_root", "threads")
"""The parameters that say which engine runs the networks, and how."""


class Group(click.Group):
    """A group that answers an unknown option or command with the nearest known ones."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; click's own suggestions go by another measure."""
        try:
            return super().main(*args, **kwargs)
        except click.NoSuchOption as error:
            word, context = error.option_name, error.ctx
            known = [] if context is None else _options(context)
            raise click.NoSuchOption(word, None, nearest(word, known), context) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments ask for."""
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            ctx.fail(f"No such command '{word}'{did_you_mean(word, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


def _options(context: click.Context) -> list[str]:
    params = context.command.get_params(context)
    words = [word for param in params for word in (*param.opts, *param.secondary_opts)]
    # An argument's name is no option.
    return [word for word in words if word.startswith("-")]


def given(names: tuple[str, ...] | list[str]) -> list[str]:
    """Those of the current command's parameters that the command line names, as options."""
    context = click.get_current_context()
    spelled = {param.name: max(param.opts, key=len) for param in context.command.params}
    return [
        spelled[name]
        for name in names
        if name in spelled and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]


def only_with(option: str, there: bool, names: tuple[str, ...] | list[str]) -> None:
    """Refuse options that come to nothing where another one is missing.

    Raises:
        click.UsageError: one of `names` is given, and `option` is not.
    """
    useless = [] if there else given(names)
    if useless:
        verb = "has" if len(useless) == 1 else "have"
        raise click.UsageError(f"{', '.join(useless)} {verb} no effect without {option}; give both")


def not_with(option: str, there: bool, names: tuple[str, ...] | list[str]) -> None:
    """Refuse options that come to nothing where another one is given.

    Raises:
        click.UsageError: both are given.
    """
    useless = given(names) if there else []
    if useless:
        verb = "has" if len(useless) == 1 else "have"
        raise click.UsageError(f"{', '.join(useless)} {verb} no effect with {option}; leave it out")


def check_engine(runtime: str) -> None:
    """Refuse `--caffe-root` where Caffe is not asked for.

    Raises:
        click.UsageError: an engine is chosen that has no such folder.
    """
    not_with(f"--runtime {runtime}", runtime == "opencv", ["caffe_root"])


def check_json_only(json_file: Path | None) -> None:
    """Refuse `--force` in a command whose only output is the file of `--json`.

    Raises:
        click.UsageError: there is no such file.
    """
    only_with("--json FILE", json_file is not None, ["force"])
