"""What the command line needs to know of a user's choice: its help, and how it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from bnfold.fold.rewrite import OptionalRewrite


class Option(NamedTuple):
    """How a field of `MergeOptions` is chosen; its name and default are the field's own.

    Attributes:
        help: a sentence for people.
        metavar: what stands for its value in the help, where it takes one.
        values: the values it may have, where they are few.
        convert: makes the value from a word of the command line.
        bare: the value that it has where it stands on the command line without one.
    """

    help: str
    metavar: str = ""
    values: tuple[str, ...] = ()
    convert: type[str | float] = str
    bare: str = ""


def option(default: Any, text: str, **more: Any) -> Any:
    """A field of a dataclass that is an option of the command line, too.

    Args:
        default: its value where the user says nothing; a type makes a new one each time.
        text: its help, a sentence for people.
        **more: as for `Option`.
    """
    metadata = {"option": Option(text, **more)}
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def switch(rewrite: type[OptionalRewrite], *more: type[OptionalRewrite]) -> Any:
    """A field of a dataclass that turns a rewrite on or off, and others of its file with it."""
    metadata = {"option": Option(rewrite.help), "rewrites": {True: (rewrite, *more)}}
    return field(default=rewrite.on, metadata=metadata)


def form(
    text: str,
    rewrites: Mapping[str, Sequence[type[OptionalRewrite]]],
    default: str | None = None,
    bare: str = "",
) -> Any:
    """A field of a dataclass that names the form that layers are to have.

    Args:
        text: its help, a sentence for people.
        rewrites: for each form what it turns on.
        default: the form that layers get where the user says nothing.
        bare: the form that they get where the option stands without one.
    """
    turned_on = {name: tuple(found) for name, found in rewrites.items()}
    chosen = Option(text, values=tuple(rewrites), bare=bare)
    metadata = {"option": chosen, "rewrites": turned_on}
    return field(default=default, metadata=metadata)


def rewrites_of(chosen: Field[Any]) -> tuple[type[OptionalRewrite], ...]:
    """The rewrites that a field turns on or off, whatever its value."""
    found: dict[Any, tuple[type[OptionalRewrite], ...]] = chosen.metadata.get("rewrites", {})
    return tuple(rewrite for rewrites in found.values() for rewrite in rewrites)


def rewrites_for(chosen: Field[Any], value: Any) -> tuple[type[OptionalRewrite], ...]:
    """The rewrites that a field turns on with a value."""
    found: dict[Any, tuple[type[OptionalRewrite], ...]] = chosen.metadata.get("rewrites", {})
    return found.get(value, ()) if found else ()


def option_of(chosen: Field[Any]) -> Option:
    """How the command line has a field."""
    found: Option = chosen.metadata["option"]
    return found
