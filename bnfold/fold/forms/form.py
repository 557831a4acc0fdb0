"""What became of a layer that was to be written in another form, as an entry of the plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bnfold.fold.plan import Code, Entry, Reason, reason_json
from bnfold.fold.rewrite import Context
from bnfold.graph import Layer


@dataclass(frozen=True)
class Form(Entry):
    """A layer that is written in another form, or that cannot be.

    Attributes:
        form: the type that it has now; "" where it stays.
        reason: why it stays.
    """

    key = "forms"
    layer: str
    type: str
    line: int
    form: str
    reason: Reason | None = None

    @property
    def done(self) -> bool:
        """Whether it has another form now."""
        return self.reason is None

    def what(self) -> tuple[str, str]:
        """The form that it has, or why it stays."""
        return ("kept", f": {self.reason}") if self.reason else ("rewritten", f" as {self.form}")

    def sentence(self) -> str:
        """The same, with its name."""
        verb, rest = self.what()
        return f"{verb} {self.layer} ({self.type}){rest}"

    def to_json(self) -> dict[str, Any]:
        """The object in the list `forms`."""
        return {
            "layer": self.layer,
            "type": self.type,
            "line": self.line,
            "form": self.form or None,
            **reason_json(self.reason),
        }

    @classmethod
    def summary(cls, entries: Sequence[Form]) -> str:
        """How many layers have which form now."""
        counts = Counter(entry.form for entry in entries if entry.done)
        each = ", ".join(f"{count} as {form}" for form, count in counts.items())
        return f"layers rewritten: {each}" if each else ""


def note(context: Context, layer: Layer, form: str, reason: Reason | None) -> None:
    """Add what became of a layer, which still has the type that the file gives it, to the plan."""
    entry = Form(layer.name, layer.written_type, layer.line, "" if reason else form, reason)
    context.plan.entries.append(entry)


def forget(context: Context, *kinds: str) -> None:
    """Forget what was said of layers of some types that stayed, since they are looked at again."""
    plan = context.plan
    plan.entries = [
        entry
        for entry in plan.entries
        if not isinstance(entry, Form) or entry.done or entry.type not in kinds
    ]


def distrust(context: Context, layer: Layer, form: str) -> Reason | None:
    """Why a layer cannot be written as another type whatever that is, if so."""
    untrusted = context.untrusted(layer)
    if untrusted:
        return Reason(Code.UNKNOWN_LAYER, untrusted)
    if context.net.is_v1:
        why = f"a V1 file has no {form} that {layer} could become"
        return Reason(Code.NO_SCALE_TYPE, why, "upgrade the files with Caffe's tools")
    if any(top.name == bottom.name for top in layer.tops for bottom in layer.bottoms):
        return Reason(Code.NO_EQUAL, f"{layer} works in place, and a {form} cannot")
    return None
