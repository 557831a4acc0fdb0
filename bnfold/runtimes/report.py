"""Which engines can run networks here, as typed data and as the documented JSON object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bnfold.runtimes.protocol import RuntimeInfo
from bnfold.summary import Summary

JSON_FORMAT = "bnfold.runtimes/1"


@dataclass(frozen=True, repr=False)
class RuntimesReport(Summary):
    """The engines that bnfold can use, and whether they are here.

    Attributes:
        runtimes: one for each engine, in the order in which "auto" tries them.
    """

    runtimes: tuple[RuntimeInfo, ...]

    def lines(self) -> list[str]:
        """A line for each engine: its version and place, or why it cannot be used."""
        return [
            f"{one.name} {f'{one.version} in ' if one.found else 'not usable: '}{one.detail}"
            for one in self.runtimes
        ]

    def headline(self) -> str:
        """The engines that can be used."""
        return ", ".join(one.name for one in self.runtimes if one.found) or "none"

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object; its fields are documented and stable."""
        rows = [
            {"name": one.name, "found": one.found, "version": one.version, "detail": one.detail}
            for one in self.runtimes
        ]
        return {"format": JSON_FORMAT, "runtimes": rows}
